//! The queries about revisions.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};

use super::super::agent::AgentSource;
use super::Revision;
use crate::definition::{Diagnostic, ParseMode};

struct Row {
    revision: i32,
    sha256: String,
    created_at: DateTime<Utc>,
    author: String,
    source: String,
    format: String,
    parse_mode: String,
    is_live: bool,
}

/// Asks for revisions of agents.
macro_rules! query_revisions {
    ($condition:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT revision, sha256, revisions.created_at, author, revisions.source, format, parse_mode,
                revision = live_revision AS "is_live!"
             FROM revisions JOIN agents ON name = agent_name "#
                + $condition
            $(, $argument)*
        )
    };
}

impl From<Row> for Revision {
    fn from(row: Row) -> Self {
        let is_scan = row.parse_mode == ParseMode::Scan.as_str();
        Self {
            revision: row.revision,
            sha256: row.sha256,
            created_at: row.created_at,
            author: row.author,
            source: AgentSource::from_column(&row.source),
            format: row.format,
            parse_mode: if is_scan { ParseMode::Scan } else { ParseMode::Strict },
            is_live: row.is_live,
        }
    }
}

/// What a revision holds.
pub(in crate::registry) struct Content {
    pub source_bytes: Vec<u8>,
    pub diagnostics: Vec<Diagnostic>,
    pub format: String,
}

pub(super) async fn agent_exists(
    connection: &mut PgConnection,
    name: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM agents WHERE name = $1) AS "exists!""#, name)
        .fetch_one(connection)
        .await
}

pub(super) async fn list(
    connection: &mut PgConnection,
    name: &str,
    before: Option<i32>,
    limit: i64,
) -> Result<Vec<Revision>, sqlx::Error> {
    let rows = query_revisions!(
        "WHERE agent_name = $1 AND ($2::integer IS NULL OR revision < $2)
           ORDER BY revision DESC LIMIT $3",
        name,
        before,
        limit
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Revision::from).collect())
}

pub(super) async fn find(
    pool: &PgPool,
    name: &str,
    revision: i32,
) -> Result<Option<Revision>, sqlx::Error> {
    let row = query_revisions!("WHERE agent_name = $1 AND revision = $2", name, revision)
        .fetch_optional(pool)
        .await?;
    Ok(row.map(Revision::from))
}

pub(in crate::registry) async fn find_content(
    connection: &mut PgConnection,
    name: &str,
    revision: i32,
) -> Result<Option<Content>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT source_bytes, diagnostics AS "diagnostics: Json<Vec<Diagnostic>>", format
           FROM revisions WHERE agent_name = $1 AND revision = $2"#,
        name,
        revision
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Content {
        source_bytes: row.source_bytes,
        diagnostics: row.diagnostics.0,
        format: row.format,
    }))
}
