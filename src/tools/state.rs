//! How a server is, as operators see it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// Whether a server can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It has not answered yet.
    Starting,
    Up,
    Down,
}

/// How a server is spoken with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// It is a child process.
    Stdio,
    /// It has a URL.
    Http,
}

/// Who has named a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The configuration file.
    Config,
    /// Somebody, by the admin API.
    Api,
}

/// A tool server and its condition.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ServerState {
    pub name: String,
    /// `stdio` for a child process, `http` for a URL.
    #[schema(value_type = String)]
    pub transport: Transport,
    /// Whether agents that name no tools have it.
    pub default: bool,
    /// `config` if the configuration file names it, `api` if it came by the admin API.
    #[schema(value_type = String)]
    pub source: Source,
    pub state: Condition,
    /// Since when it is so.
    pub since: DateTime<Utc>,
    /// Why it is down.
    pub error: Option<String>,
    /// What the server says it is, and the version of the protocol that is spoken with it.
    pub server: Option<String>,
    pub protocol_version: Option<String>,
    /// What it has, or had when it was last up.
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
