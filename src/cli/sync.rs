//! `rolecall sync`

use std::process::ExitCode;

use rolecall::config::Config;
use rolecall::registry::{Action, Registry, SyncOptions, SyncReport, Verdict};

use super::{open_database, print_json};

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
        author: "rolecall sync".to_owned(),
    };
    let report = async {
        let registry = Registry::open(database.pool.clone(), config.registry).await?;
        registry.sync(options).await
    }
    .await;
    database.close().await;
    let report = report?;
    if as_json {
        print_json(&report)?;
    } else {
        print(&report);
    }
    let is_bad = report.files.iter().any(|file| file.verdict == Verdict::Quarantined);
    Ok(if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(report: &SyncReport) {
    let changed = |action| !matches!(action, Action::Unchanged | Action::None);
    for file in &report.files {
        if changed(file.action) || file.verdict == Verdict::Quarantined {
            let action = serde_json::to_value(file.action).unwrap_or_default();
            let what = match file.verdict {
                Verdict::Quarantined => "quarantined",
                _ => action.as_str().unwrap_or_default(),
            };
            println!("{what:<12} {}", file.path);
            if file.verdict == Verdict::Quarantined {
                for diagnostic in &file.diagnostics {
                    println!("             line {}: {}", diagnostic.line, diagnostic.message);
                }
            }
        }
    }
    let count = report.files.iter().filter(|file| changed(file.action)).count();
    let would = if report.is_dry_run { "would change" } else { "changed" };
    println!(
        "{count} of {} files {would} the roster (revision {})",
        report.files.len(),
        report.roster_revision
    );
}
