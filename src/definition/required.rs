//! The tools that an agent's instructions demand before it answers.
//!
//! An agent is held to what is found here, so that only plain commands count: `ALWAYS use context7`, `You must consult
//! the Linear MCP server`, `Before you answer, ask context7`. What depends on a condition is left to the model.

use super::servers::{INSTRUMENTS, bare, is_one_of};

/// Words that make a command of what follows them.
const COMMANDS: &[&str] = &["always", "must"];

/// What makes a sentence no command, or one for some cases alone.
const RESERVATIONS: &[&str] = &[
    "can", "cannot", "could", "consider", "if", "may", "might", "never", "no", "not", "optionally",
    "prefer", "should", "unless", "when", "whenever", "where", "wherever", "while", "don't",
    "don’t", "needed", "necessary", "appropriate", "possible", "available", "example", "e.g",
];

/// How many words may stand between a command and the tool.
const REACH: usize = 8;

/// The servers, and tools by their full names, that the text commands to use. `servers` are those that it names.
pub(super) fn required_tools(prompt: &str, servers: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for sentence in prompt.split(['\n', ';', ':', '!', '?']).flat_map(|line| line.split(". ")) {
        let required = required_by(sentence, servers);
        found.extend(required.into_iter().filter(|tool| !found.contains(tool)).collect::<Vec<_>>());
    }
    found
}

fn required_by(sentence: &str, servers: &[String]) -> Vec<String> {
    let words: Vec<&str> =
        sentence.split_whitespace().map(bare).filter(|word| !word.is_empty()).collect();
    if words.iter().any(|word| is_one_of(word, RESERVATIONS)) {
        return Vec::new();
    }
    let has_before = words.iter().any(|word| word.eq_ignore_ascii_case("before"));
    let mentions = words.iter().enumerate().filter_map(|(place, word)| {
        let tool = tool_of(word, servers)?;
        let before = &words[..place];
        let verb = before.len().checked_sub(1 + usize::from(is_article(before.last())))?;
        let is_to_be_used = is_one_of(before[verb], INSTRUMENTS);
        let start = place.saturating_sub(REACH);
        let is_commanded = words[start..place].iter().any(|word| is_one_of(word, COMMANDS));
        (is_to_be_used && (is_commanded || has_before)).then_some(tool)
    });
    mentions.collect()
}

fn is_article(word: Option<&&str>) -> bool {
    word.is_some_and(|word| word.eq_ignore_ascii_case("the"))
}

/// What a word names: a server, or a tool of one.
fn tool_of(word: &str, servers: &[String]) -> Option<String> {
    let word = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
    let server = word.to_ascii_lowercase();
    if servers.contains(&server) {
        return Some(server);
    }
    let of_server = servers.iter().find(|server| {
        let rest = word.strip_prefix("mcp__").and_then(|rest| rest.strip_prefix(server.as_str()));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("__"))
    })?;
    // A wildcard loses its star with the other marks around a word.
    let is_whole_server = word.ends_with("__") || word.len() == "mcp__".len() + of_server.len();
    Some(if is_whole_server { of_server.clone() } else { word.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::required_tools;

    fn required(text: &str) -> String {
        required_tools(text, &["context7".to_owned(), "linear".to_owned()]).join(" ")
    }

    #[test]
    fn commands_are_found() {
        for text in [
            "1. ALWAYS use context7 first: read the docs, because defaults differ when it is old",
            "1. **ALWAYS** use `context7` to check component APIs; Tailwind 4 moved",
            "You MUST consult the context7 MCP server.",
            "Before you write code, use context7.",
            "Use Context7's tools before implementing anything. Ask if something is unclear.",
            "You must call `mcp__context7__*` first",
        ] {
            assert_eq!(required(text), "context7", "{text}");
        }
        assert_eq!(required("ALWAYS call mcp__context7__query-docs"), "mcp__context7__query-docs");
        assert_eq!(required("Always use context7\nYou must query Linear"), "context7 linear");
    }

    #[test]
    fn advice_and_conditions_are_none() {
        for text in [
            "Use context7 to look it up.",
            "If an API might have changed, always look it up with context7",
            "Always use context7 when you need documentation",
            "You must never use context7",
            "You can use context7 before you answer",
            "You should always use context7",
            "ALWAYS use firecrawl",
            "Always be brief. The answer of context7 is long, and you must say so.",
            "context7 must be configured before you start",
        ] {
            assert_eq!(required(text), "", "{text}");
        }
    }
}
