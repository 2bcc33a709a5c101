//! Reads the roster from the database: only what has changed since it was last read.

mod store;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sqlx::{PgConnection, PgPool};

use super::agent::{Agent, Roster};
use super::error::RegistryError;
use super::store::{Head, find_head, find_roster_revision, list_heads};
use super::{Settings, parse_stored};
use store::{StoredSource, list_sources};

use crate::db::{self, ANSWER_PATIENCE, READ_PATIENCE, in_time};

/// Agents whose sources are read at once. Each may be as large as a definition may be.
const BATCH: usize = 64;

/// Reads the roster as of one moment; what has not changed is taken from `before`.
pub(super) async fn read(
    pool: &PgPool,
    before: &Roster,
    settings: &Settings,
) -> Result<Roster, RegistryError> {
    let mut transaction = in_time(ANSWER_PATIENCE, db::begin(pool)).await?;
    let isolated = sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .execute(&mut *transaction);
    in_time(ANSWER_PATIENCE, isolated).await?;
    let asking = find_roster_revision(&mut transaction);
    let revision = in_time(ANSWER_PATIENCE, asking).await?;
    // An empty roster has read nothing, whatever its revision; and a revision that falls is that of a database that
    // was restored from a backup.
    let is_of_use = !before.agents.is_empty() && before.revision <= revision;
    let (behind, agents) =
        if is_of_use { (before.revision, before.agents.clone()) } else { (-1, BTreeMap::new()) };
    let heads = in_time(READ_PATIENCE, list_heads(&mut transaction, behind)).await?;
    let mut roster = Roster { revision, agents };
    let mut changed = Vec::new();
    for head in heads {
        match roster.agents.get_mut(head.name.as_str()) {
            Some(agent) if agent.revision == head.revision && agent.sha256 == head.sha256 => {
                *agent = Arc::new(with_head(agent, &head));
            }
            _ => changed.push(head),
        }
    }
    while !changed.is_empty() {
        let batch = changed.split_off(changed.len().saturating_sub(BATCH));
        for (name, agent) in read_agents(&mut transaction, batch, settings).await? {
            match agent {
                Ok(agent) => drop(roster.agents.insert(agent.name().clone(), Arc::new(agent))),
                Err(error) => {
                    // One revision that this version cannot read must not keep all others from being served.
                    tracing::error!(%error, "agent left out");
                    roster.agents.remove(name.as_str());
                }
            }
        }
    }
    in_time(ANSWER_PATIENCE, transaction.rollback()).await?;
    Ok(roster)
}

/// An agent as the transaction sees it.
pub(super) async fn find_agent(
    connection: &mut PgConnection,
    name: &str,
    settings: &Settings,
) -> Result<Agent, RegistryError> {
    let head = find_head(connection, name).await?.ok_or(RegistryError::NotFound)?;
    let mut agents = read_agents(connection, vec![head], settings).await?;
    agents.pop().ok_or(RegistryError::NotFound)?.1
}

type NamedAgents = Vec<(String, Result<Agent, RegistryError>)>;

/// The definitions are read from the sources each time, so that the sources are the only truth.
async fn read_agents(
    connection: &mut PgConnection,
    heads: Vec<Head>,
    settings: &Settings,
) -> Result<NamedAgents, RegistryError> {
    let names: Vec<String> = heads.iter().map(|head| head.name.clone()).collect();
    let sources = in_time(READ_PATIENCE, list_sources(connection, &names)).await?;
    let mut heads: HashMap<String, Head> =
        heads.into_iter().map(|head| (head.name.clone(), head)).collect();
    let settings = settings.clone();
    let agents = tokio::task::spawn_blocking(move || {
        let with_heads = sources
            .into_iter()
            .filter_map(|source| heads.remove(&source.name).map(|head| (head, source)));
        with_heads.map(|(head, source)| read_agent(head, &source, &settings)).collect()
    });
    Ok(agents.await.expect("reading a definition does not panic"))
}

fn read_agent(
    head: Head,
    source: &StoredSource,
    settings: &Settings,
) -> (String, Result<Agent, RegistryError>) {
    let parsed = parse_stored(&source.source_bytes, &source.format, &head.name, settings);
    let Some(mut parsed) = parsed else {
        let error =
            RegistryError::StoredDefinition { name: head.name.clone(), revision: head.revision };
        return (head.name, Err(error));
    };
    // A file that names no agent was called something when it came in.
    parsed.definition.display_name = head.display_name;
    let agent = Agent {
        labels: labels(&parsed.definition.labels, &head.folder_labels),
        definition: Arc::new(parsed.definition),
        revision: head.revision,
        sha256: head.sha256,
        format: parsed.format,
        parse_mode: parsed.parse_mode,
        diagnostics: parsed.diagnostics.into(),
        source: head.source,
        state: head.state,
        updated_at: head.updated_at,
    };
    (head.name, Ok(agent))
}

fn with_head(agent: &Agent, head: &Head) -> Agent {
    let mut agent = agent.clone();
    agent.labels = labels(&agent.definition.labels, &head.folder_labels);
    agent.source = head.source;
    agent.state = head.state;
    agent.updated_at = head.updated_at;
    agent
}

fn labels(own: &[String], folders: &[String]) -> Vec<String> {
    let mut labels = own.to_vec();
    labels.extend(folders.iter().filter(|folder| !own.contains(folder)).cloned());
    labels
}
