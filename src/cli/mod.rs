//! The verbs of the command line.

mod check;
mod eval;
mod eval_table;
mod export;
mod key;
mod migrate;
mod pick;
mod serve;
mod sync;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rolecall::config::{Config, Flags};
use rolecall::db::{Database, Opener};
use rolecall::telemetry;

/// Serves and dispatches AI agents: picks the right agent for a request, says why, and streams its answer.
#[derive(Debug, Parser)]
#[command(name = "rolecall", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    flags: Flags,

    /// Print JSON for programs
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve (the default)
    Serve,
    /// Lint agent files: a verdict a file; the exit code is 1 if one is quarantined
    Check(check::Args),
    /// Bring the registry in line with the agents folder
    Sync(sync::Args),
    /// Write the agents' files, as they came in, to a folder
    Export(export::Args),
    /// Pick an agent for a text, from a folder, without server or database
    Pick(pick::Args),
    /// Measure how well requests find their agents, from a folder, without server or database
    Eval(eval::Args),
    /// Bring the database's schema up to date
    Migrate,
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Key(key::Args),
    /// Print the OpenAPI document
    Openapi,
}

/// Runs the verb that the command line asks for.
pub fn run() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    let flags = cli.flags.without_empty();
    let verb = cli.verb.unwrap_or(Verb::Serve);
    // `notify` warns when a watched folder is deleted, which is nothing to warn of.
    let default_filter =
        if matches!(verb, Verb::Serve) { "info,sqlx=warn,notify=error" } else { "warn" };
    telemetry::init(flags.log.as_deref().unwrap_or(default_filter), flags.log_format)?;
    if matches!(verb, Verb::Openapi) {
        print_text(&rolecall::http::openapi().to_pretty_json()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let config = Config::load(&flags)?;
    match verb {
        Verb::Check(args) => check::run(&args, &config, cli.json),
        Verb::Pick(args) => pick::run(&args, &config, cli.json),
        Verb::Eval(args) => eval::run(&args, &config, cli.json),
        verb => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            let result = runtime.block_on(async {
                match verb {
                    Verb::Sync(args) => sync::run(&args, config, cli.json).await,
                    Verb::Export(args) => export::run(&args, config, cli.json).await,
                    Verb::Migrate => migrate::run(config, cli.json).await,
                    Verb::Key(args) => key::run(args, config, cli.json).await,
                    _ => serve::run(config).await,
                }
            });
            // A fit to the roster may be under way in a thread of its own, for seconds. Nothing of it would be kept.
            runtime.shutdown_background();
            result
        }
    }
}

/// Opens the database for a verb and brings its schema up to date.
async fn open_database(config: &Config) -> anyhow::Result<Database> {
    let database = Database::open(&config.db, Opener::Command).await?;
    if let Err(error) = database.migrate().await {
        database.close().await;
        return Err(error.into());
    }
    Ok(database)
}

fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print_text(&serde_json::to_string_pretty(value)?)
}

/// Prints lines. A reader who has seen enough (`| head`) is no error.
fn print_text(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
