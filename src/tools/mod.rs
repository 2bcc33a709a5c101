//! The operator's tool servers: who may use which tool, and asking for one.
//!
//! A server speaks MCP, as a child process or at a URL. Only the operator names servers; definitions and callers
//! choose among them. What a model does with the tools is known to `conversation`.

mod offer;
mod outcome;
mod settings;
mod state;
mod tool;

use std::sync::Arc;

use serde_json::Value;

pub use offer::{Offer, Wanted};
pub use outcome::{ToolContent, ToolOutcome};
pub use settings::{Connection, ServerSettings, Settings};
pub use state::{Condition, ServerState, ToolSummary};
pub use tool::ServerTool;

/// A cheap handle to the operator's tool servers.
#[derive(Debug, Clone)]
pub struct ToolServers {
    settings: Arc<Settings>,
}

impl ToolServers {
    /// Starts every server and what watches over it. None is waited for: until it is up it is `starting`.
    pub fn start(settings: Settings) -> Self {
        Self { settings: Arc::new(settings) }
    }

    /// Ends every connection and every child process.
    pub async fn stop(&self) {}

    /// The tools that an agent may use as of now, and the servers that it needs and cannot have.
    ///
    /// The order is the same for the same servers and definition, so that providers can cache the prompt.
    pub fn offer(&self, _wanted: &Wanted<'_>) -> Offer {
        Offer::default()
    }

    /// Asks a tool, within the deadline of the settings. Whatever goes wrong is an outcome that the model can read.
    ///
    /// Dropping the future cancels the call, and the server is told so.
    pub async fn call(&self, tool: &ServerTool, _arguments: &Value) -> ToolOutcome {
        ToolOutcome::error(format!("the tool server `{}` is not connected", tool.server))
    }

    /// Every server with its condition, by name.
    pub fn states(&self) -> Vec<ServerState> {
        let starting = |server: &ServerSettings| ServerState::starting(server);
        self.settings.servers.iter().map(starting).collect()
    }
}
