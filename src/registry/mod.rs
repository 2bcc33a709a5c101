//! The registry of agents: their revisions in PostgreSQL, and a snapshot of the live ones in memory.
//!
//! Everything that answers a request reads the snapshot; only changes and history go to the database.

mod agent;
mod change;
mod error;
mod export;
mod folder;
mod history;
mod lifecycle;
mod put;
mod report;
mod snapshot;
mod store;
mod sync;
mod trail;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use sqlx::PgPool;

pub use agent::{Agent, AgentSource, AgentState, Roster};
pub use change::{Change, ChangeOutcome, Precondition};
pub use error::RegistryError;
pub use export::{Export, ExportedFile};
pub use folder::{KnownOutcomes, ScannedFile, scan_folder};
pub use history::{Revision, RevisionDetail};
pub use put::PutOutcome;
pub use report::{Action, FileReport, Verdict};
pub use sync::{QuarantinedFile, SyncOptions, SyncReport, sync_once};

use folder::FolderContent;

use crate::db::{ANSWER_PATIENCE, in_time};
use crate::definition::{
    self, AgentName, DefinitionError, Diagnostic, Format, KnownWorld, Origin, ParsedDefinition,
};

#[derive(Debug, Clone)]
pub struct Settings {
    pub agents_dir: PathBuf,
    /// Largest agent file, in bytes.
    pub definition_bytes: usize,
    /// What the operator has configured, for the lints.
    pub known_world: KnownWorld,
}

impl Settings {
    /// Names the way in which files are read: another version, or another configuration, may find other things.
    fn reading(&self) -> String {
        let way = format!("{} {:?}", env!("CARGO_PKG_VERSION"), self.known_world);
        sha256_hex(way.as_bytes())[..16].to_owned()
    }
}

/// An agent's file as it came in.
#[derive(Debug)]
pub struct Source {
    pub bytes: Vec<u8>,
    /// The name of the format, which may be one that this version does not know.
    pub format: String,
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
    /// Held while this process changes the registry.
    changing: tokio::sync::Mutex<()>,
    /// Held while the snapshot is read anew, so that an older one never replaces a newer one.
    refreshing: tokio::sync::Mutex<()>,
    /// What the last sync of this process found in the agents folder. Held during a sync, so that an older state
    /// of the folder never replaces a newer one.
    last_seen: tokio::sync::Mutex<Option<FolderContent>>,
}

impl Registry {
    /// Connects to the registry and reads its snapshot.
    pub async fn open(pool: PgPool, settings: Settings) -> Result<Self, RegistryError> {
        let inner = Inner {
            pool,
            settings,
            roster: ArcSwap::default(),
            changing: tokio::sync::Mutex::default(),
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
    pub async fn refresh(&self) -> Result<(), RegistryError> {
        let _refreshing = self.inner.refreshing.lock().await;
        self.read_snapshot().await
    }

    /// Reads the snapshot anew unless it is of this revision or a later one: of many changes at once, most find
    /// themselves in what another has read.
    async fn refresh_to(&self, revision: i64) -> Result<(), RegistryError> {
        let _refreshing = self.inner.refreshing.lock().await;
        if self.roster().revision >= revision {
            return Ok(());
        }
        self.read_snapshot().await
    }

    async fn read_snapshot(&self) -> Result<(), RegistryError> {
        let roster = snapshot::read(&self.inner.pool, &self.roster(), &self.inner.settings).await?;
        self.inner.roster.store(Arc::new(roster));
        Ok(())
    }

    /// Reads the snapshot anew if the roster has changed, by whichever instance.
    pub async fn refresh_if_changed(&self) -> Result<(), RegistryError> {
        let mut connection = self.inner.pool.acquire().await?;
        let asking = store::find_roster_revision(&mut connection);
        let revision = in_time(ANSWER_PATIENCE, asking).await?;
        drop(connection);
        if revision != self.roster().revision {
            self.refresh().await?;
        }
        Ok(())
    }

    /// Begins an export of the roster's own bytes.
    pub async fn export(&self) -> Result<Export, RegistryError> {
        Export::begin(&self.inner.pool).await
    }

    /// The exact bytes of an agent's live revision.
    pub async fn find_source(&self, name: &AgentName) -> Result<Option<Source>, RegistryError> {
        Ok(store::find_live_source(&self.inner.pool, name.as_str()).await?)
    }

    /// Files that did not load, in order of path, behind `after`.
    pub async fn list_quarantine(
        &self,
        after: &str,
        limit: i64,
    ) -> Result<Vec<QuarantinedFile>, RegistryError> {
        Ok(sync::list_quarantine(&self.inner.pool, after, limit).await?)
    }
}

/// What a sync of an empty registry would say of each file, without a database.
pub fn check_files(files: Vec<ScannedFile>) -> Vec<FileReport> {
    let mut reports = sync::plan(files, &sync::Before::default(), false).reports;
    for report in &mut reports {
        report.action = Action::None;
    }
    reports
}

fn parse_and_lint(
    source: &[u8],
    origin: &Origin<'_>,
    known_world: &KnownWorld,
) -> Result<ParsedDefinition, DefinitionError> {
    let mut parsed = definition::parse(source, origin)?;
    let findings = definition::lint(&parsed, source, known_world);
    parsed.diagnostics.extend(findings);
    Ok(parsed)
}

/// Reads a revision as it is stored; `None` if this version cannot, or finds another agent in it.
fn parse_stored(
    source: &[u8],
    format: &str,
    name: &str,
    settings: &Settings,
) -> Option<ParsedDefinition> {
    let origin = Origin { format: Some(Format::find(format)?), ..Origin::named(name) };
    let parsed = parse_and_lint(source, &origin, &settings.known_world).ok()?;
    (parsed.definition.name.as_str() == name).then_some(parsed)
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
