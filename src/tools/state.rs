//! How a server is, as operators see it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Connection, ServerSettings};

/// Whether a server can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It has not answered yet.
    Starting,
    Up,
    Down,
}

/// A tool server and its condition.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ServerState {
    pub name: String,
    /// `stdio` or `http`.
    pub transport: &'static str,
    /// Whether agents that name no tools have it.
    pub default: bool,
    pub state: Condition,
    /// Since when it is so.
    pub since: DateTime<Utc>,
    /// Why it is down.
    pub error: Option<String>,
    pub tools: Vec<ToolSummary>,
}

/// A tool, as far as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ToolSummary {
    /// As the server calls it.
    pub name: String,
    /// As models are offered it.
    pub offered_as: String,
    pub description: String,
}

impl ServerState {
    pub(super) fn starting(server: &ServerSettings) -> Self {
        Self {
            name: server.name.clone(),
            transport: match server.connection {
                Connection::Command { .. } => "stdio",
                Connection::Url { .. } => "http",
            },
            default: server.is_default,
            state: Condition::Starting,
            since: Utc::now(),
            error: None,
            tools: Vec::new(),
        }
    }
}
