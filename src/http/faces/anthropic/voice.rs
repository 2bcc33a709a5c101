//! A run in the words of a message, whole or as events.
//! <https://docs.claude.com/en/docs/build-with-claude/streaming>

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};

use super::error::error_body;
use super::frames::{Frame, gather};
use crate::chat::{FinishReason, ForeignEvent, Protocol, SealedThought, Usage};
use crate::conversation::{Run, RunEvent, RunStatus};
use crate::http::error::ApiError;
use crate::http::faces::answer::{RolecallField, Voice, served_model};
use crate::http::sse::SseFrame;

#[derive(Debug)]
pub(super) struct MessageVoice {
    /// Whether thinking is shown that no provider has signed.
    wants_thinking: bool,
    /// Thinking that is shown only if it turns out to be signed.
    unshown: String,
    /// The block that is being told.
    open: Option<Kind>,
    /// How many blocks have begun.
    blocks: u64,
    /// The places of blocks that a provider tells in its own words, by its own numbers.
    foreign: BTreeMap<u64, u64>,
    /// Why the answer ends, where the provider says more than a neutral word does.
    end: Map<String, Value>,
    /// What the end of the answer says beside that.
    beside_end: Map<String, Value>,
    /// What the provider says of its usage besides the sums.
    usage_details: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
}

impl MessageVoice {
    pub fn new(wants_thinking: bool) -> Self {
        Self {
            wants_thinking,
            unshown: String::new(),
            open: None,
            blocks: 0,
            foreign: BTreeMap::new(),
            end: Map::new(),
            beside_end: Map::new(),
            usage_details: Map::new(),
        }
    }

    fn start(run: &Run) -> Frame {
        Frame::of(json!({"type": "message_start", "message": {
            "id": message_id(run),
            "type": "message",
            "role": "assistant",
            "model": served_model(run),
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": usage(run.usage),
            "rolecall": RolecallField::from(run),
        }}))
    }

    fn frames(&mut self, event: RunEvent) -> Vec<Frame> {
        let mut frames = Vec::new();
        match event {
            RunEvent::TextDelta(text) => {
                self.open(Kind::Text, &mut frames);
                frames.push(Frame::Text { index: self.blocks - 1, text });
            }
            RunEvent::ThinkingDelta(text) if self.wants_thinking => {
                self.open(Kind::Thinking, &mut frames);
                frames.push(self.delta(&json!({"type": "thinking_delta", "thinking": text})));
            }
            RunEvent::ThinkingDelta(text) => self.unshown.push_str(&text),
            RunEvent::ThinkingSealed(thought) => self.seal(&thought, &mut frames),
            RunEvent::ProviderEvent(event) => self.pass(event, &mut frames),
            // Calls are told at the end: until then it is not known which ones are the caller's.
            _ => {}
        }
        frames
    }

    fn last_frames(&mut self, run: &Run) -> Vec<Frame> {
        let mut frames = Vec::new();
        self.close(&mut frames);
        for call in &run.tool_calls {
            let mut block =
                json!({"type": "tool_use", "id": call.id, "name": call.name, "input": {}});
            for (name, written) in
                call.further_for_callers(Protocol::Messages).into_iter().flatten()
            {
                block[name] = written.to_value();
            }
            self.begin_block(&block, &mut frames);
            let arguments = call.arguments.as_str();
            let delta = json!({"type": "input_json_delta", "partial_json": arguments});
            frames.push(self.delta(&delta));
            frames.push(self.stop());
        }
        let mut delta = json!({"stop_reason": stop_reason(run), "stop_sequence": null});
        for (name, value) in std::mem::take(&mut self.end) {
            delta[name] = value;
        }
        let mut end = json!({"type": "message_delta", "delta": delta, "usage": self.usage(run)});
        for (name, value) in std::mem::take(&mut self.beside_end) {
            end[name] = value;
        }
        frames.push(Frame::of(end));
        frames.push(Frame::of(json!({"type": "message_stop"})));
        frames
    }

    /// The sums, with the details of the only answer. What one of several says of itself is not what the run has used.
    fn usage(&mut self, run: &Run) -> Value {
        let mut usage = usage(run.usage);
        let details = std::mem::take(&mut self.usage_details);
        let details = details.into_iter().filter(|_| run.turns.len() == 1);
        if let Some(usage) = usage.as_object_mut() {
            for (name, value) in details {
                usage.entry(name).or_insert(value);
            }
        }
        usage
    }

    /// Ends thinking with its signature, or tells it all at once.
    fn seal(&mut self, thought: &SealedThought, frames: &mut Vec<Frame>) {
        let block = &thought.block;
        match block["type"].as_str() {
            Some("thinking") => {
                if self.open != Some(Kind::Thinking) {
                    self.open(Kind::Thinking, frames);
                    let thinking = &block["thinking"];
                    if thinking.as_str().is_some_and(|thinking| !thinking.is_empty()) {
                        let delta = json!({"type": "thinking_delta", "thinking": thinking});
                        frames.push(self.delta(&delta));
                    }
                }
                let signature = &block["signature"];
                frames
                    .push(self.delta(&json!({"type": "signature_delta", "signature": signature})));
                self.close(frames);
            }
            Some("redacted_thinking") => {
                self.close(frames);
                self.begin_block(block, frames);
                frames.push(self.stop());
            }
            // What another protocol has sealed, nobody here could give back.
            _ => {}
        }
        self.unshown.clear();
    }

    /// Tells what a provider of the same protocol has said, as it came, with blocks in the places that they have here.
    fn pass(&mut self, event: ForeignEvent, frames: &mut Vec<Frame>) {
        let mut data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        let theirs = data["index"].as_u64().unwrap_or_default();
        let place = match data["type"].as_str().unwrap_or_default() {
            // Another text follows the one before.
            "content_block_start" if data["content_block"]["type"] == "text" => {
                self.close(frames);
                return self.open(Kind::Text, frames);
            }
            "content_block_start" => {
                self.close(frames);
                self.foreign.insert(theirs, self.blocks);
                self.blocks += 1;
                Some(self.blocks - 1)
            }
            "content_block_delta" => self.foreign.get(&theirs).copied().or_else(|| {
                // It belongs to a text: a citation.
                self.open(Kind::Text, frames);
                Some(self.blocks - 1)
            }),
            "content_block_stop" => self.foreign.remove(&theirs),
            "message_start" => {
                return self.usage_details.extend(take(&mut data["message"]["usage"]));
            }
            "message_delta" => {
                self.end.extend(take(&mut data["delta"]));
                self.usage_details.extend(take(&mut data["usage"]));
                let beside = take(&mut data).into_iter();
                let is_told = |name: &str| matches!(name, "type" | "delta" | "usage");
                return self.beside_end.extend(beside.filter(|(name, _)| !is_told(name)));
            }
            _ => None,
        };
        frames.push(match place {
            Some(place) if place != theirs => {
                data["index"] = json!(place);
                Frame::of(data)
            }
            _ => Frame::Raw { name: event.name, data: event.data },
        });
    }

    /// Makes sure that a block of that kind is being told.
    fn open(&mut self, kind: Kind, frames: &mut Vec<Frame>) {
        if self.open == Some(kind) {
            return;
        }
        self.close(frames);
        let block = match kind {
            Kind::Text => json!({"type": "text", "text": ""}),
            Kind::Thinking => json!({"type": "thinking", "thinking": "", "signature": ""}),
        };
        self.begin_block(&block, frames);
        self.open = Some(kind);
    }

    fn close(&mut self, frames: &mut Vec<Frame>) {
        if self.open.take().is_some() {
            frames.push(self.stop());
        }
    }

    fn begin_block(&mut self, block: &Value, frames: &mut Vec<Frame>) {
        let index = self.blocks;
        self.blocks += 1;
        let start = json!({"type": "content_block_start", "index": index, "content_block": block});
        frames.push(Frame::of(start));
    }

    fn delta(&self, delta: &Value) -> Frame {
        let index = self.blocks - 1;
        Frame::of(json!({"type": "content_block_delta", "index": index, "delta": delta}))
    }

    fn stop(&self) -> Frame {
        Frame::of(json!({"type": "content_block_stop", "index": self.blocks - 1}))
    }
}

impl Voice for MessageVoice {
    fn begin(&mut self, run: &Run) -> Vec<SseFrame> {
        vec![Self::start(run).into()]
    }

    fn tell(&mut self, event: RunEvent, frames: &mut VecDeque<SseFrame>) {
        frames.extend(self.frames(event).into_iter().map(SseFrame::from));
    }

    fn end(&mut self, run: &Run) -> Vec<SseFrame> {
        if run.status != RunStatus::Completed {
            // Without a stop: the message is not whole.
            return vec![Frame::of(error_body(&ApiError::of_run(run), None)).into()];
        }
        self.last_frames(run).into_iter().map(SseFrame::from).collect()
    }

    fn silence() -> SseFrame {
        Frame::of(json!({"type": "ping"})).into()
    }

    /// What the events of a stream add up to.
    fn whole(&mut self, events: Vec<RunEvent>, run: &Run) -> String {
        let mut frames = vec![Self::start(run)];
        for event in events {
            frames.extend(self.frames(event));
        }
        frames.extend(self.last_frames(run));
        gather(frames)
    }
}

/// The fields of an object, which is left empty; none of what is no object.
fn take(object: &mut Value) -> Map<String, Value> {
    match object.take() {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn message_id(run: &Run) -> String {
    format!("msg_{}", run.id.simple())
}

/// <https://docs.claude.com/en/api/handling-stop-reasons>
fn stop_reason(run: &Run) -> &'static str {
    match run.finish_reason {
        _ if !run.tool_calls.is_empty() => "tool_use",
        Some(FinishReason::Length) => "max_tokens",
        Some(FinishReason::Refusal) => "refusal",
        _ => "end_turn",
    }
}

/// The protocol's `input_tokens` leave out what was read from or written to the cache.
fn usage(usage: Usage) -> Value {
    let cached = usage.cached_input_tokens + usage.cache_write_input_tokens;
    json!({
        "input_tokens": usage.input_tokens.saturating_sub(cached),
        "cache_creation_input_tokens": usage.cache_write_input_tokens,
        "cache_read_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
    })
}
