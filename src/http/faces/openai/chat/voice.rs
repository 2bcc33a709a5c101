//! A run in the words of a chat completion, in chunks.
//! <https://platform.openai.com/docs/api-reference/chat-streaming>

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::completion::{self, CallBody, UsageBody, completion_id, finish_reason};
use crate::chat::ForeignEvent;
use crate::conversation::{Run, RunEvent, RunStatus};
use crate::http::error::ApiError;
use crate::http::faces::answer::{RolecallField, Voice, served_model};
use crate::http::faces::openai::error_body;
use crate::http::faces::openai::usage::add_further;
use crate::http::sse::SseFrame;

/// About what a chunk has besides its head.
const CHUNK_BYTES: usize = 128;

#[derive(Debug)]
pub(super) struct ChatVoice {
    wants_usage: bool,
    /// Whether the texts are a refusal.
    is_refusing: bool,
    /// What every chunk begins with, as it is written, up to the comma behind it.
    head: String,
    /// Further fields of the next chunk: a chunk of nothing else would have no choice, which clients do not expect.
    further: Map<String, Value>,
    /// What the provider counts besides.
    usage: Value,
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
    Refusal(&'a str),
    ReasoningContent(&'a str),
    ToolCalls([CallBody<'a>; 1]),
}

impl ChatVoice {
    pub fn new(wants_usage: bool) -> Self {
        Self {
            wants_usage,
            is_refusing: false,
            head: String::new(),
            further: Map::new(),
            usage: Value::Null,
        }
    }

    fn chunk(&mut self, delta: impl Serialize, finish_reason: Option<&'static str>) -> SseFrame {
        self.frame([Choice { index: 0, delta, finish_reason }], None)
    }

    /// A stream is little else than chunks, so that nothing of one is written twice.
    fn frame(&mut self, choices: impl Serialize, usage: Option<&Value>) -> SseFrame {
        SseFrame::of_line(self.head.len() + CHUNK_BYTES, |chunk| {
            chunk.extend_from_slice(self.head.as_bytes());
            for (name, value) in std::mem::take(&mut self.further) {
                write_field(chunk, &name, &value);
                chunk.push(b',');
            }
            write_field(chunk, "choices", &choices);
            // Each chunk has the field if one does.
            if self.wants_usage {
                chunk.push(b',');
                write_field(chunk, "usage", &usage);
            }
            chunk.push(b'}');
        })
    }

    /// What a provider of the same protocol has said besides: a chunk's further fields, or an event of another kind.
    fn foreign(&mut self, event: &ForeignEvent) -> Option<SseFrame> {
        match serde_json::from_str(&event.data) {
            Ok(Value::Object(mut fields)) if fields.contains_key("choices") => {
                let choices = fields.remove("choices");
                if let Some(usage) = fields.remove("usage") {
                    self.usage = usage;
                }
                self.further.extend(fields);
                let choices = choices.as_ref().and_then(Value::as_array)?;
                (!choices.is_empty()).then(|| self.frame(choices, None))
            }
            _ => Some(SseFrame::new(&event.name, &event.data)),
        }
    }
}

impl Voice for ChatVoice {
    fn begin(&mut self, run: &Run) -> Vec<SseFrame> {
        let mut first = head(run, "chat.completion.chunk");
        self.head = serde_json::to_string(&first).expect("a chunk is plain");
        self.head.pop();
        self.head.push(',');
        let delta = json!({"role": "assistant", "content": ""});
        let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
        first.insert("choices".to_owned(), json!([choice]));
        if self.wants_usage {
            first.insert("usage".to_owned(), Value::Null);
        }
        first.insert("rolecall".to_owned(), json!(RolecallField::from(run)));
        vec![data(&Value::Object(first))]
    }

    fn tell(&mut self, event: RunEvent, frames: &mut VecDeque<SseFrame>) {
        frames.extend(match event {
            RunEvent::Refusing {} => {
                self.is_refusing = true;
                None
            }
            RunEvent::TextDelta(text) if self.is_refusing => {
                Some(self.chunk(Delta::Refusal(&text), None))
            }
            RunEvent::TextDelta(text) => Some(self.chunk(Delta::Content(&text), None)),
            // The name that most compatible servers have for it.
            RunEvent::ThinkingDelta(text) => Some(self.chunk(Delta::ReasoningContent(&text), None)),
            RunEvent::ProviderEvent(event) => self.foreign(&event),
            // Calls are told at the end: until then it is not known which ones are the caller's.
            _ => None,
        });
    }

    fn end(&mut self, run: &Run) -> Vec<SseFrame> {
        if run.status != RunStatus::Completed {
            // Without the last mark: the answer is not whole.
            return vec![data(&error_body(&ApiError::of_run(run)))];
        }
        let mut frames = Vec::new();
        for (index, call) in run.tool_calls.iter().enumerate() {
            let call = CallBody::in_stream(index, call);
            frames.push(self.chunk(Delta::ToolCalls([call]), None));
        }
        frames.push(self.chunk(json!({}), Some(finish_reason(run))));
        if self.wants_usage {
            let mut usage = json!(UsageBody::from(run.usage));
            add_further(&mut usage, &self.usage, run);
            frames.push(self.frame(json!([]), Some(&usage)));
        }
        frames.push(SseFrame::new("", "[DONE]"));
        frames
    }

    fn silence() -> SseFrame {
        SseFrame::comment("keep-alive")
    }

    fn whole(&mut self, events: Vec<RunEvent>, run: &Run) -> String {
        completion::write(events, run)
    }
}

fn head(run: &Run, object: &str) -> Map<String, Value> {
    let fields = [
        ("id", json!(completion_id(run))),
        ("object", json!(object)),
        ("created", json!(run.created_at.timestamp())),
        ("model", json!(served_model(run))),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn write_field(json: &mut Vec<u8>, name: &str, value: &impl Serialize) {
    serde_json::to_writer(&mut *json, name).expect("a name is plain");
    json.push(b':');
    serde_json::to_writer(json, value).expect("a chunk is plain");
}

fn data(value: &impl Serialize) -> SseFrame {
    SseFrame::new("", &serde_json::to_string(value).unwrap_or_default())
}
