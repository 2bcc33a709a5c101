//! Which servers there are, as the operator says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};

use super::Transport;

/// The settings of all tool servers.
#[derive(Debug, Clone)]
pub struct Settings {
    pub servers: Vec<ServerSettings>,
    /// How long a call may take.
    pub call_timeout: Duration,
    /// A longer result is cut, and the model is told.
    pub result_bytes: usize,
    /// How often it is looked whether a server still answers.
    pub probe_interval: Duration,
    /// Tools of well-known servers that were renamed: the server, what its tool was called, what it is called now.
    pub renamed: &'static [(&'static str, &'static str, &'static str)],
    /// What every child process finds in its environment, beside what its entry says.
    pub environment: BTreeMap<String, String>,
    /// The program whose verb `guard-tool-server` watches over a child process: this one.
    pub guard: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            call_timeout: Duration::from_secs(30),
            result_bytes: 1024 * 1024,
            probe_interval: Duration::from_secs(30),
            renamed: &[],
            environment: BTreeMap::new(),
            guard: own_program(),
        }
    }
}

/// The link is followed in the child, so that it is this program even if its file has been replaced meanwhile.
#[cfg(target_os = "linux")]
fn own_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

#[cfg(not(target_os = "linux"))]
fn own_program() -> PathBuf {
    std::env::current_exe().unwrap_or_default()
}

/// One tool server.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerSettings {
    pub name: String,
    /// Whether agents that name no tools have it.
    pub is_default: bool,
    pub connection: Connection,
    /// What the environment gave to the connection.
    pub secrets: Secrets,
}

/// Texts that are told nowhere, wherever in a connection they stand.
#[derive(Clone, Default, PartialEq)]
pub struct Secrets(pub Vec<String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secrets(…)")
    }
}

/// How a server is reached.
#[derive(Clone, PartialEq)]
pub enum Connection {
    /// A child process, spoken to over its standard input and output. Its environment is `env` and a few variables
    /// that programs need; nothing else of ours.
    Command { command: String, args: Vec<String>, env: BTreeMap<String, String> },
    /// Streamable HTTP.
    Url { url: Uri, headers: Vec<(HeaderName, HeaderValue)> },
}

impl Connection {
    pub(super) fn transport(&self) -> Transport {
        match self {
            Self::Command { .. } => Transport::Stdio,
            Self::Url { .. } => Transport::Http,
        }
    }
}

/// Arguments, variables and headers may be secrets, and so may the path of a URL.
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

/// Most servers that there can be: each may be a process.
pub const MAX_SERVERS: usize = 64;

/// What is wrong with a server's name, if anything. A name is a part of every name of its tools.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let is_word = |character: char| character.is_ascii_alphanumeric();
    let is_allowed = |character: char| is_word(character) || matches!(character, '-' | '_' | '.');
    if name.is_empty() || name.len() > 40 {
        return Err("a tool server's name has 1 to 40 characters");
    }
    if !name.chars().all(is_allowed) {
        return Err("a tool server's name consists of letters, digits, `-`, `_` and `.`");
    }
    // `__` separates the server from the tool.
    if name.contains("__") || !name.starts_with(is_word) || !name.ends_with(is_word) {
        return Err(
            "a tool server's name begins and ends with a letter or digit, and holds no `__`",
        );
    }
    Ok(())
}
