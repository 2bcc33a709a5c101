//! Bringing the registry in line with the agents folder, and the files that did not load.

use axum::extract::State;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Caller;
use crate::definition::{Diagnostic, Level};
use crate::dispatch::Dispatcher;
use crate::http::error::ApiError;
use crate::http::extract::{ApiJson, ApiQuery, NoQuery};
use crate::http::pagination::{Page, PageQuery};
use crate::registry::{QuarantinedFile, Registry, SyncOptions, SyncReport, Verdict};

/// How to sync.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CreateSync {
    /// Only tell what would be done.
    dry_run: bool,
    /// Archive the agents of files that are gone.
    prune: bool,
}

/// Reads the agents folder and applies what has changed there.
#[utoipa::path(
    post, path = "/admin/v1/sync", tag = "admin",
    request_body = CreateSync,
    responses((status = 200, description = "Every file, with what was done about it", body = SyncReport))
)]
pub async fn create_sync(
    State(registry): State<Registry>,
    State(dispatcher): State<Dispatcher>,
    Extension(caller): Extension<Caller>,
    NoQuery: NoQuery,
    ApiJson(body): ApiJson<CreateSync>,
) -> Result<Json<SyncReport>, ApiError> {
    let options =
        SyncOptions { is_dry_run: body.dry_run, prunes: body.prune, author: caller.author() };
    let mut report = registry.sync(options).await?;
    dispatcher.add_overlaps(&mut report.files).await;
    Ok(Json(report))
}

/// A file that did not load.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuarantineItem {
    path: String,
    verdict: Verdict,
    line: usize,
    /// The class of the first error.
    class: String,
    cause: String,
    diagnostics: Vec<Diagnostic>,
    seen_at: DateTime<Utc>,
}

impl From<QuarantinedFile> for QuarantineItem {
    fn from(file: QuarantinedFile) -> Self {
        let first = file
            .diagnostics
            .iter()
            .find(|diagnostic| diagnostic.level == Level::Error)
            .or(file.diagnostics.first());
        Self {
            line: first.map_or(1, |first| first.line),
            class: first.map(|first| first.code.to_string()).unwrap_or_default(),
            cause: first.map(|first| first.message.clone()).unwrap_or_default(),
            path: file.path,
            verdict: Verdict::Quarantined,
            diagnostics: file.diagnostics,
            seen_at: file.seen_at,
        }
    }
}

/// Files of the agents folder that did not load, in order of path.
#[utoipa::path(
    get, path = "/admin/v1/quarantine", tag = "admin",
    params(PageQuery),
    responses((status = 200, description = "A page of files", body = Page<QuarantineItem>))
)]
pub async fn list_quarantine(
    State(registry): State<Registry>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<QuarantineItem>>, ApiError> {
    let limit = query.limit()?;
    let after = query.after()?.unwrap_or_default();
    let files = registry.list_quarantine(&after, query.rows()?).await?;
    let items = files.into_iter().map(QuarantineItem::from).collect();
    Ok(Json(Page::new(items, limit, |file: &QuarantineItem| file.path.clone())))
}
