//! `rolecall sync`

use std::process::ExitCode;

use rolecall::audit::Author;
use rolecall::config::Config;
use rolecall::registry::{Action, SyncOptions, SyncReport, Verdict, sync_once};

use super::{open_database, print_json, print_text};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only tell what would be done
    #[arg(long)]
    dry_run: bool,

    /// Archive the agents of files that are gone
    #[arg(long)]
    prune: bool,
}

pub(super) async fn run(args: &Args, config: Config, as_json: bool) -> anyhow::Result<ExitCode> {
    let database = open_database(&config).await?;
    let options = SyncOptions {
        is_dry_run: args.dry_run,
        prunes: args.prune,
        author: Author::without_key("rolecall sync"),
    };
    let report = sync_once(&database.pool, &config.registry, &options).await;
    database.close().await;
    let report = report?;
    if as_json {
        print_json(&report)?;
    } else {
        print_text(&describe(&report))?;
    }
    let is_bad = report.files.iter().any(|file| file.verdict == Verdict::Quarantined);
    Ok(if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn describe(report: &SyncReport) -> String {
    let mut lines = Vec::new();
    for file in &report.files {
        if file.verdict == Verdict::Quarantined {
            lines.push(format!("quarantined  {}", file.path));
            lines.extend(file.diagnostics.iter().map(|diagnostic| {
                format!("             line {}: {}", diagnostic.line, diagnostic.message)
            }));
        } else if !matches!(file.action, Action::Unchanged | Action::None) {
            let action = serde_json::to_value(file.action).unwrap_or_default();
            lines.push(format!("{:<12} {}", action.as_str().unwrap_or_default(), file.path));
        }
    }
    let count = report.files.iter().filter(|file| file.action.changes_agent()).count();
    let would = if report.is_dry_run { "would change" } else { "changed" };
    lines.push(format!(
        "{count} of {} files {would} the roster (revision {})",
        report.files.len(),
        report.roster_revision
    ));
    lines.join("\n")
}
