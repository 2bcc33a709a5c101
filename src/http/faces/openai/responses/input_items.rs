//! What a stored response was asked with, as items: those that neutral words say all of, and those that are kept as they
//! were written.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::response::{message_count, output_text};
use super::stored::find;
use crate::access::Caller;
use crate::chat::{Message, Part, Role, SealedThought, ToolCall};
use crate::conversation::Conversations;
use crate::http::error::ApiError;
use crate::http::extract::{ApiPath, ApiQuery};

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
    let mut items = input_items(added.iter().take(message_count(&run)));
    for (place, item) in items.iter_mut().enumerate().filter(|(_, item)| !item["id"].is_string()) {
        item["id"] = json!(format!("item_{}_{place}", run.id.simple()));
    }
    if query.order.as_deref() != Some("asc") {
        items.reverse();
    }
    if let Some(after) = query.after {
        // Callers may have given two items one id.
        let place = items.iter().rposition(|item| item["id"] == after.as_str());
        let place = place.ok_or_else(|| {
            ApiError::invalid_field(
                "/after",
                format!("no item of this response has the id `{after}`"),
            )
        })?;
        items.drain(..=place);
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

fn input_items<'a>(messages: impl Iterator<Item = &'a Message>) -> Vec<Value> {
    messages.flat_map(items_of).collect()
}

/// The items of a message, in the order of its parts.
fn items_of(message: &Message) -> Vec<Value> {
    let (mut items, mut said) = (Vec::new(), Vec::new());
    for part in &message.content {
        let own_words = match part {
            Part::Foreign(item) => serde_json::from_str(&item.item).ok().map(as_listed),
            Part::Thought(thought) => Some(reasoning(thought)),
            _ => None,
        };
        match own_words {
            Some(item) => {
                items.extend(item_saying(message, &std::mem::take(&mut said)));
                items.push(item);
            }
            None => said.extend(part_of(message.role, part)),
        }
    }
    items.extend(item_saying(message, &said));
    let calls = message.tool_calls.iter().filter(|call| !message.is_foreign_call(&call.id));
    items.extend(calls.map(function_call));
    items
}

/// An item as it was sent. A message says that it is one, and its content is a list.
fn as_listed(mut item: Value) -> Value {
    if item["type"].is_null() {
        item["type"] = json!("message");
    }
    if item["type"] == "message"
        && let Some(text) = item["content"].as_str()
    {
        let is_answer = item["role"] == "assistant";
        let part = if is_answer { output_text(text, &[]) } else { input_text(text) };
        item["content"] = json!([part]);
    }
    item
}

/// An item of parts that follow each other, if there are any.
fn item_saying(message: &Message, said: &[Value]) -> Option<Value> {
    if said.is_empty() {
        return None;
    }
    Some(match message.role {
        Role::Tool => json!({
            "type": "function_call_output",
            "status": "completed",
            "call_id": message.tool_call_id,
            "output": message.plain_text().map_or_else(|| json!(said), |text| json!(text)),
        }),
        role => json!({"type": "message", "status": "completed", "role": role, "content": said}),
    })
}

fn part_of(role: Role, part: &Part) -> Option<Value> {
    let image = |url: String| json!({"type": "input_image", "image_url": url, "detail": "auto"});
    match part {
        Part::Text { text, .. } if role == Role::Assistant => Some(output_text(text, &[])),
        Part::Text { text, .. } => Some(input_text(text)),
        Part::Image { media_type, data } => Some(image(format!("data:{media_type};base64,{data}"))),
        Part::ImageUrl { url } => Some(image(url.clone())),
        Part::Thought(_) | Part::Instructions { .. } | Part::Foreign(_) => None,
    }
}

fn input_text(text: &str) -> Value {
    json!({"type": "input_text", "text": text})
}

/// Thinking that its provider has sealed in the protocol's words, or in an envelope.
fn reasoning(thought: &SealedThought) -> Value {
    if thought.block["type"] == "reasoning" {
        return thought.block.clone();
    }
    json!({"type": "reasoning", "summary": [], "encrypted_content": thought.to_envelope()})
}

fn function_call(call: &ToolCall) -> Value {
    json!({
        "type": "function_call",
        "status": "completed",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments.as_str(),
    })
}
