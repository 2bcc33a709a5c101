//! What is wrong with the configuration. No text holds a secret.

use std::path::PathBuf;

use super::place::Place;

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
        "`dispatch.judge.model` is `{0}`, which is no alias, no known model's id, and no `provider/model`"
    )]
    JudgeModel(String),
    #[error("the default model must be `provider/model`, not `{0}`")]
    DefaultModel(String),
    #[error("a model names the provider `{0}`, which is neither built in nor under `providers`")]
    UnknownProvider(String),
    #[error("provider `{provider}`: {message}")]
    Provider { provider: String, message: String },
    #[error("{place}: tool server `{name}`: {message}")]
    ToolServer { place: Place, name: String, message: String },
    #[error("there can be {0} tool servers at most")]
    TooManyToolServers(usize),
    #[error("{0}")]
    Models(String),
    #[error(
        "telemetry.otlp_endpoint, or OTEL_EXPORTER_OTLP_ENDPOINT, is no URL that begins with http:// or https://"
    )]
    OtlpEndpoint,
}
