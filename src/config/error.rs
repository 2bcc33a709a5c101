//! What is wrong with the configuration. No text holds a secret.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

use super::place::Place;

/// Where something is set, and under which name.
#[derive(Debug)]
pub enum Origin {
    Key {
        place: Place,
        key: String,
    },
    /// A variable of the environment, or a flag that it stands in for.
    Variable(&'static str),
}

impl Display for Origin {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { place, key } => write!(formatter, "{place}: `{key}`"),
            Self::Variable(name) => write!(formatter, "`{name}`"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("failed to read {}", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to read {}: {message}", .path.display())]
    Invalid { path: PathBuf, message: String },
    #[error(
        "{} line {line}: `{key}` refers to the environment variable `{variable}`, which is not set \
         (write ${{{variable}:-}} if it may be)",
        .path.display()
    )]
    UnsetVariable { path: PathBuf, line: usize, key: String, variable: String },
    #[error("{place}: `{key}: judge` needs a judge, and `dispatch.judge` is not set")]
    NoJudge { place: Place, key: &'static str },
    #[error(
        "{place}: `on_none: default_agent` needs an agent, and `dispatch.default_agent` is not set"
    )]
    NoDefaultAgent { place: Place },
    #[error(
        "{origin} is `{model}`, which is no alias, no known model's id, and no `provider/model`"
    )]
    JudgeModel { origin: Origin, model: String },
    #[error("{origin} must be `provider/model`, not `{model}`")]
    DefaultModel { origin: Origin, model: String },
    #[error(
        "{origin} names the provider `{provider}`, which is neither built in nor under `providers`"
    )]
    UnknownProvider { origin: Origin, provider: String },
    #[error("{origin} of the provider `{provider}` {message}")]
    Provider { origin: Origin, provider: String, message: String },
    #[error("{place}: tool server `{name}`: {message}")]
    ToolServer { place: Place, name: String, message: String },
    #[error("there can be {0} tool servers at most")]
    TooManyToolServers(usize),
    #[error("{0}")]
    Models(String),
    #[error("{0} is no URL that begins with http:// or https://")]
    OtlpEndpoint(Origin),
}
