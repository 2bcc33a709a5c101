//! The registry of agents: their revisions in PostgreSQL, and a snapshot of the live ones in memory.
//!
//! Everything that answers a request reads the snapshot; only changes and history go to the database.

mod agent;
mod error;
mod follow;
mod places;
mod plan;
mod report;
mod scan;
mod store;
mod sync;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use sqlx::PgPool;

pub use agent::{Agent, AgentSource, AgentState, Roster};
pub use error::RegistryError;
pub use report::{Action, FileReport, Verdict};
pub use scan::{ScannedFile, scan_folder};
pub use store::QuarantinedFile;
pub use sync::{SyncOptions, SyncReport};

use follow::FolderContent;

use crate::definition::{
    self, AgentName, DefinitionError, Diagnostic, KnownWorld, Origin, ParsedDefinition,
};

#[derive(Debug, Clone)]
pub struct Settings {
    pub agents_dir: PathBuf,
    /// Largest agent file, in bytes.
    pub definition_bytes: usize,
    /// What the operator has configured, for the lints.
    pub known_world: KnownWorld,
}

/// A cheap handle to the registry.
#[derive(Debug, Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    settings: Settings,
    roster: ArcSwap<Roster>,
    /// Held while the snapshot is read anew, so that an older one never replaces a newer one.
    refreshing: tokio::sync::Mutex<()>,
    /// What the last sync of this process found in the agents folder. Held during a sync, so that an older state
    /// of the folder never replaces a newer one.
    last_seen: tokio::sync::Mutex<Option<FolderContent>>,
}

/// Who changes an agent, and under which condition.
#[derive(Debug, Clone)]
pub struct Change {
    pub author: String,
    pub precondition: Precondition,
    pub is_dry_run: bool,
}

/// What must be true of the agent before a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    None,
    /// The live revision is this one.
    LiveRevision(i32),
    /// There is such an agent.
    Present,
    /// There is no such agent.
    Absent,
}

/// What a put did, or would do.
#[derive(Debug)]
pub struct PutOutcome {
    pub agent: Arc<Agent>,
    pub is_new: bool,
    pub is_changed: bool,
}

impl Registry {
    /// Connects to the registry and reads its snapshot.
    pub async fn open(pool: PgPool, settings: Settings) -> Result<Self, RegistryError> {
        let inner = Inner {
            pool,
            settings,
            roster: ArcSwap::default(),
            refreshing: tokio::sync::Mutex::default(),
            last_seen: tokio::sync::Mutex::default(),
        };
        let registry = Self { inner: Arc::new(inner) };
        registry.refresh().await?;
        Ok(registry)
    }

    /// The agents as of now.
    pub fn roster(&self) -> Arc<Roster> {
        self.inner.roster.load_full()
    }

    /// Reads the snapshot anew; only agents that changed are parsed again.
    pub async fn refresh(&self) -> Result<Arc<Roster>, RegistryError> {
        let _refreshing = self.inner.refreshing.lock().await;
        let before = self.roster();
        let roster = Arc::new(store::read_roster(&self.inner.pool, &before).await?);
        self.inner.roster.store(Arc::clone(&roster));
        Ok(roster)
    }

    /// Reads the snapshot anew if the roster has changed, by whichever instance.
    pub async fn refresh_if_changed(&self) -> Result<(), RegistryError> {
        let mut connection = self.inner.pool.acquire().await?;
        let revision = store::find_roster_revision(&mut connection).await?;
        drop(connection);
        if revision != self.roster().revision {
            self.refresh().await?;
        }
        Ok(())
    }

    /// Brings the registry in line with the agents folder, in one transaction.
    pub async fn sync(&self, options: SyncOptions) -> Result<SyncReport, RegistryError> {
        let agents_dir = &self.inner.settings.agents_dir;
        if options.prunes && !agents_dir.is_dir() {
            return Err(RegistryError::AgentsFolderMissing(agents_dir.clone()));
        }
        if options.is_dry_run {
            return sync::run(&self.inner.pool, self.scan().await, &options).await;
        }
        let mut last_seen = self.inner.last_seen.lock().await;
        let files = self.scan().await;
        let content = FolderContent::of(&files);
        let report = self.apply(files, &options).await?;
        *last_seen = Some(content);
        Ok(report)
    }

    async fn scan(&self) -> Vec<ScannedFile> {
        let settings = self.inner.settings.clone();
        tokio::task::spawn_blocking(move || scan_folder(&settings))
            .await
            .expect("scanning a folder does not panic")
    }

    async fn apply(
        &self,
        files: Vec<ScannedFile>,
        options: &SyncOptions,
    ) -> Result<SyncReport, RegistryError> {
        let mut report = sync::run(&self.inner.pool, files, options).await?;
        report.roster_revision = self.refresh().await?.revision;
        report.log_changes(&options.author);
        Ok(report)
    }

    /// Reads an agent file as it would be put, with every finding.
    ///
    /// # Errors
    /// [`RegistryError::TooLarge`], or [`RegistryError::InvalidDefinition`].
    pub fn check(
        &self,
        source: &[u8],
        origin: &Origin<'_>,
    ) -> Result<ParsedDefinition, RegistryError> {
        let limit = self.inner.settings.definition_bytes;
        if source.len() > limit {
            return Err(RegistryError::TooLarge { limit_bytes: limit });
        }
        parse_and_lint(source, origin, &self.inner.settings.known_world)
            .map_err(|error| RegistryError::InvalidDefinition(error.into_diagnostics()))
    }

    /// Makes `source` the live revision of `name`. Bytes that are live already make no revision.
    pub async fn put(
        &self,
        name: &AgentName,
        source: &[u8],
        change: Change,
    ) -> Result<PutOutcome, RegistryError> {
        let parsed = self.check(source, &Origin::named(name.as_str()))?;
        if parsed.definition.name != *name {
            return Err(RegistryError::NameMismatch {
                path: name.clone(),
                file: parsed.definition.name,
            });
        }
        let sha256 = sha256_hex(source);
        let mut transaction = store::begin_change(&self.inner.pool).await?;
        let head = store::find_head(&mut transaction, name.as_str()).await?;
        check_precondition(head.as_ref(), change.precondition)?;

        let is_live_already = head
            .as_ref()
            .is_some_and(|head| head.sha256 == sha256 && head.state != AgentState::Archived);
        if is_live_already {
            // The snapshot may be older than what another instance has just put.
            self.refresh().await?;
        }
        if is_live_already || change.is_dry_run {
            let next = store::next_revision(&mut transaction, name.as_str()).await?;
            transaction.rollback().await?;
            let live = self.roster().agents.get(name).filter(|_| is_live_already).cloned();
            let agent = live.unwrap_or_else(|| Arc::new(Agent::unsaved(parsed, sha256, next)));
            return Ok(PutOutcome { agent, is_new: head.is_none(), is_changed: !is_live_already });
        }
        let revision = store::NewRevision {
            sha256: &sha256,
            source_bytes: source,
            parsed: &parsed,
            source: AgentSource::Api,
            author: &change.author,
            folder_labels: &[],
        };
        store::save_revision(&mut transaction, head.as_ref(), &revision).await?;
        store::commit_change(transaction).await?;
        let roster = self.refresh().await?;
        let agent = roster.agents.get(name).cloned().ok_or(RegistryError::NotFound)?;
        Ok(PutOutcome { agent, is_new: head.is_none(), is_changed: true })
    }

    /// Takes an agent out of service. Its revisions stay.
    pub async fn archive(
        &self,
        name: &AgentName,
        change: Change,
    ) -> Result<Arc<Agent>, RegistryError> {
        let mut transaction = store::begin_change(&self.inner.pool).await?;
        let head = store::find_head(&mut transaction, name.as_str()).await?;
        let head = head.ok_or(RegistryError::NotFound)?;
        check_precondition(Some(&head), change.precondition)?;
        store::set_state(&mut transaction, name.as_str(), AgentState::Archived).await?;
        store::commit_change(transaction).await?;
        let roster = self.refresh().await?;
        tracing::info!(agent.name = %name, author = %change.author, "agent archived");
        roster.agents.get(name).cloned().ok_or(RegistryError::NotFound)
    }

    /// The exact bytes of an agent's live revision.
    pub async fn find_source(&self, name: &AgentName) -> Result<Option<Vec<u8>>, RegistryError> {
        Ok(store::find_live_source(&self.inner.pool, name.as_str()).await?)
    }

    /// Files that did not load, in order of path, behind `after`.
    pub async fn list_quarantine(
        &self,
        after: &str,
        limit: i64,
    ) -> Result<Vec<QuarantinedFile>, RegistryError> {
        Ok(store::list_quarantine(&self.inner.pool, after, limit).await?)
    }
}

/// What a sync of an empty registry would say of each file, without a database.
pub fn check_files(files: Vec<ScannedFile>) -> Vec<FileReport> {
    let mut reports = plan::plan(files, &plan::Before::default(), false).reports;
    for report in &mut reports {
        report.action = Action::None;
    }
    reports
}

fn check_precondition(
    head: Option<&store::Head>,
    precondition: Precondition,
) -> Result<(), RegistryError> {
    let live = head.filter(|head| head.state != AgentState::Archived).map(|head| head.revision);
    match precondition {
        Precondition::LiveRevision(wanted) if live != Some(wanted) => {
            Err(RegistryError::RevisionMismatch { live })
        }
        Precondition::Present if live.is_none() => Err(RegistryError::RevisionMismatch { live }),
        Precondition::Absent if live.is_some() => Err(RegistryError::RevisionMismatch { live }),
        _ => Ok(()),
    }
}

fn parse_and_lint(
    source: &[u8],
    origin: &Origin<'_>,
    known_world: &KnownWorld,
) -> Result<ParsedDefinition, DefinitionError> {
    let mut parsed = definition::parse(source, origin)?;
    let findings = definition::lint(&parsed.definition, source, known_world);
    parsed.diagnostics.extend(findings);
    Ok(parsed)
}

fn has_warnings(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.level >= definition::Level::Warning)
}

fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
