//! `rolecall export`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use rolecall::config::Config;
use rolecall::registry::{Export, ExportedFile};
use serde_json::json;
use sqlx::PgPool;

use super::{open_database, print_json, print_text};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder to write to; it must be empty or not exist
    dir: PathBuf,
}

pub(super) async fn run(args: &Args, config: Config, as_json: bool) -> anyhow::Result<ExitCode> {
    prepare_folder(&args.dir)?;
    let database = open_database(&config).await?;
    let exported = export(&database.pool, &args.dir).await;
    database.close().await;
    let files = exported?;
    if as_json {
        print_json(&json!({"files": files}))?;
    } else {
        print_text(&format!("{} agents written to {}", files.len(), args.dir.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Nothing that lies there is written over.
fn prepare_folder(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("failed to make the folder {}", folder.display()))?;
    let mut entries = std::fs::read_dir(folder)
        .with_context(|| format!("failed to read the folder {}", folder.display()))?;
    if entries.next().is_some() {
        bail!("the folder {} is not empty; name a new one", folder.display());
    }
    Ok(())
}

async fn export(pool: &PgPool, folder: &Path) -> anyhow::Result<Vec<serde_json::Value>> {
    let mut export = Export::begin(pool).await?;
    let mut written = Vec::new();
    loop {
        let files = export.next_files().await?;
        if files.is_empty() {
            return Ok(written);
        }
        for file in files {
            write(folder, &file)?;
            let ExportedFile { path, agent, revision, sha256, .. } = file;
            written.push(
                json!({"path": path, "agent": agent, "revision": revision, "sha256": sha256}),
            );
        }
    }
}

fn write(folder: &Path, file: &ExportedFile) -> anyhow::Result<()> {
    let path = folder.join(&file.path);
    let parent = path.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent)
        .and_then(|()| std::fs::write(&path, &file.source))
        .with_context(|| format!("failed to write {}", path.display()))
}
