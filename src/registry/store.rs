//! The queries by which agents and their revisions are changed.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool, Postgres};

use super::Source;
use super::agent::{AgentSource, AgentState};
use crate::db;
use crate::definition::{Diagnostic, ParsedDefinition};

pub(super) type Transaction = sqlx::Transaction<'static, Postgres>;

/// The advisory lock under which the registry is changed; the number is arbitrary and must stay.
const LOCK: i64 = 0x726f_6c65_6361_6c6c;

/// An agent without its definition.
#[derive(Debug)]
pub(super) struct Head {
    pub name: String,
    pub display_name: String,
    pub source: AgentSource,
    pub state: AgentState,
    /// Of an archived agent: whether it was disabled before.
    pub was_disabled: bool,
    pub revision: i32,
    pub sha256: String,
    pub format: String,
    pub folder_labels: Vec<String>,
    pub updated_at: DateTime<Utc>,
}

struct HeadRow {
    name: String,
    display_name: String,
    source: String,
    state: String,
    was_disabled: bool,
    live_revision: i32,
    sha256: String,
    format: String,
    folder_labels: Vec<String>,
    updated_at: DateTime<Utc>,
}

/// Asks for agents with their live revisions.
macro_rules! query_heads {
    ($condition:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            HeadRow,
            "SELECT name, display_name, agents.source, state, was_disabled, live_revision, sha256, format, folder_labels,
                updated_at
             FROM agents JOIN revisions ON agent_name = name AND revision = live_revision "
                + $condition
            $(, $argument)*
        )
    };
}

impl From<HeadRow> for Head {
    fn from(row: HeadRow) -> Self {
        Self {
            name: row.name,
            display_name: row.display_name,
            source: AgentSource::from_column(&row.source),
            state: AgentState::from_column(&row.state),
            was_disabled: row.was_disabled,
            revision: row.live_revision,
            sha256: row.sha256,
            format: row.format,
            folder_labels: row.folder_labels,
            updated_at: row.updated_at,
        }
    }
}

impl Head {
    /// The state that another live revision leaves: an archived agent is revived, and one that is disabled, or was
    /// when it was archived, is disabled. The queries below do the same.
    pub fn next_state(&self) -> AgentState {
        let is_off = match self.state {
            AgentState::Archived => self.was_disabled,
            state => state == AgentState::Disabled,
        };
        if is_off { AgentState::Disabled } else { AgentState::Live }
    }
}

/// A revision to be written.
pub(super) struct NewRevision<'a> {
    pub sha256: &'a str,
    pub source_bytes: &'a [u8],
    pub parsed: &'a ParsedDefinition,
    pub folder_labels: &'a [String],
}

/// Most bytes of sources that are written at once.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Begins a transaction that is alone in changing the registry.
pub(super) async fn begin_change(pool: &PgPool) -> Result<Transaction, sqlx::Error> {
    let mut transaction = db::begin(pool).await?;
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", LOCK).execute(&mut *transaction).await?;
    Ok(transaction)
}

/// Counts the change and commits it. Returns the roster's revision with it.
pub(super) async fn commit_change(mut transaction: Transaction) -> Result<i64, sqlx::Error> {
    let revision = sqlx::query_scalar!(
        "UPDATE change_counters SET roster_revision = roster_revision + 1 RETURNING roster_revision"
    )
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(revision)
}

pub(super) async fn find_roster_revision(
    connection: &mut PgConnection,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!("SELECT roster_revision FROM change_counters").fetch_one(connection).await
}

/// The agents that changed behind a revision of the roster; all of them behind revision -1.
pub(super) async fn list_heads(
    connection: &mut PgConnection,
    behind: i64,
) -> Result<Vec<Head>, sqlx::Error> {
    let rows = query_heads!("WHERE roster_revision > $1", behind).fetch_all(connection).await?;
    Ok(rows.into_iter().map(Head::from).collect())
}

pub(super) async fn find_head(
    connection: &mut PgConnection,
    name: &str,
) -> Result<Option<Head>, sqlx::Error> {
    let row = query_heads!("WHERE name = $1", name).fetch_optional(connection).await?;
    Ok(row.map(Head::from))
}

/// Which revision is live, by name.
pub(super) async fn list_live_revisions(
    connection: &mut PgConnection,
    names: &[String],
) -> Result<HashMap<String, i32>, sqlx::Error> {
    let rows = sqlx::query!("SELECT name, live_revision FROM agents WHERE name = ANY($1)", names)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.live_revision)).collect())
}

/// The number of the last revision of each agent that has one. Numbers are never used again.
pub(super) async fn last_revisions(
    connection: &mut PgConnection,
    names: &[String],
) -> Result<HashMap<String, i32>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT agent_name, max(revision) AS "revision!" FROM revisions
           WHERE agent_name = ANY($1) GROUP BY agent_name"#,
        names
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.agent_name, row.revision)).collect())
}

/// Writes revisions of different agents and makes them live. An archived agent is revived; a disabled one stays
/// disabled, and so does one that was when it was archived.
pub(super) async fn save_revisions(
    connection: &mut PgConnection,
    revisions: &[NewRevision<'_>],
    source: AgentSource,
    author: &str,
) -> Result<(), sqlx::Error> {
    let mut rest = revisions;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest.iter().take_while(|revision| {
            bytes += revision.source_bytes.len();
            bytes <= BATCH_BYTES
        });
        let (batch, others) = rest.split_at(fitting.count().max(1));
        save_batch(connection, batch, source, author).await?;
        rest = others;
    }
    Ok(())
}

async fn save_batch(
    connection: &mut PgConnection,
    batch: &[NewRevision<'_>],
    source: AgentSource,
    author: &str,
) -> Result<(), sqlx::Error> {
    let names: Vec<String> =
        batch.iter().map(|revision| revision.parsed.definition.name.to_string()).collect();
    let last = last_revisions(connection, &names).await?;
    let numbers: Vec<i32> =
        names.iter().map(|name| last.get(name).copied().unwrap_or(0) + 1).collect();
    save_agents(connection, batch, &names, &numbers, source).await?;
    let hashes: Vec<&str> = batch.iter().map(|revision| revision.sha256).collect();
    let formats: Vec<&str> = batch.iter().map(|revision| revision.parsed.format.as_str()).collect();
    let modes: Vec<&str> =
        batch.iter().map(|revision| revision.parsed.parse_mode.as_str()).collect();
    let sources: Vec<&[u8]> = batch.iter().map(|revision| revision.source_bytes).collect();
    let diagnostics: Vec<Json<&[Diagnostic]>> =
        batch.iter().map(|revision| Json(revision.parsed.diagnostics.as_slice())).collect();
    sqlx::query!(
        "INSERT INTO revisions
            (agent_name, revision, sha256, source_bytes, format, parse_mode, diagnostics, source, author)
         SELECT name, number, sha256, source_bytes, format, parse_mode, diagnostics, $8, $9
         FROM UNNEST($1::text[], $2::integer[], $3::text[], $4::bytea[], $5::text[], $6::text[],
            $7::jsonb[])
            AS new (name, number, sha256, source_bytes, format, parse_mode, diagnostics)",
        &names,
        &numbers,
        &hashes as _,
        &sources as _,
        &formats as _,
        &modes as _,
        &diagnostics as _,
        source.as_str(),
        author,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn save_agents(
    connection: &mut PgConnection,
    batch: &[NewRevision<'_>],
    names: &[String],
    numbers: &[i32],
    source: AgentSource,
) -> Result<(), sqlx::Error> {
    let display_names: Vec<String> =
        batch.iter().map(|revision| revision.parsed.definition.display_name.clone()).collect();
    // Lists of lists have to be of one length in an array, and need not be in JSON.
    let labels: Vec<Value> =
        batch.iter().map(|revision| revision.folder_labels.to_vec().into()).collect();
    sqlx::query!(
        "INSERT INTO agents (name, display_name, source, folder_labels, live_revision)
         SELECT name, display_name, $5, ARRAY(SELECT jsonb_array_elements_text(labels)), number
         FROM UNNEST($1::text[], $2::text[], $3::jsonb[], $4::integer[])
            AS new (name, display_name, labels, number)
         ON CONFLICT (name) DO UPDATE SET
            display_name = excluded.display_name, source = excluded.source,
            state = CASE
                WHEN agents.state = 'disabled' THEN 'disabled'
                WHEN agents.state = 'archived' AND agents.was_disabled THEN 'disabled'
                ELSE 'live' END,
            folder_labels = excluded.folder_labels, live_revision = excluded.live_revision,
            updated_at = now()",
        names,
        &display_names,
        &labels,
        numbers,
        source.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes a stored revision live. An archived agent is revived; a disabled one stays disabled, and so does one that was
/// when it was archived.
pub(super) async fn set_live(
    connection: &mut PgConnection,
    name: &str,
    revision: i32,
    display_name: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE agents SET live_revision = $2, display_name = $3, updated_at = now(),
            state = CASE
                WHEN state <> 'archived' THEN state
                WHEN was_disabled THEN 'disabled'
                ELSE 'live' END
         WHERE name = $1",
        name,
        revision,
        display_name
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn set_state(
    connection: &mut PgConnection,
    names: &[String],
    state: AgentState,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE agents SET was_disabled = state = 'disabled', state = $2, updated_at = now()
         WHERE name = ANY($1)",
        names,
        state.as_str()
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn find_live_source(
    pool: &PgPool,
    name: &str,
) -> Result<Option<Source>, sqlx::Error> {
    sqlx::query_as!(
        Source,
        "SELECT source_bytes AS bytes, format
         FROM agents JOIN revisions ON agent_name = name AND revision = live_revision
         WHERE name = $1",
        name
    )
    .fetch_optional(pool)
    .await
}
