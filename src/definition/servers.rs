//! The tool servers that a definition names: in its tools, in a field of their own, or in its instructions.

use serde_json::{Map, Value};

use super::Format;

/// Tool servers whose bare name in an instruction means them, because nothing else is called so.
const WELL_KNOWN_SERVERS: &[&str] = &[
    "context7", "deepwiki", "sequential-thinking", "firecrawl", "serena", "tavily", "browserbase",
];

/// More servers than these an agent does not name.
const MAX_SERVERS: usize = 50;

/// What stands for a server's name where a text explains how tools are named.
const PLACEHOLDERS: &[&str] = &["server", "servername", "server-name", "server_name", "name"];

/// Words before a server's name that make it one to be used.
pub(super) const INSTRUMENTS: &[&str] = &[
    "use", "uses", "using", "through", "via", "with", "from", "consult", "query", "ask", "call",
    "require", "requires", "need", "needs",
];

/// Names of servers that are words for other things, too: alone they name none.
pub(super) const EVERYDAY_NAMES: &[&str] = &[
    "api", "apis", "atlas", "aws", "azure", "box", "brave", "browser", "calendar", "chat",
    "chrome", "cloud", "code", "commands", "context", "data", "database", "db", "design", "docker",
    "docs", "documentation", "drive", "email", "everything", "fetch", "figma", "file", "files",
    "filesystem", "git", "github", "gitlab", "google", "graph", "http", "images", "issues", "jira",
    "knowledge", "kubernetes", "linear", "logs", "mail", "maps", "memory", "metrics", "mongodb",
    "mysql", "neon", "network", "news", "notes", "notion", "playwright", "postgres", "postgresql",
    "puppeteer", "python", "reasoning", "redis", "reference", "research", "search", "sentry",
    "shell", "slack", "snowflake", "sources", "spec", "sql", "sqlite", "stripe", "supabase",
    "tasks", "terminal", "test", "tests", "thinking", "tickets", "time", "tools", "vault",
    "weather", "web", "wiki",
];

/// Words before `MCP server` that are not its name.
pub(super) const NO_NAMES: &[&str] = &[
    "a", "all", "an", "any", "appropriate", "available", "configured", "corresponding", "custom",
    "each", "every", "existing", "external", "its", "latest", "local", "new", "no", "official",
    "other", "provided", "relevant", "remote", "required", "right", "same", "specific", "standard",
    "that", "the", "their", "these", "this", "your",
];

/// Sets of Copilot's own tools, which are written like a server's; the last ones are of its early days.
const COPILOT_TOOL_SETS: &[&str] = &[
    "agent", "browser", "edit", "execute", "read", "search", "todo", "vscode", "web", "new",
    "openSimpleBrowser", "runCommands", "runNotebooks", "runTasks",
];

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
        let is_name = !server.is_empty() && !PLACEHOLDERS.contains(&server.as_str());
        if is_name && servers.len() < MAX_SERVERS && !servers.contains(&server) {
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
            let is_own = is_one_of(set, COPILOT_TOOL_SETS);
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

/// "use context7 to …", "through context7", "via the Linear MCP server". A server's name is common in prose about
/// other things, so that it counts only where the text says to use it, or where it means nothing else.
fn named_by_instruction(text: &str) -> impl Iterator<Item = &str> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut servers = Vec::new();
    for (index, written) in words.iter().enumerate() {
        let word = bare(written);
        let word = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
        if word.is_empty() || !word.chars().all(is_name_character) {
            continue;
        }
        let before = |distance: usize| index.checked_sub(distance).map_or("", |at| bare(words[at]));
        let behind = |distance: usize| words.get(index + distance).copied().unwrap_or_default();
        let is_well_known = is_one_of(word, WELL_KNOWN_SERVERS);
        // `(MCP)` and `**MCP` explain the word before them, or begin anew.
        let is_called_mcp = behind(1).starts_with("MCP") && bare(behind(1)) == "MCP";
        let is_to_be_used = is_one_of(before(1), INSTRUMENTS);
        let is_the_one = before(1).eq_ignore_ascii_case("the");
        let is_its_kind = is_one_of(bare(behind(2)), &["server", "tool", "tools"]);
        let is_proper = word.starts_with(|first: char| first.is_ascii_uppercase());
        let is_the_one_to_be_used = is_the_one && is_one_of(before(2), INSTRUMENTS);
        let is_named = is_called_mcp
            && !is_one_of(word, NO_NAMES)
            && ends_openly(written)
            && ((is_proper && is_its_kind && (is_to_be_used || is_the_one))
                || (is_proper && is_to_be_used && !ends_openly(behind(1)))
                || (is_its_kind && is_the_one_to_be_used)
                || is_well_known);
        if is_named || (is_well_known && is_to_be_used) {
            servers.push(word);
        }
    }
    servers.into_iter()
}

/// A word without the marks around it.
pub(super) fn bare(word: &str) -> &str {
    word.trim_matches(|character: char| !character.is_alphanumeric())
}

/// Whether a sentence may go on behind a word.
fn ends_openly(word: &str) -> bool {
    !word.ends_with(['.', ',', ';', ':', '!', '?', ')'])
}

pub(super) fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.iter().any(|other| word.eq_ignore_ascii_case(other))
}

pub(super) fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_')
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::super::Format;
    use super::tool_servers;

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
        assert_eq!(found(&[], "requires the Atlassian MCP Server to be there"), ["atlassian"]);
        assert_eq!(found(&[], "Use the docs MCP server to check."), ["docs"]);
        assert_eq!(found(&[], "Count them using Amplitude MCP."), ["amplitude"]);
        assert_eq!(found(&[], "uses JFrog's MCP tools"), ["jfrog"]);
        assert_eq!(found(&[], "**ALWAYS use context7 MCP** first"), ["context7"]);
    }

    #[test]
    fn what_is_said_about_servers_names_none() {
        let texts = [
            "an MCP server, a playwright of note, tests with Playwright",
            "You build Kotlin MCP servers, using the official MCP SDK.",
            "Model Context Protocol (MCP) servers for Go. MCP tools",
            "- Ensure MCP servers start\n- Validate MCP tools\nElite MCP server expert",
            "If MCP calls fail, use the latest MCP server, with MCP tools",
            "named mcp__server__tool or mcp__<server>__tool",
        ];
        for text in texts {
            let found = tool_servers(Format::ClaudeCode, None, &Map::new(), text);
            assert!(found.is_empty(), "{text}: {found:?}");
        }
    }
}
