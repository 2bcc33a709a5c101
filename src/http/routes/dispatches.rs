//! Decisions: making one, and looking one up.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::conversations::seen_by;
use super::messages::{CandidatesBody, MessageBody, read_messages};
use crate::access::Caller;
use crate::conversation::Conversations;
use crate::dispatch::{Decision, DispatchRequest, Dispatcher, JudgeReport, Judging};
use crate::http::error::{ApiError, ProblemBody};
use crate::http::error_code::ErrorCode;
use crate::http::extract::{ApiJson, ApiPath};
use crate::ledger::{DispatchRecord, Ledger};

const MAX_TOP_K: usize = 100;

/// A request for an agent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateDispatch {
    /// What is asked for. Either this or `messages`.
    #[schema(example = "I need an API route for user login with JWT")]
    input: Option<String>,
    messages: Option<Vec<MessageBody>>,
    /// The agent, if it is known.
    agent: Option<String>,
    candidates: Option<CandidatesBody>,
    /// The stored conversation that it would go on with. It stays as it is.
    conversation_id: Option<Uuid>,
    /// How to pick: without the judge, or with it whatever the margin.
    strategy: Option<StrategyBody>,
    /// How many candidates to rank, 1 to 100.
    top_k: Option<usize>,
}

/// Ways to pick that can be asked for.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StrategyBody {
    Local,
    Judge,
}

/// Picks an agent and runs nothing.
#[utoipa::path(
    post, path = "/v1/dispatch", tag = "dispatch",
    request_body = CreateDispatch,
    responses(
        (status = 200, description = "The decision; also if no agent fits", body = Decision),
        (status = 404, description = "There is no such agent or conversation", body = ProblemBody, content_type = "application/problem+json"),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn create_dispatch(
    State(dispatcher): State<Dispatcher>,
    State(conversations): State<Conversations>,
    Extension(caller): Extension<Caller>,
    ApiJson(body): ApiJson<CreateDispatch>,
) -> Result<Json<Decision>, ApiError> {
    let conversation = body.conversation_id.map(|id| seen_by(&caller, id));
    let judging = match body.strategy {
        None => Judging::IfClose,
        Some(StrategyBody::Local) => Judging::Never,
        Some(StrategyBody::Judge) if dispatcher.settings().judge.is_none() => {
            return Err(ApiError::invalid_field(
                "/strategy",
                "no judge is configured (`dispatch.judge`)",
            ));
        }
        Some(StrategyBody::Judge) => Judging::Always,
    };
    if body.top_k.is_some_and(|top_k| !(1..=MAX_TOP_K).contains(&top_k)) {
        return Err(ApiError::invalid_field("/top_k", format!("must be 1 to {MAX_TOP_K}")));
    }
    let messages = read_messages(body.input, body.messages, conversation.is_some())?;
    let request = DispatchRequest {
        agent: body.agent,
        candidates: body.candidates.unwrap_or_default().read()?,
        permitted: caller.permitted_agents(),
        top_k: body.top_k,
        judging,
        ..DispatchRequest::default()
    };
    Ok(Json(conversations.pick(request, &messages, conversation, caller.key_id()).await?))
}

/// A decision as it was answered.
#[utoipa::path(
    get, path = "/v1/dispatches/{id}", tag = "dispatch",
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The decision", body = Decision),
        (status = 404, description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn get_dispatch(
    State(ledger): State<Ledger>,
    Extension(caller): Extension<Caller>,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Json<Value>, ApiError> {
    let record = find_visible(&ledger, &caller, id).await?;
    let decision = serde_json::from_str(&record.decision)
        .map_err(|_| ApiError::new(ErrorCode::Internal, "the decision on record cannot be read"))?;
    Ok(Json(decision))
}

/// The decision on record; another caller's is as good as none.
pub(super) async fn find_visible(
    ledger: &Ledger,
    caller: &Caller,
    id: Uuid,
) -> Result<DispatchRecord, ApiError> {
    let record = ledger.find_dispatch(id).await?;
    record.filter(|record| caller.may_see(record.key_id)).ok_or_else(|| {
        ApiError::new(ErrorCode::DispatchNotFound, format!("there is no dispatch `{id}`"))
    })
}

/// What the judge has done in this instance since it started, and what it cost.
#[utoipa::path(
    get, path = "/admin/v1/dispatch/judge", tag = "admin",
    responses(
        (status = 200, description = "The judge's counts", body = JudgeReport),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn get_judge(State(dispatcher): State<Dispatcher>) -> Json<JudgeReport> {
    Json(dispatcher.judge_report())
}
