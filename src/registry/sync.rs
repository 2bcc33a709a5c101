//! One sync: plan, then apply, in one transaction under the registry's lock.

use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use super::agent::{AgentSource, AgentState};
use super::error::RegistryError;
use super::plan::{Before, Plan, plan};
use super::report::FileReport;
use super::scan::ScannedFile;
use super::store::{self, NewRevision};
use super::trail;
use crate::audit::{self, Author};

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
    let mut roster_revision = store::find_roster_revision(&mut transaction).await?;
    if options.is_dry_run {
        transaction.rollback().await?;
    } else {
        apply(&mut transaction, &plan, &before, &options.author).await?;
        if plan.changes_roster() {
            roster_revision = store::commit_change(transaction).await?;
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
    author: &Author,
) -> Result<(), RegistryError> {
    for planned in &plan.revisions {
        let head = before.heads.get(planned.parsed.definition.name.as_str());
        let revision = NewRevision {
            sha256: &planned.sha256,
            source_bytes: &planned.source_bytes,
            parsed: &planned.parsed,
            source: AgentSource::File,
            author: &author.name,
            folder_labels: &planned.folder_labels,
        };
        store::save_revision(transaction, head, &revision).await?;
    }
    for name in &plan.archived {
        store::set_state(transaction, name, AgentState::Archived).await?;
    }
    for name in &plan.revived {
        store::revive(transaction, name).await?;
    }
    for (name, folder_labels) in &plan.moved {
        store::set_folder_labels(transaction, name, folder_labels).await?;
    }
    for file in &plan.seen {
        store::save_file(transaction, file).await?;
    }
    store::delete_files(transaction, &plan.forgotten).await?;
    let entries = trail::sync(transaction, plan, before).await?;
    audit::record(transaction, author, &entries).await?;
    Ok(())
}
