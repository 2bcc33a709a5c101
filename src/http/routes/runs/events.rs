//! A run's events, from the first or from where a connection broke off, to the last.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use uuid::Uuid;

use super::records::check_owner;
use crate::access::Caller;
use crate::conversation::Conversations;
use crate::http::error::{ApiError, ProblemBody};
use crate::http::error_code::ErrorCode;
use crate::http::extract::ApiPath;
use crate::http::sse;
use crate::http::state::Settings;

/// What browsers send when they connect again: the `id` of the last event that they have read.
const LAST_EVENT_ID: &str = "last-event-id";

/// The events of a run: those that have been, then those that come, to the run's end.
///
/// They have the same `id`, name and data as in the stream of `POST /v1/runs`. Following a run neither keeps it going
/// nor ends it.
#[utoipa::path(
    get, path = "/v1/runs/{id}/events", tag = "runs",
    params(
        ("id" = Uuid, Path),
        ("Last-Event-ID" = Option<u64>, Header, description = "Only events behind the one with this `id`"),
    ),
    responses(
        (status = 200, description = "The events", body = String, content_type = "text/event-stream"),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn get_run_events(
    State(conversations): State<Conversations>,
    State(settings): State<Settings>,
    Extension(caller): Extension<Caller>,
    ApiPath(id): ApiPath<Uuid>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let after = read_last_event_id(&headers)?;
    check_owner(&conversations, &caller, id).await?;
    Ok(sse::follow_run(conversations.follow_run(id, after), &settings))
}

/// Browsers send the header empty if they have read nothing.
fn read_last_event_id(headers: &HeaderMap) -> Result<usize, ApiError> {
    let Some(value) = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) else {
        return Ok(0);
    };
    value.to_str().ok().and_then(|text| text.trim().parse().ok()).ok_or_else(|| {
        ApiError::new(ErrorCode::InvalidRequest, "`Last-Event-ID` must be the `id` of an event")
    })
}
