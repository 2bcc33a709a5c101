//! The registry's queries.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool, Postgres};

use super::agent::{Agent, AgentSource, AgentState, Roster};
use super::error::RegistryError;
use super::report::Verdict;
use crate::definition::{self, Diagnostic, Format, Origin, ParseMode, ParsedDefinition};

pub(super) type Transaction = sqlx::Transaction<'static, Postgres>;

/// The advisory lock under which the registry is changed; the number is arbitrary and must stay.
const LOCK: i64 = 0x726f_6c65_6361_6c6c;

/// An agent without its definition.
#[derive(Debug)]
pub(super) struct Head {
    pub name: String,
    display_name: String,
    pub source: AgentSource,
    pub state: AgentState,
    pub revision: i32,
    pub sha256: String,
    pub folder_labels: Vec<String>,
    updated_at: DateTime<Utc>,
}

struct HeadRow {
    name: String,
    display_name: String,
    source: String,
    state: String,
    live_revision: i32,
    sha256: String,
    folder_labels: Vec<String>,
    updated_at: DateTime<Utc>,
}

impl From<HeadRow> for Head {
    fn from(row: HeadRow) -> Self {
        Self {
            name: row.name,
            display_name: row.display_name,
            source: AgentSource::from_column(&row.source),
            state: AgentState::from_column(&row.state),
            revision: row.live_revision,
            sha256: row.sha256,
            folder_labels: row.folder_labels,
            updated_at: row.updated_at,
        }
    }
}

/// What was last seen at a path.
#[derive(Debug)]
pub(super) struct KnownFile {
    pub sha256: String,
    pub agent: Option<String>,
    pub verdict: String,
    pub was_loaded: bool,
}

impl KnownFile {
    /// The agent that the file gave, or last gave before it went bad. One that was skipped gave none.
    pub fn served_agent(&self) -> Option<&str> {
        self.agent.as_deref().filter(|_| self.verdict != "skipped")
    }
}

/// What a sync saw at a path, to be remembered.
#[derive(Debug)]
pub(super) struct SeenFile {
    pub place: String,
    pub sha256: String,
    pub agent: Option<String>,
    pub verdict: Verdict,
    pub diagnostics: Vec<Diagnostic>,
}

/// A revision to be written.
pub(super) struct NewRevision<'a> {
    pub sha256: &'a str,
    pub source_bytes: &'a [u8],
    pub parsed: &'a ParsedDefinition,
    pub source: AgentSource,
    pub author: &'a str,
    pub folder_labels: &'a [String],
}

/// A file that did not load.
#[derive(Debug, Serialize)]
pub struct QuarantinedFile {
    pub path: String,
    pub diagnostics: Vec<Diagnostic>,
    pub seen_at: DateTime<Utc>,
}

/// Begins a transaction that is alone in changing the registry.
pub(super) async fn begin_change(pool: &PgPool) -> Result<Transaction, sqlx::Error> {
    let mut transaction = pool.begin().await?;
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

pub(super) async fn list_heads(
    connection: &mut PgConnection,
) -> Result<BTreeMap<String, Head>, sqlx::Error> {
    let rows = sqlx::query_as!(
        HeadRow,
        "SELECT name, display_name, agents.source, state, live_revision, sha256, folder_labels,
            updated_at
         FROM agents JOIN revisions ON agent_name = name AND revision = live_revision"
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.name.clone(), Head::from(row))).collect())
}

pub(super) async fn find_head(
    connection: &mut PgConnection,
    name: &str,
) -> Result<Option<Head>, sqlx::Error> {
    let row = sqlx::query_as!(
        HeadRow,
        "SELECT name, display_name, agents.source, state, live_revision, sha256, folder_labels,
            updated_at
         FROM agents JOIN revisions ON agent_name = name AND revision = live_revision
         WHERE name = $1",
        name
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Head::from))
}

/// Which revision is live, by name.
pub(super) async fn list_live_revisions(
    connection: &mut PgConnection,
    names: &[String],
) -> Result<BTreeMap<String, i32>, sqlx::Error> {
    let rows = sqlx::query!("SELECT name, live_revision FROM agents WHERE name = ANY($1)", names)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.live_revision)).collect())
}

/// The number of the revision that an agent would get next. Numbers are never used again.
pub(super) async fn next_revision(
    connection: &mut PgConnection,
    name: &str,
) -> Result<i32, sqlx::Error> {
    let last =
        sqlx::query_scalar!("SELECT max(revision) FROM revisions WHERE agent_name = $1", name)
            .fetch_one(connection)
            .await?;
    Ok(last.unwrap_or(0) + 1)
}

/// Writes a revision and makes it live. An archived agent is revived; a disabled one stays disabled.
pub(super) async fn save_revision(
    connection: &mut PgConnection,
    head: Option<&Head>,
    new: &NewRevision<'_>,
) -> Result<(), sqlx::Error> {
    let definition = &new.parsed.definition;
    let name = definition.name.as_str();
    let revision = next_revision(connection, name).await?;
    let state = match head.map(|head| head.state) {
        Some(AgentState::Disabled) => AgentState::Disabled,
        _ => AgentState::Live,
    };
    sqlx::query!(
        "INSERT INTO agents (name, display_name, source, state, folder_labels, live_revision)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (name) DO UPDATE SET
            display_name = excluded.display_name, source = excluded.source, state = excluded.state,
            folder_labels = excluded.folder_labels, live_revision = excluded.live_revision,
            updated_at = now()",
        name,
        definition.display_name,
        new.source.as_str(),
        state.as_str(),
        new.folder_labels,
        revision,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "INSERT INTO revisions
            (agent_name, revision, sha256, source_bytes, format, parse_mode, diagnostics, source, author)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        name,
        revision,
        new.sha256,
        new.source_bytes,
        new.parsed.format.as_str(),
        new.parsed.parse_mode.as_str(),
        Json(&new.parsed.diagnostics) as _,
        new.source.as_str(),
        new.author,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes a stored revision live. An archived agent is revived; a disabled one stays disabled.
pub(super) async fn set_live(
    connection: &mut PgConnection,
    name: &str,
    revision: i32,
    display_name: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE agents SET live_revision = $2, display_name = $3, updated_at = now(),
            state = CASE WHEN state = 'archived' THEN 'live' ELSE state END
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
    name: &str,
    state: AgentState,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE agents SET state = $2, updated_at = now() WHERE name = $1",
        name,
        state.as_str()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Brings an agent back, which is a file's from now on.
pub(super) async fn revive(connection: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE agents SET state = 'live', source = 'file', updated_at = now() WHERE name = $1",
        name
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn set_folder_labels(
    connection: &mut PgConnection,
    name: &str,
    folder_labels: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE agents SET folder_labels = $2, updated_at = now() WHERE name = $1",
        name,
        folder_labels
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn find_live_source(
    pool: &PgPool,
    name: &str,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT source_bytes FROM agents JOIN revisions ON agent_name = name AND revision = live_revision
         WHERE name = $1",
        name
    )
    .fetch_optional(pool)
    .await
}

pub(super) async fn list_files(
    connection: &mut PgConnection,
) -> Result<BTreeMap<String, KnownFile>, sqlx::Error> {
    let rows = sqlx::query!("SELECT path, sha256, agent_name, verdict FROM agent_files")
        .fetch_all(connection)
        .await?;
    let files = rows.into_iter().map(|row| {
        let was_loaded = row.verdict.starts_with("loaded");
        let file = KnownFile {
            sha256: row.sha256,
            agent: row.agent_name,
            verdict: row.verdict,
            was_loaded,
        };
        (row.path, file)
    });
    Ok(files.collect())
}

pub(super) async fn save_file(
    connection: &mut PgConnection,
    file: &SeenFile,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO agent_files (path, sha256, agent_name, verdict, diagnostics)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (path) DO UPDATE SET
            sha256 = excluded.sha256, agent_name = excluded.agent_name, verdict = excluded.verdict,
            diagnostics = excluded.diagnostics, seen_at = now()",
        file.place,
        file.sha256,
        file.agent,
        file.verdict.as_str(),
        Json(&file.diagnostics) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn delete_files(
    connection: &mut PgConnection,
    paths: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM agent_files WHERE path = ANY($1)", paths).execute(connection).await?;
    Ok(())
}

pub(super) async fn list_quarantine(
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

/// Reads the whole roster as of one moment; what has not changed is taken from `before`.
pub(super) async fn read_roster(pool: &PgPool, before: &Roster) -> Result<Roster, RegistryError> {
    let mut transaction = pool.begin().await?;
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .execute(&mut *transaction)
        .await?;
    let revision = find_roster_revision(&mut transaction).await?;
    let heads = list_heads(&mut transaction).await?;
    let mut roster = Roster { revision, agents: BTreeMap::new() };
    for head in heads.into_values() {
        let same = before
            .agents
            .get(head.name.as_str())
            .filter(|agent| agent.revision == head.revision && agent.sha256 == head.sha256);
        let agent = match same {
            Some(agent) => with_head(agent, &head),
            None => match read_agent(&mut transaction, &head).await {
                Err(error @ RegistryError::StoredDefinition { .. }) => {
                    // One revision that this version cannot read must not keep all others from being served.
                    tracing::error!(%error, "agent left out");
                    continue;
                }
                agent => agent?,
            },
        };
        roster.agents.insert(agent.name().clone(), Arc::new(agent));
    }
    transaction.rollback().await?;
    Ok(roster)
}

fn with_head(agent: &Agent, head: &Head) -> Agent {
    let mut agent = agent.clone();
    agent.labels = labels(&agent.definition.labels, &head.folder_labels);
    agent.source = head.source;
    agent.state = head.state;
    agent.updated_at = head.updated_at;
    agent
}

/// An agent as the transaction sees it.
pub(super) async fn find_agent(
    connection: &mut PgConnection,
    name: &str,
) -> Result<Agent, RegistryError> {
    let head = find_head(connection, name).await?.ok_or(RegistryError::NotFound)?;
    read_agent(connection, &head).await
}

/// The definition is read from the source each time, so that the source is the only truth.
async fn read_agent(connection: &mut PgConnection, head: &Head) -> Result<Agent, RegistryError> {
    let row = sqlx::query!(
        r#"SELECT source_bytes, format, parse_mode, diagnostics AS "diagnostics: Json<Vec<Diagnostic>>"
           FROM revisions WHERE agent_name = $1 AND revision = $2"#,
        head.name,
        head.revision
    )
    .fetch_one(connection)
    .await?;
    let unreadable =
        || RegistryError::StoredDefinition { name: head.name.clone(), revision: head.revision };
    let origin = Origin {
        format: Some(Format::find(&row.format).ok_or_else(unreadable)?),
        ..Origin::named(&head.name)
    };
    let mut parsed = definition::parse(&row.source_bytes, &origin).map_err(|_| unreadable())?;
    // A file that names no agent was called something when it came in.
    parsed.definition.display_name.clone_from(&head.display_name);
    let parse_mode = if row.parse_mode == "scan" { ParseMode::Scan } else { ParseMode::Strict };
    Ok(Agent {
        labels: labels(&parsed.definition.labels, &head.folder_labels),
        definition: Arc::new(parsed.definition),
        revision: head.revision,
        sha256: head.sha256.clone(),
        format: parsed.format,
        parse_mode,
        diagnostics: row.diagnostics.0.into(),
        source: head.source,
        state: head.state,
        updated_at: head.updated_at,
    })
}

fn labels(own: &[String], folders: &[String]) -> Vec<String> {
    let mut labels = own.to_vec();
    labels.extend(folders.iter().filter(|folder| !own.contains(folder)).cloned());
    labels
}
