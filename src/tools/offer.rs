//! Which tools an agent may use.

use std::sync::Arc;

use super::ServerTool;

/// What a definition says of tools: its fields of the same names.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// `None` means every server that the operator has marked as a default.
    pub tools: Option<&'a [String]>,
    /// `disallowed_tools`
    pub disallowed: &'a [String],
    /// `tool_servers`
    pub servers: &'a [String],
}

/// What an agent is offered.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// In an order that stays the same.
    pub tools: Vec<Arc<ServerTool>>,
    /// Servers that the definition names and that are not configured, or not up.
    pub missing: Vec<String>,
}

impl Offer {
    /// The tool that a model means: the one of this name, or the one that a former name of a tool stands for.
    pub fn find(&self, name: &str) -> Option<&Arc<ServerTool>> {
        self.tools.iter().find(|tool| tool.name == name)
    }
}
