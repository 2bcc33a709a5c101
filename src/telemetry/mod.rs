//! What the service tells of itself: its log here, its figures in `metrics.rs`, its traces in `traces.rs`. Message texts
//! and secrets are told nowhere.

mod causes;
mod kept;
pub mod metrics;
mod outbox;
mod process;
pub mod traces;

use std::io::IsTerminal;

pub use causes::causes;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format;

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
    // The library logs the messages of tool servers whole, and the URL of one that it cannot reach, which may hold a
    // secret. What an operator needs of them is logged by `tools`; the rest is shown if a filter names the library.
    if !filter.contains("rmcp") {
        parsed = parsed.add_directive("rmcp=off".parse()?);
    }
    let builder = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(std::io::stderr);
    match format {
        LogFormat::Text if std::io::stderr().is_terminal() => builder.with_target(false).init(),
        LogFormat::Text => {
            builder.with_target(false).with_ansi(false).fmt_fields(plain_fields()).init();
        }
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Fields as the library writes them where there are no colours: its own way to do so takes half of the time of a line.
fn plain_fields() -> impl for<'writer> FormatFields<'writer> + Send + Sync + 'static {
    format::debug_fn(|writer, field, value| match field.name() {
        // It comes first.
        "message" => write!(writer, "{value:?}"),
        // Where a line of the `log` crate comes from.
        name if name.starts_with("log.") => Ok(()),
        name => write!(writer, " {name}={value:?}"),
    })
}
