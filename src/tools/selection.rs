//! How a definition's lists name tools of servers, in each of the formats.

use super::Wanted;

type Renamed = &'static [(&'static str, &'static str, &'static str)];

/// A definition's lists, ready to be asked about a tool.
pub(super) struct Selection<'a> {
    allowed: Option<Vec<Entry<'a>>>,
    disallowed: Vec<Entry<'a>>,
    servers: &'a [String],
    renamed: Renamed,
}

/// One entry of a list.
struct Entry<'a> {
    text: &'a str,
}

impl<'a> Selection<'a> {
    pub fn new(wanted: &Wanted<'a>, renamed: Renamed) -> Self {
        let entries =
            |list: &'a [String]| list.iter().map(String::as_str).map(Entry::new).collect();
        Self {
            allowed: wanted.tools.map(entries),
            disallowed: entries(wanted.disallowed),
            servers: wanted.servers,
            renamed,
        }
    }

    /// Whether the agent may use a server's tool.
    pub fn takes(&self, server: &str, is_default: bool, tool: &str) -> bool {
        let is_named = self.servers.iter().any(|name| name.eq_ignore_ascii_case(server));
        let matches = |entries: &[Entry<'_>]| self.any_matches(entries, server, is_named, tool);
        let is_none_allowed = self.disallowed.iter().any(Entry::means_every_server);
        if is_none_allowed || matches(&self.disallowed) {
            return false;
        }
        let Some(allowed) = &self.allowed else { return is_default || is_named };
        if matches(allowed) || (is_default && allowed.iter().any(Entry::means_every_server)) {
            return true;
        }
        // Named by an instruction or a field alone: the list says nothing of the server.
        is_named && !allowed.iter().any(|entry| entry.is_of(server))
    }

    /// Whether nothing of a server may be used.
    pub fn forbids_server(&self, server: &str) -> bool {
        self.disallowed
            .iter()
            .any(|entry| entry.means_every_server() || entry.tool_of(server, true) == Some("*"))
    }

    fn any_matches(&self, entries: &[Entry<'_>], server: &str, is_named: bool, tool: &str) -> bool {
        let former = self.renamed.iter().filter(|(renamed_server, _, new)| {
            renamed_server.eq_ignore_ascii_case(server) && *new == tool
        });
        let names: Vec<&str> =
            std::iter::once(tool).chain(former.map(|(_, old, _)| *old)).collect();
        entries.iter().any(|entry| {
            let pattern = entry.tool_of(server, is_named);
            pattern.is_some_and(|pattern| names.iter().any(|name| is_like(name, pattern)))
        })
    }
}

impl<'a> Entry<'a> {
    /// What stands in parentheses restricts arguments, which is a coding client's matter.
    fn new(text: &'a str) -> Self {
        Self { text: text.split('(').next().unwrap_or(text).trim() }
    }

    fn means_every_server(&self) -> bool {
        matches!(self.text, "mcp__*" | "mcp__*__*" | "mcp__" | "mcp_*")
    }

    fn is_of(&self, server: &str) -> bool {
        self.tool_of(server, true).is_some()
    }

    /// The tool or pattern that the entry names of a server, if it names the server. The ways of other clients than
    /// Claude Code count for a server that the definition's reading has recognised in them: `github_*` could be anything.
    fn tool_of(&self, server: &str, is_recognised: bool) -> Option<&'a str> {
        if self.means_every_server() {
            return None;
        }
        if let Some(rest) = self.text.strip_prefix("mcp__") {
            let (name, tool) = rest.split_once("__").unwrap_or((rest, "*"));
            return is_server(name, server).then_some(tool);
        }
        if !is_recognised {
            return None;
        }
        if let Some((set, tool)) = self.text.rsplit_once('/') {
            let name = set.rsplit('/').next().unwrap_or(set);
            let bare = ["-mcp-server", "-mcp"].iter().find_map(|end| name.strip_suffix(end));
            return is_server(bare.unwrap_or(name), server).then_some(tool);
        }
        let rest = self.text.strip_prefix("mcp_").unwrap_or(self.text);
        let (name, rest) = rest.split_at_checked(server.len())?;
        if !is_server(name, server) {
            return None;
        }
        if rest == "*" { Some("*") } else { rest.strip_prefix('_') }
    }
}

/// Clients write other characters of a server's name as `_`.
fn is_server(written: &str, server: &str) -> bool {
    written.len() == server.len()
        && written.bytes().zip(server.bytes()).all(|(written, actual)| {
            written.eq_ignore_ascii_case(&actual)
                || (written == b'_' && !actual.is_ascii_alphanumeric())
        })
}

/// Whether a name fits a pattern that may end in `*`.
fn is_like(name: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}
