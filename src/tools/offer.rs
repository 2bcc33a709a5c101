//! Which tools an agent may use.

use std::sync::Arc;

use super::selection::Selection;
use super::{Condition, ServerTool};

/// What a definition says of tools: its fields of the same names.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// `None` means every server that the operator has marked as a default.
    pub tools: Option<&'a [String]>,
    /// `disallowed_tools`
    pub disallowed: &'a [String],
    /// `tool_servers`
    pub servers: &'a [String],
    /// `possible_servers`
    pub possible_servers: &'a [String],
}

/// What an agent is offered.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// In an order that stays the same: by server, then as the server lists them.
    pub tools: Vec<Arc<ServerTool>>,
    /// Servers that the definition names and that are not configured, or not up.
    pub missing: Vec<String>,
    /// Servers that are configured and that the definition commands to use by their bare name.
    pub commanded: Vec<String>,
    renamed: &'static [(&'static str, &'static str, &'static str)],
}

/// A server as far as an offer looks at it.
pub(super) struct Candidate<'a> {
    pub name: &'a str,
    pub is_default: bool,
    pub condition: Condition,
    pub tools: &'a [Arc<ServerTool>],
}

impl Offer {
    /// Chooses among the servers, which are in order.
    pub(super) fn choose(
        wanted: &Wanted<'_>,
        servers: &[Candidate<'_>],
        renamed: &'static [(&'static str, &'static str, &'static str)],
    ) -> Self {
        let is_configured =
            |name: &&String| servers.iter().any(|server| server.name.eq_ignore_ascii_case(name));
        let commanded: Vec<String> =
            wanted.possible_servers.iter().filter(is_configured).cloned().collect();
        let named = [wanted.servers, &commanded].concat();
        let selection = Selection::new(&Wanted { servers: &named, ..*wanted }, renamed);
        let mut offer = Self { commanded, renamed, ..Self::default() };
        for server in servers {
            // Tools that were listed before a server went down cannot be asked.
            if server.condition == Condition::Up {
                let chosen = server
                    .tools
                    .iter()
                    .filter(|tool| selection.takes(server.name, server.is_default, &tool.tool));
                offer.tools.extend(chosen.cloned());
            }
        }
        for name in &named {
            let is_up = servers.iter().any(|server| {
                server.name.eq_ignore_ascii_case(name) && server.condition == Condition::Up
            });
            if !is_up && !selection.forbids_server(name) && !offer.missing.contains(name) {
                offer.missing.push(name.clone());
            }
        }
        offer
    }

    /// The tool that a model means: the one of this name, or the one that a former name of it stands for.
    pub fn find(&self, name: &str) -> Option<&Arc<ServerTool>> {
        let named = |name: &str| self.tools.iter().find(|tool| tool.name == name);
        named(name).or_else(|| {
            self.renamed.iter().find_map(|(server, old, new)| {
                (name == format!("mcp__{server}__{old}"))
                    .then(|| named(&format!("mcp__{server}__{new}")))?
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Map;

    use super::{Candidate, Offer, Wanted};
    use crate::tools::{Condition, ServerTool};

    const RENAMED: &[(&str, &str, &str)] = &[("context7", "get-library-docs", "query-docs")];

    /// What a definition is offered by `context7` (a default), `github` (none) and `broken` (a default, down).
    fn offer(tools: Option<&str>, disallowed: &str, servers: &str) -> Offer {
        offer_of(tools, disallowed, servers, "")
    }

    fn offer_of(tools: Option<&str>, disallowed: &str, servers: &str, possible: &str) -> Offer {
        let tool = |server, tool| Arc::new(ServerTool::new(server, tool, "", Map::new()));
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let (tools, disallowed, servers) = (tools.map(words), words(disallowed), words(servers));
        let possible_servers = words(possible);
        let context7 = [tool("context7", "resolve-library-id"), tool("context7", "query-docs")];
        let github = [tool("github", "get_issue"), tool("github", "create_issue")];
        let broken = [tool("broken", "b")];
        let candidate =
            |name, is_default, condition, tools| Candidate { name, is_default, condition, tools };
        let candidates = [
            candidate("broken", true, Condition::Down, &broken[..]),
            candidate("context7", true, Condition::Up, &context7[..]),
            candidate("github", false, Condition::Up, &github[..]),
        ];
        let wanted = Wanted {
            tools: tools.as_deref(),
            disallowed: &disallowed,
            servers: &servers,
            possible_servers: &possible_servers,
        };
        Offer::choose(&wanted, &candidates, RENAMED)
    }

    fn names(offer: &Offer) -> String {
        let names: Vec<&str> = offer.tools.iter().map(|tool| tool.tool.as_str()).collect();
        names.join(" ")
    }

    #[test]
    fn no_list_means_the_defaults_and_what_the_definition_names() {
        assert_eq!(names(&offer(None, "", "")), "resolve-library-id query-docs");
        let all = "resolve-library-id query-docs get_issue create_issue";
        assert_eq!(names(&offer(None, "", "github")), all);
    }

    #[test]
    fn a_name_that_is_commanded_is_a_server_if_there_is_one() {
        let chosen = offer_of(Some("Read"), "", "", "github broken care");
        assert_eq!(names(&chosen), "get_issue create_issue");
        assert_eq!(
            (chosen.commanded.join(" "), chosen.missing.join(" ")),
            ("github broken".into(), "broken".into())
        );
    }

    #[test]
    fn a_list_restricts_and_an_instruction_adds() {
        assert_eq!(names(&offer(Some("Read Bash"), "", "")), "");
        let both = "resolve-library-id query-docs";
        assert_eq!(names(&offer(Some("Read"), "", "context7")), both);
        assert_eq!(names(&offer(Some("mcp__context7__query-docs"), "", "context7")), "query-docs");
        assert_eq!(names(&offer(Some("mcp__context7__*"), "", "context7")), both);
        assert_eq!(names(&offer(Some("mcp__context7"), "", "context7")), both);
        assert_eq!(names(&offer(Some("mcp__GitHub__get_*"), "", "github")), "get_issue");
        assert_eq!(names(&offer(Some("mcp__*"), "", "")), both);
        assert_eq!(names(&offer(Some(""), "", "")), "");
    }

    #[test]
    fn other_formats_select_in_their_way() {
        assert_eq!(names(&offer(Some("github/get_issue"), "", "github")), "get_issue");
        let both = "get_issue create_issue";
        assert_eq!(names(&offer(Some("github/*"), "", "github")), both);
        assert_eq!(
            names(&offer(Some("github/github-mcp-server/get_issue"), "", "github")),
            "get_issue"
        );
        assert_eq!(names(&offer(Some("mcp_github_get_issue"), "", "github")), "get_issue");
        assert_eq!(names(&offer(Some("github_*"), "", "github")), both);
        assert_eq!(names(&offer(Some("github*"), "", "github")), both);
    }

    #[test]
    fn what_is_disallowed_is_taken_away() {
        assert_eq!(names(&offer(None, "mcp__context7__query-docs", "")), "resolve-library-id");
        assert_eq!(names(&offer(None, "mcp__context7", "")), "");
        assert_eq!(names(&offer(None, "mcp__*", "context7")), "");
        assert_eq!(
            names(&offer(None, "Bash mcp__context7__get-library-docs", "")),
            "resolve-library-id"
        );
    }

    #[test]
    fn former_names_are_understood() {
        let offer = offer(Some("mcp__context7__get-library-docs"), "", "context7");
        assert_eq!(names(&offer), "query-docs");
        let found = offer.find("mcp__context7__get-library-docs").expect("is found");
        assert_eq!(found.tool, "query-docs");
        assert!(offer.find("Read").is_none());
    }

    #[test]
    fn needed_servers_that_are_not_up_are_missing() {
        assert_eq!(offer(None, "", "linear broken context7").missing, ["linear", "broken"]);
        assert!(offer(None, "mcp__linear", "linear").missing.is_empty());
        // A default that nobody asks for is no need.
        assert!(offer(None, "", "").missing.is_empty());
    }
}
