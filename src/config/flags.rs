//! Flags and the environment variables that stand in for them.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

/// Settings that every verb takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub struct Flags {
    /// Address to listen on [default: 127.0.0.1:8080]
    #[arg(long, global = true, env = "ROLECALL_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<String>,

    /// PostgreSQL to use, as a URL [default: a private one in the data directory]
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,

    /// Where the service keeps its own files [default: ./.rolecall]
    #[arg(long, global = true, env = "ROLECALL_DATA_DIR", value_name = "DIR", value_parser = path())]
    pub data_dir: Option<PathBuf>,

    /// Folder of agent files [default: ./agents]
    #[arg(long = "agents", global = true, env = "ROLECALL_AGENTS_DIR", value_name = "DIR", value_parser = path())]
    pub agents_dir: Option<PathBuf>,

    /// Configuration file [default: ./rolecall.yaml if it is there]
    #[arg(long, global = true, env = "ROLECALL_CONFIG", value_name = "FILE", value_parser = path())]
    pub config: Option<PathBuf>,

    /// Model to use where none is named, as provider/model
    #[arg(long, global = true, env = "ROLECALL_DEFAULT_MODEL", value_name = "MODEL")]
    pub default_model: Option<String>,

    /// What to log, as tracing directives [default: info for serve, warn for other verbs]
    #[arg(long, global = true, env = "ROLECALL_LOG", value_name = "FILTER")]
    pub log: Option<String>,

    /// How to log: text or json
    #[arg(
        long,
        global = true,
        env = "ROLECALL_LOG_FORMAT",
        value_name = "FORMAT",
        value_parser = crate::telemetry::LogFormat::parse,
        default_value = "text"
    )]
    pub log_format: crate::telemetry::LogFormat,
}

/// A path, which may be empty: clap's own parser refuses a variable that is set to nothing.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

impl Flags {
    /// Variables that are set to nothing count as unset: compose files pass them so.
    #[must_use]
    pub fn without_empty(mut self) -> Self {
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let filled_path = |path: Option<PathBuf>| path.filter(|path| !path.as_os_str().is_empty());
        self.listen = filled(self.listen);
        self.database_url = filled(self.database_url);
        self.data_dir = filled_path(self.data_dir);
        self.agents_dir = filled_path(self.agents_dir);
        self.config = filled_path(self.config);
        self.default_model = filled(self.default_model);
        self.log = filled(self.log);
        self
    }
}
