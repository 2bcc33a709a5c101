//! The queries about the files of the agents folder, and about what a sync does to many agents at once.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};

use super::super::folder::KnownOutcome;
use super::super::report::Verdict;
use crate::definition::{AgentName, Diagnostic};

/// What was last seen at a path.
#[derive(Debug)]
pub(in crate::registry) struct KnownFile {
    pub sha256: String,
    pub agent: Option<String>,
    pub verdict: String,
    pub was_loaded: bool,
    /// Whether what was found would be found again: same version, same configuration.
    pub is_read_alike: bool,
}

impl KnownFile {
    /// The agent that the file gave, or last gave before it went bad. One that was skipped gave none.
    pub fn served_agent(&self) -> Option<&str> {
        self.agent.as_deref().filter(|_| self.verdict != "skipped")
    }
}

/// What a sync saw at a path, to be remembered.
#[derive(Debug)]
pub(in crate::registry) struct SeenFile {
    pub place: String,
    pub sha256: String,
    pub agent: Option<String>,
    pub verdict: Verdict,
    pub diagnostics: Vec<Diagnostic>,
}

/// A file that did not load.
#[derive(Debug, Serialize)]
pub struct QuarantinedFile {
    pub path: String,
    pub diagnostics: Vec<Diagnostic>,
    pub seen_at: DateTime<Utc>,
}

pub(in crate::registry) async fn list_files(
    connection: &mut PgConnection,
    reading: &str,
) -> Result<BTreeMap<String, KnownFile>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT path, sha256, agent_name, verdict, reading = $1 AS "is_read_alike!"
           FROM agent_files"#,
        reading
    )
    .fetch_all(connection)
    .await?;
    let files = rows.into_iter().map(|row| {
        let was_loaded = row.verdict.starts_with("loaded");
        let file = KnownFile {
            sha256: row.sha256,
            agent: row.agent_name,
            verdict: row.verdict,
            was_loaded,
            is_read_alike: row.is_read_alike,
        };
        (row.path, file)
    });
    Ok(files.collect())
}

/// What the files were found to be that gave agents, by place.
pub(in crate::registry) async fn list_outcomes(
    connection: &mut PgConnection,
    reading: &str,
) -> Result<HashMap<String, KnownOutcome>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT path, sha256, agent_name AS "agent_name!",
            diagnostics AS "diagnostics: Json<Vec<Diagnostic>>"
           FROM agent_files
           WHERE reading = $1 AND verdict IN ('loaded', 'loaded_with_warnings')
            AND agent_name IS NOT NULL"#,
        reading
    )
    .fetch_all(connection)
    .await?;
    let outcomes = rows.into_iter().filter_map(|row| {
        let agent = AgentName::parse(&row.agent_name)?;
        let diagnostics = row.diagnostics.0.into();
        Some((row.path, KnownOutcome { sha256: row.sha256, agent, diagnostics }))
    });
    Ok(outcomes.collect())
}

pub(in crate::registry) async fn save_files(
    connection: &mut PgConnection,
    files: &[SeenFile],
    reading: &str,
) -> Result<(), sqlx::Error> {
    let column = |text: fn(&SeenFile) -> &str| -> Vec<String> {
        files.iter().map(|file| text(file).to_owned()).collect()
    };
    let agents: Vec<Option<String>> = files.iter().map(|file| file.agent.clone()).collect();
    let diagnostics: Vec<Json<&[Diagnostic]>> =
        files.iter().map(|file| Json(file.diagnostics.as_slice())).collect();
    sqlx::query!(
        "INSERT INTO agent_files (path, sha256, agent_name, verdict, diagnostics, reading)
         SELECT path, sha256, agent_name, verdict, diagnostics, $6
         FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::jsonb[])
            AS seen (path, sha256, agent_name, verdict, diagnostics)
         ON CONFLICT (path) DO UPDATE SET
            sha256 = excluded.sha256, agent_name = excluded.agent_name, verdict = excluded.verdict,
            diagnostics = excluded.diagnostics, reading = excluded.reading, seen_at = now()",
        &column(|file| &file.place),
        &column(|file| &file.sha256),
        &agents as _,
        &column(|file| file.verdict.as_str()),
        &diagnostics as _,
        reading,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Brings archived agents back, which are the folder's from now on. One that was disabled is disabled.
pub(in crate::registry) async fn revive(
    connection: &mut PgConnection,
    names: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE agents SET state = CASE WHEN was_disabled THEN 'disabled' ELSE 'live' END,
            source = 'file', updated_at = now()
         WHERE name = ANY($1)",
        names
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(in crate::registry) async fn set_folder_labels(
    connection: &mut PgConnection,
    moved: &[(String, Vec<String>)],
) -> Result<(), sqlx::Error> {
    let names: Vec<String> = moved.iter().map(|(name, _)| name.clone()).collect();
    let labels: Vec<Value> = moved.iter().map(|(_, labels)| labels.clone().into()).collect();
    sqlx::query!(
        "UPDATE agents SET updated_at = now(),
            folder_labels = ARRAY(SELECT jsonb_array_elements_text(moved.labels))
         FROM UNNEST($1::text[], $2::jsonb[]) AS moved (name, labels)
         WHERE agents.name = moved.name",
        &names,
        &labels
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(in crate::registry) async fn delete_files(
    connection: &mut PgConnection,
    paths: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM agent_files WHERE path = ANY($1)", paths).execute(connection).await?;
    Ok(())
}

pub(in crate::registry) async fn list_quarantine(
    pool: &PgPool,
    after: &str,
    limit: i64,
) -> Result<Vec<QuarantinedFile>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT path, diagnostics AS "diagnostics: Json<Vec<Diagnostic>>", seen_at
           FROM agent_files WHERE verdict = 'quarantined' AND path COLLATE "C" > $1
           ORDER BY path COLLATE "C" LIMIT $2"#,
        after,
        limit
    )
    .fetch_all(pool)
    .await?;
    let files = rows.into_iter().map(|row| QuarantinedFile {
        path: row.path,
        diagnostics: row.diagnostics.0,
        seen_at: row.seen_at,
    });
    Ok(files.collect())
}
