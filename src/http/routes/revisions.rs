//! What an agent was: its revisions, what each says, and how two of them differ.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::header;
use serde::Serialize;
use utoipa::ToSchema;

use super::admin_agents::{etag, source_answer};
use super::agent_change::known_name;
use crate::definition::{AgentDefinition, Diagnostic, ParseMode};
use crate::http::error::{ApiError, ProblemBody};
use crate::http::error_code::ErrorCode;
use crate::http::extract::{ApiPath, ApiQuery};
use crate::http::pagination::{Page, PageQuery};
use crate::registry::{AgentSource, Registry, Revision, RevisionDetail};

/// A revision in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevisionSummary {
    revision: i32,
    sha256: String,
    created_at: DateTime<Utc>,
    /// The name of the key that was used, or of the part of the service that acted by itself.
    author: String,
    source: AgentSource,
    format: String,
    parse_mode: ParseMode,
    /// Whether it is the agent's live one.
    live: bool,
}

/// A revision with its definition.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevisionBody {
    #[serde(flatten)]
    summary: RevisionSummary,
    /// As this version reads the source; `null` if it cannot.
    #[schema(value_type = Option<Object>)]
    definition: Option<AgentDefinition>,
    /// What was found when the revision was made.
    diagnostics: Vec<Diagnostic>,
}

/// How two revisions differ.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevisionDiff {
    from: i32,
    to: i32,
    /// A unified diff; empty if they are equal.
    diff: String,
}

/// What is answered to a number, and to a range.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum RevisionOrDiff {
    Revision(Box<RevisionBody>),
    Diff(RevisionDiff),
}

impl From<Revision> for RevisionSummary {
    fn from(revision: Revision) -> Self {
        Self {
            revision: revision.revision,
            sha256: revision.sha256,
            created_at: revision.created_at,
            author: revision.author,
            source: revision.source,
            format: revision.format,
            parse_mode: revision.parse_mode,
            live: revision.is_live,
        }
    }
}

impl From<RevisionDetail> for RevisionBody {
    fn from(detail: RevisionDetail) -> Self {
        Self {
            summary: detail.revision.into(),
            definition: detail.definition,
            diagnostics: detail.diagnostics,
        }
    }
}

/// An agent's revisions, newest first. Those of archived agents are kept too.
#[utoipa::path(
    get, path = "/admin/v1/agents/{name}/revisions", tag = "admin",
    params(("name" = String, Path), PageQuery),
    responses(
        (status = 200, description = "A page of revisions", body = Page<RevisionSummary>),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn list_revisions(
    State(registry): State<Registry>,
    ApiPath(name): ApiPath<String>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<RevisionSummary>>, ApiError> {
    let limit = query.limit()?;
    let name = known_name(&name)?;
    let revisions = registry.list_revisions(&name, query.parse_after()?, query.rows()?).await?;
    let items = revisions.into_iter().map(RevisionSummary::from).collect();
    Ok(Json(Page::new(items, limit, |item: &RevisionSummary| item.revision.to_string())))
}

/// One revision with its definition, or, for a range such as `2..3`, what changed from one to the other.
#[utoipa::path(
    get, path = "/admin/v1/agents/{name}/revisions/{revision}", tag = "admin",
    params(
        ("name" = String, Path),
        ("revision" = String, Path, description = "A number, or two with `..` between them"),
    ),
    responses(
        (status = 200, description = "The revision, or the diff", body = RevisionOrDiff),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn get_revision(
    State(registry): State<Registry>,
    ApiPath((name, revision)): ApiPath<(String, String)>,
) -> Result<Json<RevisionOrDiff>, ApiError> {
    let name = known_name(&name)?;
    let Some((from, to)) = revision.split_once("..") else {
        let detail = registry.find_revision(&name, parse_revision(&revision)?).await?;
        return Ok(Json(RevisionOrDiff::Revision(Box::new(detail.into()))));
    };
    let (from, to) = (parse_revision(from)?, parse_revision(to)?);
    let diff = registry.diff_revisions(&name, from, to).await?;
    Ok(Json(RevisionOrDiff::Diff(RevisionDiff { from, to, diff })))
}

/// The exact bytes of a revision.
#[utoipa::path(
    get, path = "/admin/v1/agents/{name}/revisions/{revision}/source", tag = "admin",
    params(("name" = String, Path), ("revision" = i32, Path)),
    responses(
        (status = 200, description = "The file, by its format", content(
            (Vec<u8> = "text/markdown"), (Vec<u8> = "application/json"), (Vec<u8> = "application/toml"),
        )),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn get_revision_source(
    State(registry): State<Registry>,
    ApiPath((name, revision)): ApiPath<(String, String)>,
) -> Result<Response, ApiError> {
    let revision = parse_revision(&revision)?;
    let source = registry.find_revision_source(&known_name(&name)?, revision).await?;
    Ok(([(header::ETAG, etag(revision))], source_answer(source)).into_response())
}

/// A number that is too large is one that no revision has.
fn parse_revision(text: &str) -> Result<i32, ApiError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ApiError::new(
            ErrorCode::InvalidRequest,
            "a revision is a number such as `3`; `2..3` asks for what changed from 2 to 3",
        ));
    }
    text.parse().map_err(|_| revision_not_found(text))
}

pub(super) fn revision_not_found(revision: &str) -> ApiError {
    ApiError::new(ErrorCode::RevisionNotFound, format!("the agent has no revision {revision}"))
}
