//! One sync: plan, then apply, in one transaction under the registry's lock.

use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use super::agent::{AgentSource, AgentState};
use super::error::RegistryError;
use super::plan::{Before, Plan, plan};
use super::report::{Action, FileReport, Verdict};
use super::scan::ScannedFile;
use super::store::{self, NewRevision};

/// How to sync.
#[derive(Debug, Clone)]
pub struct SyncOptions {
    /// Only tell what would be done.
    pub is_dry_run: bool,
    /// Archive the agents of files that are gone.
    pub prunes: bool,
    /// Who asked for it.
    pub author: String,
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
        let is_change =
            |action| matches!(action, Action::Created | Action::Updated | Action::Archived);
        let agents = self.files.iter().filter(|file| is_change(file.action)).count();
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

pub(super) async fn run(
    pool: &PgPool,
    files: Vec<ScannedFile>,
    options: &SyncOptions,
) -> Result<SyncReport, RegistryError> {
    let mut transaction = store::begin_change(pool).await?;
    let before = Before {
        files: store::list_files(&mut transaction).await?,
        heads: store::list_heads(&mut transaction).await?,
    };
    let plan = plan(files, &before, options.prunes);
    let roster_revision = store::find_roster_revision(&mut transaction).await?;
    if options.is_dry_run {
        transaction.rollback().await?;
    } else {
        apply(&mut transaction, &plan, &before, &options.author).await?;
        if plan.changes_roster() {
            store::commit_change(transaction).await?;
        } else {
            transaction.commit().await?;
        }
    }
    Ok(SyncReport { is_dry_run: options.is_dry_run, roster_revision, files: plan.reports })
}

async fn apply(
    transaction: &mut store::Transaction,
    plan: &Plan,
    before: &Before,
    author: &str,
) -> Result<(), RegistryError> {
    for planned in &plan.revisions {
        let head = before.heads.get(planned.parsed.definition.name.as_str());
        let revision = NewRevision {
            sha256: &planned.sha256,
            source_bytes: &planned.source_bytes,
            parsed: &planned.parsed,
            source: AgentSource::File,
            author,
            folder_labels: &planned.folder_labels,
        };
        store::save_revision(transaction, head, &revision).await?;
    }
    for (names, state) in
        [(&plan.archived, AgentState::Archived), (&plan.revived, AgentState::Live)]
    {
        for name in names {
            store::set_state(transaction, name, state).await?;
        }
    }
    for (name, folder_labels) in &plan.moved {
        store::set_folder_labels(transaction, name, folder_labels).await?;
    }
    for file in &plan.seen {
        store::save_file(transaction, file).await?;
    }
    store::delete_files(transaction, &plan.forgotten).await?;
    Ok(())
}
