//! What the service tells of itself: its log here, its figures in `metrics.rs`, its traces in
//! `traces.rs`. Message texts and secrets are told
//! nowhere.

mod kept;
pub mod metrics;
mod outbox;
pub mod process;
pub mod traces;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

impl LogFormat {
    /// Reads `text` or `json`; nothing at all means the default.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" | "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be text or json".to_owned()),
        }
    }
}

/// Starts logging for the whole process.
///
/// # Errors
/// If the filter cannot be read.
pub fn init(filter: &str, format: LogFormat) -> Result<(), ParseError> {
    let mut parsed = EnvFilter::builder().parse(filter)?;
    // The library logs the messages of tool servers whole; they are shown if a filter names it.
    if !filter.contains("rmcp") {
        parsed = parsed.add_directive("rmcp=error".parse()?);
    }
    let builder = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => {
            builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).init();
        }
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
