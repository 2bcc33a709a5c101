//! Tools in a definition: the list in its many spellings, and the tool servers that the file names.

use serde_json::{Map, Value};

use super::Format;

/// Tool servers so well known that their bare name in an instruction means them.
const WELL_KNOWN_SERVERS: &[&str] = &[
    "context7", "playwright", "puppeteer", "firecrawl", "sequential-thinking", "deepwiki",
    "tavily", "serena", "browserbase", "exa",
];

/// Sets of Copilot's own tools, which are written like a server's.
const COPILOT_TOOL_SETS: &[&str] =
    &["agent", "browser", "edit", "execute", "read", "search", "todo", "vscode", "web"];

/// Tools that an agent may use, and may not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ToolList {
    /// `None` if all may be used.
    pub allowed: Option<Vec<String>>,
    pub denied: Vec<String>,
}

/// Reads `a, b(c, d)`, a list, or a map of booleans. In a map, tools that are not named may be used unless others are
/// allowed by name.
pub(super) fn read_list(value: &Value) -> Option<ToolList> {
    let allow = |allowed| ToolList { allowed: Some(allowed), denied: Vec::new() };
    match value {
        Value::String(text) => Some(allow(split_outside_parentheses(text))),
        Value::Array(items) => Some(allow(items.iter().filter_map(word).collect())),
        Value::Object(map) => {
            let (denied, allowed): (Vec<_>, Vec<_>) =
                map.iter().partition(|(_, value)| value.as_bool() == Some(false));
            let names = |entries: Vec<(&String, &Value)>| {
                entries.into_iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
            };
            let allowed = (!allowed.is_empty()).then(|| names(allowed));
            Some(ToolList { allowed, denied: names(denied) })
        }
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
    // Agent Skills separate by spaces.
    let separates_by_space = !text.contains([',', '\n']);
    text.split(|character: char| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && (matches!(character, ',' | '\n') || (separates_by_space && character == ' '))
    })
    .map(|entry| entry.trim().trim_start_matches("- ").trim().to_owned())
    .filter(|entry| !entry.is_empty())
    .collect()
}

/// Servers named by tools, by the field for them, or by an instruction to use them.
pub(super) fn tool_servers(
    format: Format,
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
    for tool in tools.unwrap_or_default() {
        named_by_prefix(tool).for_each(&mut add);
        server_in_format(format, tool).into_iter().for_each(&mut add);
    }
    for field in ["mcpServers", "mcp-servers", "mcp_servers"] {
        match other_fields.get(field) {
            Some(Value::Object(map)) => map.keys().for_each(|server| add(server)),
            Some(Value::Array(items)) => items.iter().for_each(|item| match item {
                Value::String(server) => add(server),
                Value::Object(map) => map.keys().for_each(|server| add(server)),
                _ => {}
            }),
            _ => {}
        }
    }
    named_by_prefix(prompt).for_each(&mut add);
    named_by_instruction(prompt).for_each(&mut add);
    servers
}

/// Copilot writes `server/tool`, Gemini CLI `mcp_server_tool`, opencode `server_*`.
fn server_in_format(format: Format, tool: &str) -> Option<&str> {
    match format {
        Format::Copilot => {
            let (set, _) = tool.rsplit_once('/')?;
            if let Some((_publisher, server)) = set.rsplit_once('/') {
                // As the public registry has it; the server is commonly known by less.
                let bare = ["-mcp-server", "-mcp"].iter().find_map(|end| server.strip_suffix(end));
                return Some(bare.unwrap_or(server));
            }
            let is_own = COPILOT_TOOL_SETS.iter().any(|own| set.eq_ignore_ascii_case(own));
            // `publisher.extension/tool` is an editor's extension.
            (!is_own && !set.contains('.')).then_some(set)
        }
        Format::GeminiCli => {
            let (server, _) = tool.strip_prefix("mcp_")?.split_once('_')?;
            Some(server)
        }
        Format::Opencode => tool.strip_suffix("_*").or_else(|| tool.strip_suffix('*')),
        _ => None,
    }
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

    use super::super::Format;
    use super::{ToolList, read_list, tool_servers};

    fn allowed(value: &serde_json::Value) -> Option<Vec<String>> {
        read_list(value)?.allowed
    }

    #[test]
    fn commas_in_parentheses_do_not_separate() {
        assert_eq!(
            allowed(&json!("Read, Bash(git log:*, git diff:*), mcp__a__b")),
            Some(vec!["Read".into(), "Bash(git log:*, git diff:*)".into(), "mcp__a__b".into()])
        );
        assert_eq!(
            allowed(&json!("Read Bash(git add:*)")),
            Some(vec!["Read".into(), "Bash(git add:*)".into()])
        );
        assert_eq!(read_list(&json!(3)), None);
    }

    #[test]
    fn a_map_allows_and_denies() {
        let list = read_list(&json!({"read": true, "bash": false}));
        assert_eq!(
            list,
            Some(ToolList { allowed: Some(vec!["read".into()]), denied: vec!["bash".into()] })
        );
        assert_eq!(allowed(&json!({"bash": false})), None);
    }

    #[test]
    fn each_format_names_servers_in_its_way() {
        let servers = |format, tool: &str| {
            tool_servers(format, Some(&[tool.to_owned()]), &Map::new(), "").join(" ")
        };
        assert_eq!(servers(Format::Copilot, "github/*"), "github");
        assert_eq!(servers(Format::Copilot, "upstash/context7/query-docs"), "context7");
        assert_eq!(servers(Format::Copilot, "github/github-mcp-server/get_commit"), "github");
        assert_eq!(servers(Format::Copilot, "search/codebase"), "");
        assert_eq!(servers(Format::GeminiCli, "mcp_linear_list"), "linear");
        assert_eq!(servers(Format::Opencode, "sentry_*"), "sentry");
        assert_eq!(servers(Format::ClaudeCode, "github/*"), "");
    }

    #[test]
    fn servers_are_found_in_tools_fields_and_instructions() {
        let found = |tools: &[&str], prompt: &str| {
            let tools: Vec<String> = tools.iter().map(|tool| (*tool).to_owned()).collect();
            tool_servers(Format::ClaudeCode, Some(&tools), &Map::new(), prompt)
        };
        assert_eq!(found(&["mcp__linear__list_issues", "Read"], ""), ["linear"]);
        assert_eq!(found(&[], "ALWAYS use context7 to look it up"), ["context7"]);
        assert_eq!(found(&[], "look it up through Context7."), ["context7"]);
        assert_eq!(found(&[], "ask the Sentry MCP server"), ["sentry"]);
        assert_eq!(found(&[], "an MCP server, a playwright of note"), [""; 0]);
    }
}
