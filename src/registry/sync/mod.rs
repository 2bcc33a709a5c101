//! One sync: plan, then apply, in one transaction under the registry's lock.

mod plan;
mod store;

use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use super::agent::{AgentSource, AgentState};
use super::error::RegistryError;
use super::folder::ScannedFile;
use super::report::FileReport;
use super::store::{self as registry_store, NewRevision};
use super::trail;
use crate::audit::{self, Author};

pub(super) use plan::{Before, Plan, plan};
pub use store::QuarantinedFile;
pub(super) use store::{list_files, list_quarantine};

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
    let mut transaction = registry_store::begin_change(pool).await?;
    let heads = registry_store::list_heads(&mut transaction, -1).await?;
    let before = Before {
        files: list_files(&mut transaction).await?,
        heads: heads.into_iter().map(|head| (head.name.clone(), head)).collect(),
    };
    let plan = plan(files, &before, options.prunes);
    let mut roster_revision = registry_store::find_roster_revision(&mut transaction).await?;
    if options.is_dry_run {
        transaction.rollback().await?;
    } else {
        apply(&mut transaction, &plan, &before, &options.author).await?;
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
    author: &Author,
) -> Result<(), RegistryError> {
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
    store::save_files(transaction, &plan.seen).await?;
    store::delete_files(transaction, &plan.forgotten).await?;
    let entries = trail::sync(transaction, plan, before).await?;
    audit::record(transaction, author, &entries).await?;
    Ok(())
}
