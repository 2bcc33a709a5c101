//! What a server says in Responses and has no neutral word: what its own tools do, what a text cites, its tier and more.
//! It is kept for callers who speak the protocol.

use bytestring::ByteString;
use serde_json::{Map, Value, json};

use crate::chat::{
    ChatEvent, ForeignEvent, FurtherFields, Protocol, written_fields, written_items,
};
use crate::provider::SseEvent;
use crate::provider::further::further_fields;
use crate::provider::openai_words::further_usage;

/// Items that are read here.
const KNOWN_ITEMS: &[&str] = &["message", "reasoning", "function_call"];

const KNOWN_OF_CALL: &[&str] = &["type", "id", "status", "call_id", "name", "arguments"];

/// Those whose beginning is told.
const APART: &[&str] = &["message", "reasoning"];

/// Events that say again what other events say.
const REPEATING: &[&str] = &[
    "response.created",
    "response.in_progress",
    "response.queued",
    "response.output_text.done",
    "response.content_part.added",
    "response.content_part.done",
    "response.refusal.done",
    "response.reasoning_text.done",
    "response.reasoning_summary_text.done",
    "response.reasoning_summary_part.added",
    "response.reasoning_summary_part.done",
    // What keeps a connection alive.
    "keepalive",
    "ping",
];

/// Fields of a response that are read here, or that the service says itself.
const KNOWN_FIELDS: &[&str] = &[
    "background", "billing", "completed_at", "conversation", "created_at", "error", "id",
    "incomplete_details", "instructions", "max_output_tokens", "max_tool_calls", "metadata",
    "model", "object", "output", "output_text", "parallel_tool_calls", "previous_response_id",
    "reasoning", "status", "store", "temperature", "text", "tool_choice", "tools", "top_logprobs",
    "top_p", "truncation", "usage", "user",
];

const SUMS: &[&str] = &["input_tokens", "output_tokens", "total_tokens"];

/// An event of a type that is not known.
pub(super) fn of_event(kind: &str, event: &SseEvent) -> Option<ChatEvent> {
    (!REPEATING.contains(&kind)).then(|| foreign(&event.event, event.data.clone()))
}

/// An item that begins or ends, if it is not known.
pub(super) fn of_item_event(item_kind: &str, event: &SseEvent) -> Option<ChatEvent> {
    let is_told = !KNOWN_ITEMS.contains(&item_kind);
    is_told.then(|| foreign_content(&event.event, event.data.clone()))
}

/// The beginning of an item. That of messages and of thinking is told, too, so that they stand apart; and what is encrypted
/// of thinking is bound to its id.
pub(super) fn of_item_begun_event(item_kind: &str, event: &SseEvent) -> Option<ChatEvent> {
    if APART.contains(&item_kind) {
        return Some(foreign(&event.event, event.data.clone()));
    }
    of_item_event(item_kind, event)
}

/// The end of a message that says more than its text.
pub(super) fn of_message_event(event: &SseEvent) -> ChatEvent {
    foreign(&event.event, event.data.clone())
}

/// The same of a whole answer, whose items are no events.
pub(super) fn of_item_begun(place: usize, item: &Value) -> Option<ChatEvent> {
    let (kind, name) = (item["type"].as_str().unwrap_or_default(), "response.output_item.added");
    if APART.contains(&kind) {
        // What it says is told by itself.
        return Some(item_event(name, place, &json!({"type": kind, "id": item["id"]})));
    }
    (!KNOWN_ITEMS.contains(&kind)).then(|| item_event(name, place, item))
}

pub(super) fn of_item_ended(place: usize, item: &Value) -> ChatEvent {
    item_event("response.output_item.done", place, item)
}

fn item_event(name: &str, place: usize, item: &Value) -> ChatEvent {
    let is_apart = item["type"].as_str().is_some_and(|kind| APART.contains(&kind));
    let data = json!({"type": name, "output_index": place, "item": item}).to_string();
    if is_apart { foreign(name, data) } else { foreign_content(name, data) }
}

/// Another part of the thinking that is told.
pub(super) fn of_thinking_part(output_index: Option<u64>, part: u64) -> ChatEvent {
    let name = "response.reasoning_summary_part.added";
    let data = json!({"type": name, "output_index": output_index, "summary_index": part,
        "part": {"type": "summary_text", "text": ""}});
    foreign(name, data.to_string())
}

/// What a function call says besides, such as the namespace of its tool. `event` holds its item, and is as it is written.
pub(super) fn of_call_in_event(event: &str) -> FurtherFields {
    let item = written_fields(&event.into()).swap_remove("item");
    item.as_ref().map(of_call).unwrap_or_default()
}

/// The same of an item of a response, or of an event that holds one.
pub(super) fn of_call_in_response(written: &str, place: usize) -> FurtherFields {
    let written = written_fields(&written.into());
    let output = match written.get("response") {
        Some(response) => written_fields(response).swap_remove("output"),
        None => written.get("output").cloned(),
    };
    let Some(output) = output else { return FurtherFields::new() };
    let item = written_items(&output).get(place).map(|item| output.slice_ref(item));
    item.as_ref().map(of_call).unwrap_or_default()
}

fn of_call(item: &ByteString) -> FurtherFields {
    let fields = written_fields(item);
    further_fields(fields.iter().map(|(name, value)| (&**name, &**value)), KNOWN_OF_CALL)
}

/// What a response that is over says besides.
pub(super) fn of_response(response: &Value) -> Option<ChatEvent> {
    let fields = response.as_object()?.iter();
    let mut further: Map<String, Value> = fields
        .filter(|(name, value)| !KNOWN_FIELDS.contains(&name.as_str()) && !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let usage = further_usage(&response["usage"], SUMS, "input_tokens_details");
    further.extend(usage.map(|usage| ("usage".to_owned(), usage)));
    let kind = "response.completed";
    let data = json!({"type": kind, "response": further});
    (!further.is_empty()).then(|| foreign(kind, data.to_string()))
}

fn foreign(name: &str, data: String) -> ChatEvent {
    ChatEvent::Foreign(foreign_event(name, data))
}

/// The same of what a caller waits for, as for text.
fn foreign_content(name: &str, data: String) -> ChatEvent {
    ChatEvent::Foreign(ForeignEvent { is_content: true, ..foreign_event(name, data) })
}

fn foreign_event(name: &str, data: String) -> ForeignEvent {
    ForeignEvent { protocol: Protocol::Responses, name: name.to_owned(), data, is_content: false }
}
