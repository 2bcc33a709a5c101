//! A run in the words of a chat completion, in one piece.
//! <https://platform.openai.com/docs/api-reference/chat/object>

use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::chat::{FinishReason, ForeignEvent, FurtherFields, Protocol, ToolCall, Usage};
use crate::conversation::{Run, RunEvent};
use crate::http::faces::answer::{RolecallField, served_model};
use crate::http::faces::openai::usage::add_further;

/// A completion in one piece.
#[derive(Serialize)]
struct Completion<'a> {
    id: String,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: [CompletionChoice<'a>; 1],
    usage: UsageBody,
    rolecall: RolecallField<'a>,
}

#[derive(Serialize)]
struct CompletionChoice<'a> {
    index: u32,
    message: Message<'a>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    reasoning_content: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<CallBody<'a>>,
}

/// A call of the caller's.
#[derive(Serialize)]
pub(super) struct CallBody<'a> {
    id: &'a str,
    /// Of a type that only the protocol knows there are its own words.
    #[serde(flatten)]
    function: Option<OfFunction<'a>>,
    /// Its place, in a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(flatten)]
    further: Option<&'a FurtherFields>,
}

#[derive(Serialize)]
struct OfFunction<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: FunctionBody<'a>,
}

#[derive(Serialize)]
struct FunctionBody<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl<'a> CallBody<'a> {
    pub fn in_stream(index: usize, call: &'a ToolCall) -> Self {
        Self { index: Some(index), ..Self::from(call) }
    }
}

impl<'a> From<&'a ToolCall> for CallBody<'a> {
    fn from(call: &'a ToolCall) -> Self {
        let further = call.further_for_callers(Protocol::ChatCompletions);
        let is_of_function = !further.is_some_and(|further| further.contains_key("type"));
        let function = FunctionBody { name: &call.name, arguments: call.arguments.as_str() };
        let function = is_of_function.then_some(OfFunction { kind: "function", function });
        Self { id: &call.id, function, index: None, further }
    }
}

/// The prompt's tokens include the cached ones, here as there.
#[derive(Serialize)]
pub(super) struct UsageBody {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
}

#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: u64,
}

impl From<Usage> for UsageBody {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.input_tokens,
            completion_tokens: usage.output_tokens,
            total_tokens: usage.input_tokens + usage.output_tokens,
            prompt_tokens_details: PromptDetails { cached_tokens: usage.cached_input_tokens },
        }
    }
}

/// The completion of a run that is completed, as JSON.
pub(super) fn write(events: Vec<RunEvent>, run: &Run) -> String {
    let mut thinking = String::new();
    let mut foreign = Vec::new();
    let (mut told, mut refusal_start) = (0, None);
    for event in events {
        match event {
            RunEvent::TextDelta(text) => told += text.len(),
            RunEvent::Refusing {} => refusal_start = Some(told),
            RunEvent::ThinkingDelta(text) => thinking.push_str(&text),
            RunEvent::ProviderEvent(event) => foreign.push(event),
            _ => {}
        }
    }
    let text = run.output.as_deref().unwrap_or_default();
    let refused = refusal_start.and_then(|start| text.split_at_checked(start));
    let (text, refusal) = refused.map_or((text, None), |(text, refusal)| (text, Some(refusal)));
    let has_content = !text.is_empty() || (run.tool_calls.is_empty() && refusal.is_none());
    let message = Message {
        role: "assistant",
        content: has_content.then_some(text),
        refusal,
        reasoning_content: thinking,
        tool_calls: run.tool_calls.iter().map(CallBody::from).collect(),
    };
    let completion = Completion {
        id: completion_id(run),
        object: "chat.completion",
        created: run.created_at.timestamp(),
        model: served_model(run),
        choices: [CompletionChoice { index: 0, message, finish_reason: finish_reason(run) }],
        usage: UsageBody::from(run.usage),
        rolecall: RolecallField::from(run),
    };
    if foreign.is_empty() {
        return serde_json::to_string(&completion).expect("a completion is plain");
    }
    let mut completion = json!(completion);
    for event in foreign {
        add_foreign(&mut completion, &event, run);
    }
    completion.to_string()
}

pub(super) fn completion_id(run: &Run) -> String {
    ["chatcmpl-", run.id.simple().encode_lower(&mut Uuid::encode_buffer())].concat()
}

pub(super) fn finish_reason(run: &Run) -> &'static str {
    match run.finish_reason {
        _ if !run.tool_calls.is_empty() => "tool_calls",
        Some(FinishReason::Length) => "length",
        // A model that refuses in its own words has stopped by itself.
        Some(FinishReason::Refusal) if !run.refused_in_words => "content_filter",
        _ => "stop",
    }
}

/// Puts what chunks have said besides into the places that a whole completion has for it.
fn add_foreign(completion: &mut Value, event: &ForeignEvent, run: &Run) {
    let Ok(Value::Object(fields)) = serde_json::from_str(&event.data) else { return };
    let Some(choices) = fields.get("choices") else { return };
    let empty = Map::new();
    let of_choice = choices[0].as_object().unwrap_or(&empty);
    let of_message = choices[0]["delta"].as_object().unwrap_or(&empty);
    let choice = &mut completion["choices"][0];
    for (name, value) in of_message {
        add(&mut choice["message"], name, value);
    }
    let is_place = |name: &str| matches!(name, "index" | "delta" | "finish_reason");
    for (name, value) in of_choice.iter().filter(|(name, _)| !is_place(name)) {
        add(choice, name, value);
    }
    for (name, value) in &fields {
        match name.as_str() {
            "choices" => {}
            "usage" => add_further(&mut completion["usage"], value, run),
            _ => completion[name] = value.clone(),
        }
    }
}

/// Lists grow and objects are joined, over all chunks; of anything else the last one counts.
fn add(place: &mut Value, name: &str, value: &Value) {
    match (&mut place[name], value) {
        (Value::Array(items), Value::Array(more)) => items.extend(more.iter().cloned()),
        (Value::Object(fields), Value::Object(_)) => {
            let mut joined = Value::Object(std::mem::take(fields));
            for (name, value) in value.as_object().into_iter().flatten() {
                add(&mut joined, name, value);
            }
            place[name] = joined;
        }
        (place, value) => *place = value.clone(),
    }
}
