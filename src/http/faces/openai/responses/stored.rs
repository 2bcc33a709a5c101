//! Responses that were made: found again, followed, cancelled, deleted.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::item_id::run_of_response;
use super::response::Repeated;
use super::voice::ResponseVoice;
use crate::access::Caller;
use crate::conversation::{ConversationError, Conversations, Run};
use crate::http::error::ApiError;
use crate::http::error_code::ErrorCode;
use crate::http::extract::{ApiPath, ApiQuery};
use crate::http::faces::answer::follow;
use crate::http::run_headers::run_headers;
use crate::http::state::Settings;

/// How a response is read.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReadResponse {
    /// Whether its events are wanted: those that have been, then those that come.
    stream: Option<bool>,
    /// Only events behind the one with this `sequence_number`.
    starting_after: Option<u64>,
}

/// A stored response as it stands, or its events.
#[utoipa::path(
    get, path = "/v1/responses/{id}", tag = "faces",
    params(("id" = String, Path), ReadResponse),
    responses(
        (status = 200, description = "The response, or with `stream=true` its events", content(
            (Value = "application/json"),
            (String = "text/event-stream"),
        )),
        (status = "4XX", description = "As of `POST /v1/responses`", body = Value),
    )
)]
pub async fn get_response(
    State(conversations): State<Conversations>,
    State(settings): State<Settings>,
    Extension(caller): Extension<Caller>,
    ApiPath(id): ApiPath<String>,
    ApiQuery(query): ApiQuery<ReadResponse>,
) -> Result<Response, ApiError> {
    let run = find(&conversations, &caller, &id).await?;
    if query.stream.unwrap_or(false) {
        let voice = ResponseVoice::behind(Repeated::of_run(&run), query.starting_after);
        return Ok(follow(conversations.follow_run(run.id, 0), &run, &settings, voice));
    }
    show(&conversations, &run).await
}

/// Ends a response. One that has ended stays as it is.
#[utoipa::path(
    post, path = "/v1/responses/{id}/cancel", tag = "faces",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "The response", body = Value),
        (status = "4XX", description = "As of `POST /v1/responses`", body = Value),
    )
)]
pub async fn cancel_response(
    State(conversations): State<Conversations>,
    Extension(caller): Extension<Caller>,
    ApiPath(id): ApiPath<String>,
) -> Result<Response, ApiError> {
    let run = find(&conversations, &caller, &id).await?;
    let cancelled = conversations.cancel_run(run.id).await?;
    show(&conversations, &cancelled.ok_or_else(|| not_found(&id))?.run).await
}

/// Deletes a stored response: what was asked, what was answered, and what is on record of both.
#[utoipa::path(
    delete, path = "/v1/responses/{id}", tag = "faces",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "`{\"id\", \"object\": \"response\", \"deleted\": true}`", body = Value),
        (status = 409, description = "It has not ended in time, or a response that follows it is under way", body = Value),
        (status = "4XX", description = "As of `POST /v1/responses`", body = Value),
    )
)]
pub async fn delete_response(
    State(conversations): State<Conversations>,
    Extension(caller): Extension<Caller>,
    ApiPath(id): ApiPath<String>,
) -> Result<Json<Value>, ApiError> {
    let run = find(&conversations, &caller, &id).await?;
    if !run.status.is_end() {
        let cancelled = conversations.cancel_run(run.id).await?;
        // Its texts would come behind their deletion.
        if cancelled.is_some_and(|cancelled| !cancelled.run.status.is_end()) {
            return Err(ConversationError::RunConversationBusy(run.id).into());
        }
    }
    conversations.delete_texts_of_run(run.id).await?;
    Ok(Json(json!({"id": id, "object": "response", "deleted": true})))
}

/// A response with what has been told of it so far.
pub(super) async fn show(conversations: &Conversations, run: &Run) -> Result<Response, ApiError> {
    let events = conversations.list_run_events(run.id).await?;
    let shown = ResponseVoice::new(Repeated::of_run(run)).response(events, run);
    Ok((run_headers(run, None), Json(shown)).into_response())
}

pub(super) async fn find(
    conversations: &Conversations,
    caller: &Caller,
    id: &str,
) -> Result<Run, ApiError> {
    let run_id = run_of_response(id).ok_or_else(|| not_found(id))?;
    let found = conversations.find_run(run_id).await?;
    let found = found.filter(|found| caller.may_see(found.key_id)).map(|found| found.run);
    found.filter(|run| run.asked_as_response.is_some()).ok_or_else(|| not_found(id))
}

fn not_found(id: &str) -> ApiError {
    ApiError::new(ErrorCode::RunNotFound, format!("Response with id '{id}' not found."))
}
