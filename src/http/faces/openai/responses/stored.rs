//! Responses that were made: found again, followed, cancelled, deleted.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::item_id::run_of_response;
use super::response::{Repeated, message_count, output_on_record, response};
use super::voice::ResponseVoice;
use crate::access::Caller;
use crate::chat::{Message, Part, Role};
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

/// Which items are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListInputItems {
    /// `desc`, which is the default, or `asc`.
    order: Option<String>,
    /// The id of the item that the page before ended with.
    after: Option<String>,
    /// Most items; 20 if it is not said.
    limit: Option<usize>,
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
    Ok(show(&run))
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
    Ok(show(&cancelled.ok_or_else(|| not_found(&id))?.run))
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

/// What a stored response was asked with.
#[utoipa::path(
    get, path = "/v1/responses/{id}/input_items", tag = "faces",
    params(("id" = String, Path), ListInputItems),
    responses(
        (status = 200, description = "`{\"object\": \"list\", \"data\", \"first_id\", \"last_id\", \"has_more\"}`", body = Value),
        (status = "4XX", description = "As of `POST /v1/responses`", body = Value),
    )
)]
pub async fn list_response_input_items(
    State(conversations): State<Conversations>,
    Extension(caller): Extension<Caller>,
    ApiPath(id): ApiPath<String>,
    ApiQuery(query): ApiQuery<ListInputItems>,
) -> Result<Json<Value>, ApiError> {
    let run = find(&conversations, &caller, &id).await?;
    let added = conversations.list_messages_of_run(run.id).await?;
    let items = added.iter().take(message_count(&run)).enumerate();
    let mut items: Vec<Value> = items
        .map(|(place, message)| input_item(&format!("item_{}_{place}", run.id.simple()), message))
        .collect();
    if query.order.as_deref() != Some("asc") {
        items.reverse();
    }
    if let Some(after) = query.after {
        let place = items.iter().position(|item| item["id"] == after.as_str());
        items.drain(..place.map_or(items.len(), |place| place + 1));
    }
    let limit = query.limit.unwrap_or(20).clamp(1, 100);
    let has_more = items.len() > limit;
    items.truncate(limit);
    let id = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    Ok(Json(json!({
        "object": "list",
        "first_id": id(items.first()),
        "last_id": id(items.last()),
        "has_more": has_more,
        "data": items,
    })))
}

/// A message that a caller has sent, as an item.
fn input_item(id: &str, message: &Message) -> Value {
    let parts: Vec<Value> = message.content.iter().filter_map(input_part).collect();
    match message.role {
        Role::Tool => json!({
            "id": id,
            "type": "function_call_output",
            "status": "completed",
            "call_id": message.tool_call_id,
            "output": message.plain_text().map_or(Value::Array(parts), |text| json!(text)),
        }),
        role => json!({
            "id": id,
            "type": "message",
            "status": "completed",
            "role": role,
            "content": parts,
        }),
    }
}

fn input_part(part: &Part) -> Option<Value> {
    let image = |url: String| json!({"type": "input_image", "image_url": url, "detail": "auto"});
    match part {
        Part::Text { text, .. } => Some(json!({"type": "input_text", "text": text})),
        Part::Image { media_type, data } => Some(image(format!("data:{media_type};base64,{data}"))),
        Part::ImageUrl { url } => Some(image(url.clone())),
        Part::Thought(_) => None,
    }
}

/// A response as it stands on record.
pub(super) fn show(run: &Run) -> Response {
    let shown = response(run, &Repeated::of_run(run), output_on_record(run));
    (run_headers(run, None), Json(shown)).into_response()
}

async fn find(conversations: &Conversations, caller: &Caller, id: &str) -> Result<Run, ApiError> {
    let run_id = run_of_response(id).ok_or_else(|| not_found(id))?;
    let found = conversations.find_run(run_id).await?;
    let found = found.filter(|found| caller.may_see(found.key_id)).map(|found| found.run);
    found.filter(|run| run.asked_as_response.is_some()).ok_or_else(|| not_found(id))
}

fn not_found(id: &str) -> ApiError {
    ApiError::new(ErrorCode::RunNotFound, format!("Response with id '{id}' not found."))
}
