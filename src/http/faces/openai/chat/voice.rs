//! A run in the words of a chat completion, whole or in chunks.
//! <https://platform.openai.com/docs/api-reference/chat-streaming>

use axum::response::sse::Event;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::chat::{FinishReason, ForeignEvent, ToolCall, Usage};
use crate::conversation::{Run, RunEvent, RunStatus};
use crate::http::error::ApiError;
use crate::http::faces::answer::{Voice, rolecall_field, served_model};
use crate::http::faces::openai::error_body;

#[derive(Debug)]
pub(super) struct ChatVoice {
    wants_usage: bool,
    /// What every chunk begins with.
    head: Map<String, Value>,
    /// Further fields of the next chunk: a chunk of nothing else would have no choice, which clients do not expect.
    further: Map<String, Value>,
}

/// A chunk as it is written. A stream is little else, so that nothing of one is copied first.
#[derive(Serialize)]
struct Chunk<'a, C> {
    #[serde(flatten)]
    head: &'a Map<String, Value>,
    #[serde(flatten)]
    further: Map<String, Value>,
    choices: C,
    /// Each chunk has the field if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Value>,
}

#[derive(Serialize)]
struct Choice<D> {
    index: u32,
    delta: D,
    finish_reason: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Delta<'a> {
    Content(&'a str),
    ReasoningContent(&'a str),
}

impl ChatVoice {
    pub fn new(wants_usage: bool) -> Self {
        Self { wants_usage, head: Map::new(), further: Map::new() }
    }

    fn chunk(&mut self, delta: impl Serialize, finish_reason: Option<&'static str>) -> Event {
        self.frame([Choice { index: 0, delta, finish_reason }], None)
    }

    fn frame(&mut self, choices: impl Serialize, usage: Option<Value>) -> Event {
        let chunk = Chunk {
            head: &self.head,
            further: std::mem::take(&mut self.further),
            choices,
            usage: self.wants_usage.then(|| usage.unwrap_or(Value::Null)),
        };
        data(&chunk)
    }

    /// What a provider of the same protocol has said besides: a chunk's further fields, or an event of another kind.
    fn foreign(&mut self, event: &ForeignEvent) -> Option<Event> {
        match serde_json::from_str(&event.data) {
            Ok(Value::Object(mut fields)) if fields.contains_key("choices") => {
                let choices = fields.remove("choices");
                self.further.extend(fields);
                let choices = choices.as_ref().and_then(Value::as_array)?;
                (!choices.is_empty()).then(|| self.frame(choices, None))
            }
            _ if event.name.is_empty() => Some(Event::default().data(&event.data)),
            _ => Some(Event::default().event(&event.name).data(&event.data)),
        }
    }
}

impl Voice for ChatVoice {
    fn begin(&mut self, run: &Run) -> Vec<Event> {
        let mut first = head(run, "chat.completion.chunk");
        self.head.clone_from(&first);
        let delta = json!({"role": "assistant", "content": ""});
        let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
        first.insert("choices".to_owned(), json!([choice]));
        if self.wants_usage {
            first.insert("usage".to_owned(), Value::Null);
        }
        first.insert("rolecall".to_owned(), rolecall_field(run));
        vec![data(&Value::Object(first))]
    }

    fn tell(&mut self, event: RunEvent) -> Vec<Event> {
        let frame = match event {
            RunEvent::TextDelta(text) => self.chunk(Delta::Content(&text), None),
            // The name that most compatible servers have for it.
            RunEvent::ThinkingDelta(text) => self.chunk(Delta::ReasoningContent(&text), None),
            RunEvent::ProviderEvent(event) => return self.foreign(&event).into_iter().collect(),
            // Calls are told at the end: until then it is not known which ones are the caller's.
            _ => return Vec::new(),
        };
        vec![frame]
    }

    fn end(&mut self, run: &Run) -> Vec<Event> {
        if run.status != RunStatus::Completed {
            // Without the last mark: the answer is not whole.
            return vec![data(&error_body(&ApiError::of_run(run)))];
        }
        let mut frames = Vec::new();
        for (index, call) in run.tool_calls.iter().enumerate() {
            let mut call = tool_call(call);
            call["index"] = json!(index);
            frames.push(self.chunk(json!({"tool_calls": [call]}), None));
        }
        frames.push(self.chunk(json!({}), Some(finish_reason(run))));
        if self.wants_usage {
            frames.push(self.frame(json!([]), Some(usage(run.usage))));
        }
        frames.push(Event::default().data("[DONE]"));
        frames
    }

    fn silence() -> Event {
        Event::default().comment("keep-alive")
    }

    fn whole(&mut self, events: Vec<RunEvent>, run: &Run) -> Value {
        let text = run.output.as_deref().unwrap_or_default();
        let has_content = !text.is_empty() || run.tool_calls.is_empty();
        let mut message = json!({
            "role": "assistant",
            "content": has_content.then_some(text),
            "refusal": null,
        });
        let mut thinking = String::new();
        let mut foreign = Vec::new();
        for event in events {
            match event {
                RunEvent::ThinkingDelta(text) => thinking.push_str(&text),
                RunEvent::ProviderEvent(event) => foreign.push(event),
                _ => {}
            }
        }
        if !thinking.is_empty() {
            message["reasoning_content"] = json!(thinking);
        }
        if !run.tool_calls.is_empty() {
            message["tool_calls"] = run.tool_calls.iter().map(tool_call).collect();
        }
        let mut choice =
            json!({"index": 0, "message": message, "finish_reason": finish_reason(run)});
        let mut completion = head(run, "chat.completion");
        for event in foreign {
            add_foreign(&mut completion, &mut choice, &event);
        }
        completion.insert("choices".to_owned(), json!([choice]));
        completion.insert("usage".to_owned(), usage(run.usage));
        completion.insert("rolecall".to_owned(), rolecall_field(run));
        Value::Object(completion)
    }
}

fn head(run: &Run, object: &str) -> Map<String, Value> {
    let fields = [
        ("id", json!(format!("chatcmpl-{}", run.id.simple()))),
        ("object", json!(object)),
        ("created", json!(run.created_at.timestamp())),
        ("model", json!(served_model(run))),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn data(value: &impl Serialize) -> Event {
    Event::default().data(serde_json::to_string(value).unwrap_or_default())
}

fn tool_call(call: &ToolCall) -> Value {
    json!({"id": call.id, "type": "function", "function": {
        "name": call.name,
        "arguments": call.arguments.to_string(),
    }})
}

fn finish_reason(run: &Run) -> &'static str {
    match run.finish_reason {
        _ if !run.tool_calls.is_empty() => "tool_calls",
        Some(FinishReason::Length) => "length",
        Some(FinishReason::Refusal) => "content_filter",
        _ => "stop",
    }
}

/// The prompt's tokens include the cached ones, here as there.
fn usage(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
    })
}

/// Puts what chunks have said besides into the places that a whole completion has for it.
fn add_foreign(completion: &mut Map<String, Value>, choice: &mut Value, event: &ForeignEvent) {
    let Ok(Value::Object(fields)) = serde_json::from_str(&event.data) else { return };
    let Some(choices) = fields.get("choices") else { return };
    let empty = Map::new();
    let of_choice = choices[0].as_object().unwrap_or(&empty);
    let of_message = choices[0]["delta"].as_object().unwrap_or(&empty);
    for (name, value) in of_message {
        add(&mut choice["message"], name, value);
    }
    let is_place = |name: &str| matches!(name, "index" | "delta" | "finish_reason");
    for (name, value) in of_choice.iter().filter(|(name, _)| !is_place(name)) {
        add(choice, name, value);
    }
    for (name, value) in fields.iter().filter(|(name, _)| *name != "choices") {
        completion.insert(name.clone(), value.clone());
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
