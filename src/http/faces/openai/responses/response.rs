//! The response object. <https://platform.openai.com/docs/api-reference/responses/object>

use serde_json::{Map, Value, json};

use super::item_id::{ItemId, response_id};
use crate::chat::{FinishReason, Protocol, ToolCall, Usage, WrittenFields};
use crate::conversation::{Run, RunStatus};
use crate::http::error::ApiError;
use crate::http::faces::answer::{RolecallField, served_model};
use crate::http::faces::openai::error::error_code;

/// What a response has of its request, where the request says nothing.
fn unsaid() -> Map<String, Value> {
    let fields = json!({
        "background": false,
        "instructions": null,
        "max_output_tokens": null,
        "max_tool_calls": null,
        "metadata": {},
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null},
        "store": true,
        "temperature": null,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": null,
        "truncation": "disabled",
    });
    let Value::Object(fields) = fields else { unreachable!("it is an object") };
    fields
}

/// Fields that are repeated only if the request has them.
const REPEATED_IF_SAID: &[&str] =
    &["conversation", "prompt_cache_key", "safety_identifier", "service_tier", "user"];

/// Where it is kept of how many messages the input was.
const MESSAGE_COUNT: &str = "input_message_count";

/// Of how many messages the input of a run was that is found again.
pub(super) fn message_count(run: &Run) -> usize {
    let asked = run.asked_as_response.as_ref();
    let count = asked.and_then(|asked| asked[MESSAGE_COUNT].as_u64());
    count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
}

/// What a response repeats of its request.
#[derive(Debug, Clone)]
pub(super) struct Repeated(Map<String, Value>);

impl Repeated {
    pub fn of_request(body: &WrittenFields) -> Self {
        let unsaid = unsaid();
        let is_repeated =
            |name: &str| unsaid.contains_key(name) || REPEATED_IF_SAID.contains(&name);
        let said = body.iter().filter(|(name, _)| is_repeated(name));
        let read = said.filter_map(|(name, written)| {
            Some((name.to_string(), serde_json::from_str(written).ok()?))
        });
        Self::saying(read)
    }

    fn saying(said: impl Iterator<Item = (String, Value)>) -> Self {
        let mut fields = unsaid();
        fields.extend(said.filter(|(_, value)| !value.is_null()));
        Self(fields)
    }

    /// Of a run that is found again.
    pub fn of_run(run: &Run) -> Self {
        let said = run.asked_as_response.as_ref().and_then(Value::as_object);
        let said = said.into_iter().flatten().filter(|(name, _)| *name != MESSAGE_COUNT);
        Self::saying(said.map(|(name, value)| (name.clone(), value.clone())))
    }

    /// What of it is kept with the run: what was said, without the tools, which may be long, and of how many messages the
    /// input was.
    pub fn kept(&self, message_count: usize) -> Value {
        let unsaid = unsaid();
        let is_kept =
            |name: &str, value: &Value| name != "tools" && unsaid.get(name) != Some(value);
        let fields = self.0.iter().filter(|(name, value)| is_kept(name, value));
        let mut fields: Map<String, Value> =
            fields.map(|(name, value)| (name.clone(), value.clone())).collect();
        fields.insert(MESSAGE_COUNT.to_owned(), json!(message_count));
        Value::Object(fields)
    }
}

/// A response as its run stands, with what there is of its output.
pub(super) fn response(run: &Run, repeated: &Repeated, output: Vec<Value>) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    put("id", json!(response_id(run.id)));
    put("object", json!("response"));
    put("created_at", json!(run.created_at.timestamp()));
    put("completed_at", json!(run.ended_at.map(|at| at.timestamp())));
    put("status", json!(status(run)));
    put("error", error(run));
    put("incomplete_details", incomplete_details(run));
    put("model", json!(served_model(run)));
    put("output", Value::Array(output));
    put("usage", if run.status.is_end() { usage(run.usage) } else { Value::Null });
    for (name, value) in &repeated.0 {
        put(name, value.clone());
    }
    put("store", json!(run.asked_as_response.is_some()));
    put("rolecall", json!(RolecallField::from(run)));
    fields
}

pub(super) fn message(id: ItemId, part: &Value, status: &str) -> Value {
    json!({
        "id": id.to_string(),
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [part],
    })
}

pub(super) fn output_text(text: &str, annotations: &[Value]) -> Value {
    json!({"type": "output_text", "text": text, "annotations": annotations, "logprobs": []})
}

pub(super) fn refusal(text: &str) -> Value {
    json!({"type": "refusal", "refusal": text})
}

pub(super) fn function_call(id: ItemId, call: &ToolCall) -> Value {
    let mut item = json!({
        "id": id.to_string(),
        "type": "function_call",
        "status": "completed",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments.as_str(),
    });
    for (name, written) in call.further_for_callers(Protocol::Responses).into_iter().flatten() {
        item[name] = written.to_value();
    }
    item
}

/// A message that a limit has cut is not whole.
pub(super) fn item_status(run: &Run) -> &'static str {
    match status(run) {
        "queued" | "in_progress" => "in_progress",
        "completed" => "completed",
        _ => "incomplete",
    }
}

fn status(run: &Run) -> &'static str {
    match run.status {
        RunStatus::Queued => "queued",
        RunStatus::Picked | RunStatus::Connecting | RunStatus::Streaming => "in_progress",
        RunStatus::Completed if incomplete_reason(run).is_some() => "incomplete",
        RunStatus::Completed => "completed",
        RunStatus::Cancelled => "cancelled",
        RunStatus::Failed | RunStatus::Truncated => "failed",
    }
}

fn incomplete_reason(run: &Run) -> Option<&'static str> {
    match run.finish_reason {
        _ if run.status != RunStatus::Completed => None,
        Some(FinishReason::Length) => Some("max_output_tokens"),
        // A model that refuses in its own words has said all.
        Some(FinishReason::Refusal) if !run.refused_in_words => Some("content_filter"),
        _ => None,
    }
}

fn incomplete_details(run: &Run) -> Value {
    json!(incomplete_reason(run).map(|reason| json!({"reason": reason})))
}

fn error(run: &Run) -> Value {
    if !matches!(run.status, RunStatus::Failed | RunStatus::Truncated) {
        return Value::Null;
    }
    let error = ApiError::of_run(run);
    json!({"code": error_code(&error), "message": error.message()})
}

/// The tokens that were thought are counted apart by the provider alone: see `usage.rs`.
fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_input_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    })
}
