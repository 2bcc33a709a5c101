//! Which servers there are, as the operator says.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};

/// The settings of all tool servers.
#[derive(Debug, Clone)]
pub struct Settings {
    pub servers: Vec<ServerSettings>,
    /// How long a call may take.
    pub call_timeout: Duration,
    /// A longer result is cut, and the model is told.
    pub result_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            call_timeout: Duration::from_secs(30),
            result_bytes: 1024 * 1024,
        }
    }
}

/// One tool server.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    pub name: String,
    /// Whether agents that name no tools have it.
    pub is_default: bool,
    pub connection: Connection,
}

/// How a server is reached.
#[derive(Clone)]
pub enum Connection {
    /// A child process, spoken to over its standard input and output. Its environment is `env` and a few variables
    /// that programs need; nothing else of ours.
    Command { command: String, args: Vec<String>, env: BTreeMap<String, String> },
    /// Streamable HTTP.
    Url { url: Uri, headers: Vec<(HeaderName, HeaderValue)> },
}

/// Arguments, variables and headers may be secrets.
impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Command { command, .. } => {
                formatter.debug_struct("Command").field("command", command).finish_non_exhaustive()
            }
            Self::Url { url, .. } => {
                formatter.debug_struct("Url").field("host", &url.host()).finish_non_exhaustive()
            }
        }
    }
}
