//! Tools in a definition: the list in its many spellings, and the tool servers that the file names.

use serde_json::{Map, Value};

/// Tool servers so well known that their bare name in an instruction means them.
const WELL_KNOWN_SERVERS: &[&str] = &[
    "context7", "playwright", "puppeteer", "firecrawl", "sequential-thinking", "deepwiki",
    "tavily", "serena", "browserbase", "exa",
];

/// Reads `a, b(c, d)`, a list, or a map of booleans.
pub(super) fn read_list(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(split_outside_parentheses(text)),
        Value::Array(items) => Some(items.iter().filter_map(word).collect()),
        Value::Object(map) => Some(
            map.iter()
                .filter(|(_, allowed)| allowed.as_bool() != Some(false))
                .map(|(name, _)| name.clone())
                .collect(),
        ),
        _ => None,
    }
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.trim().to_owned()),
        other => Some(other.to_string()),
    }
}

fn split_outside_parentheses(text: &str) -> Vec<String> {
    let mut depth = 0_usize;
    text.split(|character| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && matches!(character, ',' | '\n')
    })
    .map(|entry| entry.trim().trim_start_matches("- ").trim().to_owned())
    .filter(|entry| !entry.is_empty())
    .collect()
}

/// Servers named by `mcp__server__tool`, by the field `mcpServers`, or by an instruction to use them.
pub(super) fn tool_servers(
    tools: Option<&[String]>,
    other_fields: &Map<String, Value>,
    prompt: &str,
) -> Vec<String> {
    let mut servers: Vec<String> = Vec::new();
    let mut add = |server: &str| {
        let server = server.to_ascii_lowercase();
        if !server.is_empty() && !servers.contains(&server) {
            servers.push(server);
        }
    };
    tools.unwrap_or_default().iter().flat_map(|tool| named_by_prefix(tool)).for_each(&mut add);
    match other_fields.get("mcpServers") {
        Some(Value::Object(map)) => map.keys().for_each(|server| add(server)),
        Some(Value::Array(items)) => items.iter().for_each(|item| match item {
            Value::String(server) => add(server),
            Value::Object(map) => map.keys().for_each(|server| add(server)),
            _ => {}
        }),
        _ => {}
    }
    named_by_prefix(prompt).for_each(&mut add);
    named_by_instruction(prompt).for_each(&mut add);
    servers
}

/// `mcp__context7__query-docs` names the server `context7`.
fn named_by_prefix(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("mcp__").filter_map(|(position, prefix)| {
        let rest = &text[position + prefix.len()..];
        let end = rest.find("__").unwrap_or_else(|| {
            rest.find(|character: char| !is_name_character(character)).unwrap_or(rest.len())
        });
        let server = &rest[..end];
        (!server.is_empty() && server.chars().all(is_name_character)).then_some(server)
    })
}

/// "use context7 to …", "through context7", "the Linear MCP server".
fn named_by_instruction(text: &str) -> impl Iterator<Item = &str> {
    let words: Vec<&str> = text
        .split_whitespace()
        .map(|word| word.trim_matches(|character: char| !character.is_alphanumeric()))
        .collect();
    let mut servers = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let previous = index.checked_sub(1).map_or("", |before| words[before]);
        let next = words.get(index + 1).copied().unwrap_or_default();
        let is_instrument = ["use", "using", "uses", "through", "via", "with", "consult", "query"]
            .iter()
            .any(|verb| previous.eq_ignore_ascii_case(verb));
        let is_known = WELL_KNOWN_SERVERS.iter().any(|server| word.eq_ignore_ascii_case(server));
        let is_article = ["an", "the", "a", "any", "each", "every", "your", "no", "and", "or"]
            .iter()
            .any(|article| word.eq_ignore_ascii_case(article));
        let is_called_mcp = next == "MCP" && !is_article && word.chars().all(is_name_character);
        if !word.is_empty() && ((is_known && is_instrument) || is_called_mcp) {
            servers.push(*word);
        }
    }
    servers.into_iter()
}

fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_')
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::{read_list, tool_servers};

    #[test]
    fn commas_in_parentheses_do_not_separate() {
        let list = read_list(&json!("Read, Bash(git log:*, git diff:*), mcp__a__b"));
        assert_eq!(
            list,
            Some(vec!["Read".into(), "Bash(git log:*, git diff:*)".into(), "mcp__a__b".into()])
        );
        assert_eq!(read_list(&json!(3)), None);
        assert_eq!(read_list(&json!({"read": true, "bash": false})), Some(vec!["read".into()]));
    }

    #[test]
    fn servers_are_found_in_tools_fields_and_instructions() {
        let found = |tools: &[&str], prompt: &str| {
            let tools: Vec<String> = tools.iter().map(|tool| (*tool).to_owned()).collect();
            tool_servers(Some(&tools), &Map::new(), prompt)
        };
        assert_eq!(found(&["mcp__linear__list_issues", "Read"], ""), ["linear"]);
        assert_eq!(found(&[], "ALWAYS use context7 to look it up"), ["context7"]);
        assert_eq!(found(&[], "look it up through Context7."), ["context7"]);
        assert_eq!(found(&[], "ask the Sentry MCP server"), ["sentry"]);
        assert_eq!(found(&[], "an MCP server, a playwright of note"), [""; 0]);
    }
}
