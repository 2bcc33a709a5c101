//! Feedback: saying what was right about a decision, reading what was said, forgetting it.

use axum::extract::State;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::dispatches::find_visible;
use crate::access::Caller;
use crate::dispatch::{Accuracy, CorrectionRequest, Dispatcher, Feedback, FeedbackEntry, Fit};
use crate::http::error::{ApiError, ProblemBody};
use crate::http::extract::{ApiJson, ApiPath, ApiQuery};
use crate::http::pagination::{Page, PageQuery};
use crate::ledger::Ledger;

/// What was right about a decision.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateFeedback {
    /// The agent that should have been picked; `null` if none fits.
    #[serde(deserialize_with = "required")]
    #[schema(required)]
    agent: Option<String>,
}

/// `null` has to be said: left out by mistake, the field would teach that nobody fits.
fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

/// What is known now.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedFeedback {
    dispatch_id: Uuid,
    agent: Option<String>,
    /// Whether the first of the decision's `ranked` was the right one; false if nobody fits.
    was_right: bool,
    /// Grows with everything that is said or forgotten.
    feedback_revision: i64,
}

/// Says what was right about a decision: later picks learn from it. Said again, it replaces what was said before.
#[utoipa::path(
    post, path = "/v1/dispatches/{id}/feedback", tag = "dispatch",
    params(("id" = Uuid, Path)),
    request_body = CreateFeedback,
    responses(
        (status = 200, description = "It is kept, and the next pick knows it", body = CreatedFeedback),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn create_feedback(
    State(ledger): State<Ledger>,
    State(dispatcher): State<Dispatcher>,
    Extension(caller): Extension<Caller>,
    ApiPath(id): ApiPath<Uuid>,
    ApiJson(body): ApiJson<CreateFeedback>,
) -> Result<Json<CreatedFeedback>, ApiError> {
    let decision = find_visible(&ledger, &caller, id).await?;
    let request = CorrectionRequest {
        agent: body.agent,
        permitted: caller.permitted_agents(),
        key_id: caller.key_id(),
    };
    let corrected = dispatcher.correct(&decision, &request).await?;
    Ok(Json(CreatedFeedback {
        dispatch_id: id,
        agent: request.agent,
        was_right: corrected.was_right,
        feedback_revision: corrected.revision,
    }))
}

/// Which feedback is listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListFeedback {
    /// Only what says that this agent is right, which need not exist any more.
    agent: Option<String>,
    /// Most items, 1 to 1,000; 100 if it is not said.
    limit: Option<usize>,
    /// Where the page before ended: its `next_cursor`.
    cursor: Option<String>,
}

/// Which feedback is forgotten.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeleteFeedback {
    /// Only what says that this agent is right, which need not exist any more.
    agent: Option<String>,
}

/// What was said of one decision.
#[derive(Debug, Serialize, ToSchema)]
pub struct FeedbackItem {
    dispatch_id: Uuid,
    /// What was asked for: as much of it as a pick reads.
    input: String,
    /// The right agent; `null` if none fits.
    agent: Option<String>,
    /// The first of the decision's `ranked`.
    first_agent: Option<String>,
    /// The decision's own.
    confidence: f64,
    was_right: bool,
    created_at: DateTime<Utc>,
}

impl From<FeedbackEntry> for FeedbackItem {
    fn from(entry: FeedbackEntry) -> Self {
        Self {
            dispatch_id: entry.dispatch_id,
            was_right: entry.was_right(),
            input: entry.input,
            agent: entry.agent,
            first_agent: entry.first_agent,
            confidence: entry.confidence,
            created_at: entry.created_at,
        }
    }
}

/// What was last fitted to the roster and its feedback, in the background, and how well it does.
#[derive(Debug, Serialize, ToSchema)]
pub struct FitState {
    /// The revisions of the roster and of the feedback that it was fitted to.
    roster_revision: i64,
    feedback_revision: i64,
    /// Requests of the roster's own, each asked of a roster that does not hold it.
    held_out: u32,
    /// Those of them that found their agent.
    right: u32,
}

impl FitState {
    fn of(fit: &Fit) -> Option<Self> {
        let ((roster_revision, feedback_revision), accuracy) = (fit.fitted_to, fit.accuracy?);
        let Accuracy { cases: held_out, right } = accuracy;
        Some(Self { roster_revision, feedback_revision, held_out, right })
    }
}

/// A page of what was said.
#[derive(Debug, Serialize, ToSchema)]
pub struct FeedbackPage {
    /// What this instance picks with. It grows with everything that is said or forgotten.
    revision: i64,
    /// How many there are on all pages.
    count: i64,
    /// `null` until enough requests are known whose agent is known.
    fit: Option<FitState>,
    items: Vec<FeedbackItem>,
    /// Give it as `cursor` to go on; `null` at the end.
    next_cursor: Option<String>,
}

/// What callers said of decisions, newest first.
#[utoipa::path(
    get, path = "/admin/v1/feedback", tag = "admin",
    params(ListFeedback),
    responses(
        (status = 200, description = "A page of feedback", body = FeedbackPage),
        (status = 400, description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn list_feedback(
    State(feedback): State<Feedback>,
    State(dispatcher): State<Dispatcher>,
    ApiQuery(query): ApiQuery<ListFeedback>,
) -> Result<Json<FeedbackPage>, ApiError> {
    let page = PageQuery::new(query.limit, query.cursor);
    let (limit, agent) = (page.limit()?, query.agent.as_deref());
    let entries = feedback.list(agent, page.parse_after()?, page.rows()?).await?;
    let page = Page::new(entries, limit, |entry| entry.revision.to_string());
    Ok(Json(FeedbackPage {
        revision: feedback.corrections().revision,
        count: feedback.count(agent).await?,
        fit: FitState::of(&dispatcher.fit()),
        items: page.items.into_iter().map(FeedbackItem::from).collect(),
        next_cursor: page.next_cursor,
    }))
}

/// What is no more.
#[derive(Debug, Serialize, ToSchema)]
pub struct ForgottenFeedback {
    /// How many corrections were forgotten.
    forgotten: u64,
    /// The feedback's revision without them.
    revision: i64,
}

/// Forgets what callers said of decisions: all of it, or what says that one agent is right.
#[utoipa::path(
    delete, path = "/admin/v1/feedback", tag = "admin",
    params(DeleteFeedback),
    responses(
        (status = 200, description = "It is forgotten, and the next pick knows nothing of it", body = ForgottenFeedback),
        (status = 400, description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn delete_feedback(
    State(dispatcher): State<Dispatcher>,
    Extension(caller): Extension<Caller>,
    ApiQuery(query): ApiQuery<DeleteFeedback>,
) -> Result<Json<ForgottenFeedback>, ApiError> {
    let forgotten = dispatcher.forget_corrections(query.agent.as_deref(), &caller.author()).await?;
    Ok(Json(ForgottenFeedback { forgotten: forgotten.count, revision: forgotten.revision }))
}
