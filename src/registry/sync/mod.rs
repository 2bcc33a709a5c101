//! One sync: plan, then apply, in one transaction under the registry's lock.

mod plan;
mod store;

use std::collections::HashMap;

use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use super::agent::{AgentSource, AgentState};
use super::error::RegistryError;
use super::folder::{FolderContent, KnownOutcomes, ScannedFile, scan_folder};
use super::report::{FileReport, Verdict};
use super::store::{self as registry_store, NewRevision};
use super::{Registry, Settings, trail};
use crate::audit::{self, Author};

pub(super) use plan::{Before, Plan, plan};
pub use store::QuarantinedFile;
use store::list_files;
pub(super) use store::list_quarantine;

/// How to sync.
#[derive(Debug, Clone)]
pub struct SyncOptions {
    /// Only tell what would be done.
    pub is_dry_run: bool,
    /// Archive the agents of files that are gone.
    pub prunes: bool,
    /// Who asked for it.
    pub author: Author,
}

/// What a sync did, or would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct SyncReport {
    #[serde(rename = "dry_run")]
    pub is_dry_run: bool,
    pub roster_revision: i64,
    pub files: Vec<FileReport>,
}

impl SyncReport {
    pub(super) fn quarantined(&self) -> impl Iterator<Item = &FileReport> {
        self.files.iter().filter(|file| file.verdict == Verdict::Quarantined)
    }

    /// One line, if any agent has changed.
    pub(super) fn log_changes(&self, author: &str) {
        let agents = self.files.iter().filter(|file| file.action.changes_agent()).count();
        if agents > 0 {
            let quarantined = self.quarantined().count();
            let revision = self.roster_revision;
            tracing::info!(
                author,
                agents,
                quarantined,
                roster.revision = revision,
                "agents changed"
            );
        }
    }
}

impl Registry {
    /// Brings the registry in line with the agents folder, in one transaction.
    pub async fn sync(&self, options: SyncOptions) -> Result<SyncReport, RegistryError> {
        check_folder(&self.inner.settings, &options)?;
        let mut last_seen = self.inner.last_seen.lock().await;
        // Who asks for a sync wants every file read.
        let known = known_outcomes(&self.inner.pool, &self.inner.settings).await?;
        let files = scan(&self.inner.settings, known).await;
        if options.is_dry_run {
            let _turn = self.inner.take_turn().await?;
            return run(&self.inner.pool, &self.inner.settings, files, &options).await;
        }
        let content = FolderContent::of(&files);
        let report = self.apply(files, &options).await?;
        *last_seen = Some(content);
        Ok(report)
    }

    /// Reads the folder, but for what nobody has written to since it was last seen.
    pub(super) async fn scan_changed(
        &self,
        last_seen: Option<&FolderContent>,
    ) -> Result<Vec<ScannedFile>, RegistryError> {
        let known = match last_seen {
            Some(content) => content.known_outcomes(&self.roster()),
            None => known_outcomes(&self.inner.pool, &self.inner.settings).await?,
        };
        Ok(scan(&self.inner.settings, known).await)
    }

    /// Applies what a scan has found.
    pub(super) async fn apply(
        &self,
        files: Vec<ScannedFile>,
        options: &SyncOptions,
    ) -> Result<SyncReport, RegistryError> {
        let turn = self.inner.take_turn().await?;
        let report = run(&self.inner.pool, &self.inner.settings, files, options).await?;
        drop(turn);
        self.refresh_to(report.roster_revision).await?;
        report.log_changes(&options.author.name);
        Ok(report)
    }
}

/// Brings the registry in line with the agents folder, for a process that serves no roster.
pub async fn sync_once(
    pool: &PgPool,
    settings: &Settings,
    options: &SyncOptions,
) -> Result<SyncReport, RegistryError> {
    check_folder(settings, options)?;
    let known = known_outcomes(pool, settings).await?;
    let files = scan(settings, known).await;
    run(pool, settings, files, options).await
}

/// A folder that is absent, or cannot be read, must not be taken for one whose files are all gone.
fn check_folder(settings: &Settings, options: &SyncOptions) -> Result<(), RegistryError> {
    let folder = &settings.agents_dir;
    if !options.prunes {
        return Ok(());
    }
    match std::fs::read_dir(folder) {
        Ok(_) => Ok(()),
        Err(source) => Err(RegistryError::AgentsFolder { folder: folder.clone(), source }),
    }
}

/// What any process has last seen in the folder, if it read files as this one does.
async fn known_outcomes(
    pool: &PgPool,
    settings: &Settings,
) -> Result<KnownOutcomes, RegistryError> {
    let mut connection = pool.acquire().await?;
    let outcomes = store::list_outcomes(&mut connection, &settings.reading()).await?;
    Ok(KnownOutcomes::new(outcomes, HashMap::new()))
}

async fn scan(settings: &Settings, known: KnownOutcomes) -> Vec<ScannedFile> {
    let settings = settings.clone();
    let scan = tokio::task::spawn_blocking(move || scan_folder(&settings, &known));
    scan.await.expect("scanning a folder does not panic")
}

async fn run(
    pool: &PgPool,
    settings: &Settings,
    files: Vec<ScannedFile>,
    options: &SyncOptions,
) -> Result<SyncReport, RegistryError> {
    let mut transaction = registry_store::begin_change(pool).await?;
    let heads = registry_store::list_heads(&mut transaction, -1).await?;
    let before = Before {
        files: list_files(&mut transaction, &settings.reading()).await?,
        heads: heads.into_iter().map(|head| (head.name.clone(), head)).collect(),
    };
    let plan = plan(files, &before, options.prunes);
    let mut roster_revision = registry_store::find_roster_revision(&mut transaction).await?;
    if options.is_dry_run {
        transaction.rollback().await?;
    } else {
        apply(&mut transaction, &plan, &before, options, settings).await?;
        if plan.changes_roster() {
            roster_revision = registry_store::commit_change(transaction).await?;
        } else {
            transaction.commit().await?;
        }
    }
    Ok(SyncReport { is_dry_run: options.is_dry_run, roster_revision, files: plan.reports })
}

async fn apply(
    transaction: &mut registry_store::Transaction,
    plan: &Plan,
    before: &Before,
    options: &SyncOptions,
    settings: &Settings,
) -> Result<(), RegistryError> {
    let author = &options.author;
    let revisions: Vec<NewRevision<'_>> = plan
        .revisions
        .iter()
        .map(|planned| NewRevision {
            sha256: &planned.sha256,
            source_bytes: &planned.source_bytes,
            parsed: &planned.parsed,
            folder_labels: &planned.folder_labels,
        })
        .collect();
    registry_store::save_revisions(transaction, &revisions, AgentSource::File, &author.name)
        .await?;
    registry_store::set_state(transaction, &plan.archived, AgentState::Archived).await?;
    store::revive(transaction, &plan.revived).await?;
    store::set_folder_labels(transaction, &plan.moved).await?;
    store::save_files(transaction, &plan.seen, &settings.reading()).await?;
    store::delete_files(transaction, &plan.forgotten).await?;
    let entries = trail::sync(transaction, plan, before).await?;
    audit::record(transaction, author, &entries).await?;
    Ok(())
}
