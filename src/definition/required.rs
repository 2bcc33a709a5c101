//! The tools that an agent's instructions demand before it answers.
//!
//! An agent is held to what is found here, so that only plain commands count: `ALWAYS use context7`, `You must consult
//! the Linear MCP server`, `Before you answer, ask context7`. What depends on a condition is left to the model.

use super::servers::{EVERYDAY_NAMES, INSTRUMENTS, NO_NAMES, bare, is_name_character, is_one_of};

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

/// More of them a text does not command.
const MAX_POSSIBLE: usize = 50;

/// The servers, and tools by their full names, that the text commands to use. `servers` are those that it names.
pub(super) fn required_tools(prompt: &str, servers: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (written, _) in sentences(prompt).flat_map(commanded) {
        found.extend(tool_of(bare(written), servers).filter(|tool| !found.contains(tool)));
    }
    found
}

/// What else it commands to use: the names of servers if the operator has some of these names, and words like any other if
/// not. What is an everyday word besides is none unless it is marked as a name.
pub(super) fn possible_servers(prompt: &str, servers: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (written, behind) in sentences(prompt).flat_map(commanded) {
        let name = without_genitive(bare(written)).to_ascii_lowercase();
        let is_marked = written.contains('`') || is_one_of(bare(behind), &["mcp", "server"]);
        let may_be = name.chars().all(is_name_character)
            && !is_one_of(&name, NO_NAMES)
            && (is_marked || !is_one_of(&name, EVERYDAY_NAMES))
            && !servers.contains(&name)
            && !found.contains(&name);
        if may_be && found.len() < MAX_POSSIBLE {
            found.push(name);
        }
    }
    found
}

fn sentences(prompt: &str) -> impl Iterator<Item = &str> {
    prompt.split(['\n', ';', ':', '!', '?']).flat_map(|line| line.split(". "))
}

/// The words that a sentence commands to use, as they are written, each with the word behind it.
fn commanded(sentence: &str) -> Vec<(&str, &str)> {
    let written: Vec<&str> =
        sentence.split_whitespace().filter(|word| !bare(word).is_empty()).collect();
    let words: Vec<&str> = written.iter().map(|word| bare(word)).collect();
    if words.iter().any(|word| is_one_of(word, RESERVATIONS)) {
        return Vec::new();
    }
    let has_before = words.iter().any(|word| word.eq_ignore_ascii_case("before"));
    let is_commanded = |place: usize| {
        let before = &words[..place];
        let verb = before.len().checked_sub(1 + usize::from(is_article(before.last())));
        let is_to_be_used = verb.is_some_and(|verb| is_one_of(before[verb], INSTRUMENTS));
        let start = place.saturating_sub(REACH);
        let is_command = || words[start..place].iter().any(|word| is_one_of(word, COMMANDS));
        is_to_be_used && (has_before || is_command())
    };
    let places = (0..words.len()).filter(|place| is_commanded(*place));
    let behind = |place: usize| written.get(place + 1).copied().unwrap_or_default();
    places.map(|place| (written[place], behind(place))).collect()
}

fn without_genitive(word: &str) -> &str {
    word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word)
}

fn is_article(word: Option<&&str>) -> bool {
    word.is_some_and(|word| word.eq_ignore_ascii_case("the"))
}

/// What a word names: a server, or a tool of one.
fn tool_of(word: &str, servers: &[String]) -> Option<String> {
    let word = without_genitive(word);
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
    use super::{possible_servers, required_tools};

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

    #[test]
    fn what_may_be_a_server_is_told_by_its_name_or_its_marks() {
        let possible = |text: &str| possible_servers(text, &["context7".to_owned()]).join(" ");
        for text in [
            "ALWAYS use zoodb before you answer.",
            "You must consult the `zoodb` server.",
            "Before you write code, query ZooDB.",
        ] {
            assert_eq!(possible(text), "zoodb", "{text}");
        }
        assert_eq!(possible("You must query the `memory` first"), "memory");
        assert_eq!(possible("ALWAYS use the memory MCP server"), "memory");
        for text in [
            "Always use memory sparingly",
            "You must ask context7",
            "Always use zoodb if there is time",
            "zoodb must be up",
        ] {
            assert_eq!(possible(text), "", "{text}");
        }
    }
}
