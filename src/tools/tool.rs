//! One tool of a server.

use serde_json::Value;

/// A tool that a server has, as of the moment it was offered.
#[derive(Debug)]
pub struct ServerTool {
    /// What models call it: `mcp__<server>__<tool>`, of letters, digits, `_` and `-`, at most 64 of them.
    pub name: String,
    pub server: String,
    /// What the server calls it.
    pub tool: String,
    pub description: String,
    /// JSON Schema of the arguments: always an object with `"type": "object"`.
    pub parameters: Value,
}
