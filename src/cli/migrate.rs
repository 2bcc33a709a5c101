//! `rolecall migrate`

use std::process::ExitCode;

use rolecall::config::Config;
use rolecall::db::MIGRATOR;
use serde_json::json;

use super::{open_database, print_json, print_text};

pub(super) async fn run(config: Config, as_json: bool) -> anyhow::Result<ExitCode> {
    let database = open_database(&config).await?;
    let version = MIGRATOR.iter().map(|migration| migration.version).max();
    if as_json {
        print_json(&json!({"database": database.description, "schema_version": version}))?;
    } else {
        print_text(&format!("database: {}\nthe schema is up to date", database.description))?;
    }
    database.close().await;
    Ok(ExitCode::SUCCESS)
}
