//! Runs that were made: looking one up, listing them, ending one.

use axum::extract::State;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::access::{Caller, Scope};
use crate::chat::{FinishReason, Usage};
use crate::conversation::{Conversations, FoundRun, ModelUse, Run, RunFailure, RunStatus, Warning};
use crate::dispatch::{AgentRef, HandOver};
use crate::http::error::{ApiError, ProblemBody};
use crate::http::error_code::ErrorCode;
use crate::http::extract::{ApiPath, ApiQuery};
use crate::http::pagination::{Page, PageQuery};
use crate::ledger::RunFilter;

/// A run without its texts.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunSummary {
    id: Uuid,
    status: RunStatus,
    agent: AgentRef,
    dispatch_id: Uuid,
    conversation_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    handed_over: Option<HandOver>,
    model: ModelUse,
    #[schema(value_type = Option<String>)]
    finish_reason: Option<FinishReason>,
    usage: Usage,
    cost_usd: Option<f64>,
    #[schema(value_type = Vec<String>)]
    warnings: Vec<Warning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RunFailure>,
    metadata: Option<Value>,
    created_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
}

impl From<Run> for RunSummary {
    fn from(run: Run) -> Self {
        Self {
            id: run.id,
            status: run.status,
            agent: run.agent,
            dispatch_id: run.dispatch_id,
            conversation_id: run.conversation_id,
            handed_over: run.handed_over,
            model: run.model,
            finish_reason: run.finish_reason,
            usage: run.usage,
            cost_usd: run.cost_usd,
            warnings: run.warnings,
            error: run.error,
            metadata: run.metadata,
            created_at: run.created_at,
            ended_at: run.ended_at,
        }
    }
}

/// Which runs are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListRuns {
    /// Only runs of this agent.
    agent: Option<String>,
    /// Only runs that stand there.
    status: Option<RunStatus>,
    /// Most items, 1 to 1,000; 100 if it is not said.
    limit: Option<usize>,
    /// Where the page before ended: its `next_cursor`.
    cursor: Option<String>,
}

/// The caller's runs, newest first, without their texts. An admin sees everybody's.
#[utoipa::path(
    get, path = "/v1/runs", tag = "runs",
    params(ListRuns),
    responses(
        (status = 200, description = "The runs", body = Page<RunSummary>),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn list_runs(
    State(conversations): State<Conversations>,
    Extension(caller): Extension<Caller>,
    ApiQuery(query): ApiQuery<ListRuns>,
) -> Result<Json<Page<RunSummary>>, ApiError> {
    let page = PageQuery::new(query.limit, query.cursor);
    let limit = page.limit()?;
    let filter = RunFilter {
        key_id: (!caller.allows(Scope::Admin)).then(|| caller.key_id()),
        agent_name: query.agent,
        status: query.status.map(|status| status.as_str().to_owned()),
    };
    let runs = conversations.list_runs(&filter, page.parse_after()?, limit + 1).await?;
    let summaries = runs.into_iter().map(RunSummary::from).collect();
    Ok(Json(Page::new(summaries, limit, |run: &RunSummary| run.id.to_string())))
}

/// The state of a run and, once it has ended, its result.
#[utoipa::path(
    get, path = "/v1/runs/{id}", tag = "runs",
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The run", body = Run),
        (status = 404, description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn get_run(
    State(conversations): State<Conversations>,
    Extension(caller): Extension<Caller>,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Json<Run>, ApiError> {
    let found = conversations.find_run(id).await?;
    permitted(found, &caller).map(Json).ok_or_else(|| not_found(id))
}

/// Ends a run and answers what has become of it. A run that has ended stays as it is.
#[utoipa::path(
    post, path = "/v1/runs/{id}/cancel", tag = "runs",
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The run; its status tells whether it was cancelled or had ended before", body = Run),
        (status = 404, description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn cancel_run(
    State(conversations): State<Conversations>,
    Extension(caller): Extension<Caller>,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Json<Run>, ApiError> {
    check_owner(&conversations, &caller, id).await?;
    let found = conversations.cancel_run(id).await?;
    permitted(found, &caller).map(Json).ok_or_else(|| not_found(id))
}

/// Refuses a run that is none, or another caller's.
pub(super) async fn check_owner(
    conversations: &Conversations,
    caller: &Caller,
    id: Uuid,
) -> Result<(), ApiError> {
    let owner = conversations.find_owner(id).await?;
    owner.filter(|owner| caller.may_see(*owner)).map(drop).ok_or_else(|| not_found(id))
}

fn permitted(found: Option<FoundRun>, caller: &Caller) -> Option<Run> {
    found.filter(|found| caller.may_see(found.key_id)).map(|found| found.run)
}

fn not_found(id: Uuid) -> ApiError {
    ApiError::new(ErrorCode::RunNotFound, format!("there is no run `{id}`"))
}
