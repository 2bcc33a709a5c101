//! The queries of an export.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

/// The live revision of an agent that answers or is switched off.
#[derive(Debug)]
pub(super) struct Entry {
    pub name: String,
    pub revision: i32,
    /// Where in the agents folder the agent was found.
    pub places: Vec<String>,
    /// The folders between the root and its file.
    pub folder_labels: Vec<String>,
}

/// What a revision holds.
pub(super) struct Stored {
    pub source_bytes: Vec<u8>,
    pub sha256: String,
    pub format: String,
    pub created_at: DateTime<Utc>,
}

pub(super) async fn list_entries(pool: &PgPool) -> Result<Vec<Entry>, sqlx::Error> {
    sqlx::query_as!(
        Entry,
        r#"SELECT name, live_revision AS revision, folder_labels, ARRAY(
                SELECT path FROM agent_files
                WHERE agent_name = name AND verdict <> 'skipped' ORDER BY path COLLATE "C"
           ) AS "places!"
           FROM agents WHERE state <> 'archived' ORDER BY name COLLATE "C""#
    )
    .fetch_all(pool)
    .await
}

/// Revisions by the agents' names. They cannot have changed since they were listed.
pub(super) async fn find_revisions(
    pool: &PgPool,
    entries: &[Entry],
) -> Result<HashMap<String, Stored>, sqlx::Error> {
    let names: Vec<String> = entries.iter().map(|entry| entry.name.clone()).collect();
    let revisions: Vec<i32> = entries.iter().map(|entry| entry.revision).collect();
    let rows = sqlx::query!(
        "SELECT agent_name, source_bytes, sha256, format, created_at
         FROM revisions JOIN UNNEST($1::text[], $2::integer[]) AS wanted (name, number)
            ON agent_name = name AND revision = number",
        &names,
        &revisions
    )
    .fetch_all(pool)
    .await?;
    let stored = rows.into_iter().map(|row| {
        let stored = Stored {
            source_bytes: row.source_bytes,
            sha256: row.sha256,
            format: row.format,
            created_at: row.created_at,
        };
        (row.agent_name, stored)
    });
    Ok(stored.collect())
}
