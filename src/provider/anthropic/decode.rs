//! Anthropic's answers, whole or streamed, in neutral words.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::wire;
use crate::chat::{
    BrokenCall, ChatEvent, FinishReason, ForeignEvent, FurtherFields, Protocol, SealedThought,
    ToolCall, Usage, WrittenJson, written_fields,
};
use crate::provider::dialect::{Decoder, malformed, read_call, told_call};
use crate::provider::further::{self, further_fields};
use crate::provider::{ProviderError, SseEvent};

pub(super) fn answer(body: &[u8]) -> Result<Vec<ChatEvent>, ProviderError> {
    let answer: wire::Answer = read(body)?;
    let mut events = vec![ChatEvent::Model(answer.model)];
    for (index, written) in answer.content.into_iter().enumerate() {
        let block = match read_block(&written) {
            Ok(block) => block,
            Err(unknown) => {
                events.extend(foreign_block(index, &unknown));
                continue;
            }
        };
        match block.kind.as_str() {
            "text" => {
                let is_another = events.iter().any(|event| matches!(event, ChatEvent::Text(_)));
                events.extend(is_another.then(|| foreign_text_start(index)));
                events.push(ChatEvent::Text(block.text));
                let citations = block.citations.unwrap_or_default();
                events.extend(citations.iter().map(|citation| foreign_citation(index, citation)));
            }
            "thinking" => {
                events.extend(shown(&block.thinking));
                events.extend(OpenThought::new(block).seal());
            }
            "redacted_thinking" => events.push(redacted(&block)),
            _ => {
                let call = OpenCall::new(block, &written.get().into());
                events.push(told_call(close_call(call)));
            }
        }
    }
    events.extend(foreign_end(body));
    events.extend(answer.usage.map(|usage| ChatEvent::Usage(neutral_usage(usage))));
    events.extend(answer.stop_reason.map(|reason| ChatEvent::Finished(finish_reason(&reason))));
    Ok(events)
}

/// Follows one stream: <https://docs.claude.com/en/docs/build-with-claude/streaming>
#[derive(Debug, Default)]
pub(super) struct StreamDecoder {
    usage: wire::Usage,
    /// Tool calls whose arguments are still arriving, by block index.
    open_calls: BTreeMap<u64, OpenCall>,
    open_thoughts: BTreeMap<u64, OpenThought>,
    /// Blocks of a kind that has no neutral word.
    foreign_blocks: BTreeSet<u64>,
    /// Whether there was a block of text.
    has_text: bool,
    /// Calls whose arguments are no JSON. Whether the length limit cut them is told at the end.
    broken_calls: Vec<BrokenCall>,
}

#[derive(Debug)]
struct OpenThought {
    thinking: String,
    signature: String,
}

impl OpenThought {
    fn new(block: wire::Block) -> Self {
        Self { thinking: block.thinking, signature: block.signature }
    }

    /// `None` for what has no signature: nobody asks to have it back.
    fn seal(self) -> Option<ChatEvent> {
        let Self { thinking, signature } = self;
        let block = json!({"type": "thinking", "thinking": thinking, "signature": signature});
        (!signature.is_empty()).then(|| ChatEvent::Thought(SealedThought::of_answer(block)))
    }
}

#[derive(Debug)]
struct OpenCall {
    id: String,
    name: String,
    arguments: String,
    /// The whole input: in an answer that is not streamed, and from servers that send it at the block's start.
    input: Option<WrittenJson>,
    /// What the block says besides, such as who has called.
    further: FurtherFields,
}

impl OpenCall {
    /// `written` is the block as it is written.
    fn new(block: wire::Block, written: &ByteString) -> Self {
        let fields = written_fields(written);
        let fields = fields.iter().map(|(name, value)| (&**name, &**value));
        let further = further_fields(fields, &["type", "id", "name", "input"]);
        let input = block.input.and_then(|input| WrittenJson::read(input.get().to_owned()).ok());
        Self { id: block.id, name: block.name, arguments: String::new(), input, further }
    }
}

impl Decoder for StreamDecoder {
    fn decode(&mut self, event: &SseEvent) -> Result<Vec<ChatEvent>, ProviderError> {
        let data = event.data.as_bytes();
        let kind = read::<wire::EventType>(data)?.kind;
        let kind = if kind.is_empty() { &event.event } else { &kind };
        let events = match kind.as_str() {
            "message_start" => {
                let start: wire::MessageStart = read(data)?;
                let foreign = starts_with_more(&event.data).then(|| foreign(event));
                let usage = start.message.usage.map(|usage| self.take_usage(usage));
                let model = ChatEvent::Model(start.message.model);
                std::iter::once(model).chain(foreign).chain(usage).collect()
            }
            "content_block_start" => self.open_block(event, read(data)?),
            "content_block_delta" => self.take_delta(event, read(data)?),
            "content_block_stop" => {
                let stop: wire::BlockStop = read(data)?;
                if self.foreign_blocks.remove(&stop.index) {
                    return Ok(vec![foreign_content(event)]);
                }
                self.close_block(stop.index)
            }
            "message_delta" => {
                let delta: wire::MessageDelta = read(data)?;
                let usage = delta.usage.map(|usage| self.take_usage(usage));
                let reason = delta.delta.stop_reason.map(|reason| finish_reason(&reason));
                // Before the finish reason, behind which nothing is told of an answer.
                let foreign = says_more(&event.data).then(|| foreign(event));
                let mut broken_calls = std::mem::take(&mut self.broken_calls);
                if reason == Some(FinishReason::Length) {
                    broken_calls.clear();
                }
                let broken_calls = broken_calls.into_iter().map(ChatEvent::BrokenCall);
                let events = broken_calls.chain(foreign).chain(usage);
                events.chain(reason.map(ChatEvent::Finished)).collect()
            }
            "error" => return Err(stream_error(&read(data)?)),
            "ping" | "message_stop" => Vec::new(),
            _ => vec![foreign(event)],
        };
        Ok(events)
    }

    fn has_open_call(&self) -> bool {
        !self.open_calls.is_empty()
    }

    fn remembers_texts(&self) -> bool {
        false
    }

    fn is_last(&self, event: &SseEvent) -> bool {
        event.event == "message_stop"
    }
}

impl StreamDecoder {
    fn open_block(&mut self, event: &SseEvent, start: wire::BlockStart) -> Vec<ChatEvent> {
        let block = start.content_block;
        match block.kind.as_str() {
            "tool_use" => {
                let written = written_fields(&event.data.as_str().into());
                let written = written.get("content_block").cloned().unwrap_or_default();
                self.open_calls.insert(start.index, OpenCall::new(block, &written));
                Vec::new()
            }
            "text" => {
                // Where a text ends is known by the next one's beginning, to who cares.
                let is_another = std::mem::replace(&mut self.has_text, true);
                let start = is_another.then(|| foreign(event));
                let text = (!block.text.is_empty()).then_some(ChatEvent::Text(block.text));
                start.into_iter().chain(text).collect()
            }
            "thinking" => {
                let told = shown(&block.thinking);
                self.open_thoughts.insert(start.index, OpenThought::new(block));
                told.into_iter().collect()
            }
            "redacted_thinking" => vec![redacted(&block)],
            _ => {
                self.foreign_blocks.insert(start.index);
                vec![foreign_content(event)]
            }
        }
    }

    fn close_block(&mut self, index: u64) -> Vec<ChatEvent> {
        let thought = self.open_thoughts.remove(&index).and_then(OpenThought::seal);
        let call = self.open_calls.remove(&index).map(close_call);
        let call = call.and_then(|call| match call {
            Ok(call) => Some(ChatEvent::ToolCall(call)),
            Err(broken) => {
                self.broken_calls.push(broken);
                None
            }
        });
        thought.into_iter().chain(call).collect()
    }

    fn take_delta(&mut self, event: &SseEvent, delta: wire::BlockDelta) -> Vec<ChatEvent> {
        let wire::BlockDelta { index, delta } = delta;
        if self.foreign_blocks.contains(&index) {
            return vec![foreign_content(event)];
        }
        match delta.kind.as_str() {
            "text_delta" => vec![ChatEvent::Text(delta.text)],
            "thinking_delta" => {
                if let Some(thought) = self.open_thoughts.get_mut(&index) {
                    thought.thinking.push_str(&delta.thinking);
                }
                vec![ChatEvent::Thinking(delta.thinking)]
            }
            "signature_delta" => {
                if let Some(thought) = self.open_thoughts.get_mut(&index) {
                    thought.signature.push_str(&delta.signature);
                }
                Vec::new()
            }
            "input_json_delta" => {
                if let Some(call) = self.open_calls.get_mut(&index) {
                    call.arguments.push_str(&delta.partial_json);
                }
                Vec::new()
            }
            _ => vec![foreign_content(event)],
        }
    }

    /// Each figure that an event names replaces the one before.
    fn take_usage(&mut self, usage: wire::Usage) -> ChatEvent {
        let before = self.usage;
        self.usage = wire::Usage {
            input_tokens: usage.input_tokens.or(before.input_tokens),
            output_tokens: usage.output_tokens.or(before.output_tokens),
            cache_creation_input_tokens: usage
                .cache_creation_input_tokens
                .or(before.cache_creation_input_tokens),
            cache_creation: usage.cache_creation.or(before.cache_creation),
            cache_read_input_tokens: usage
                .cache_read_input_tokens
                .or(before.cache_read_input_tokens),
        };
        ChatEvent::Usage(neutral_usage(self.usage))
    }
}

/// Whether a message's end says more than a finish reason and the known sums: which stop sequence was met, how many searches
/// were made, and the like.
fn says_more(data: &str) -> bool {
    let event: Value = serde_json::from_str(data).unwrap_or_default();
    let is_known_end = |name: &str, value: &Value| {
        name == "stop_reason"
            && matches!(value.as_str(), Some("end_turn" | "max_tokens" | "tool_use" | "refusal"))
    };
    has_another(&event["delta"], is_known_end)
        || has_another(&event["usage"], is_known_sum)
        || has_another(&event, |name, _| matches!(name, "type" | "delta" | "usage"))
}

/// The same of the sums at its start.
fn starts_with_more(data: &str) -> bool {
    let event: Value = serde_json::from_str(data).unwrap_or_default();
    has_another(&event["message"]["usage"], is_known_sum)
}

fn is_known_sum(name: &str, _: &Value) -> bool {
    matches!(
        name,
        "input_tokens"
            | "output_tokens"
            | "cache_creation_input_tokens"
            | "cache_read_input_tokens"
    )
}

/// Whether an object has another field than those that are known.
fn has_another(object: &Value, is_known: impl Fn(&str, &Value) -> bool) -> bool {
    let mut fields = object.as_object().into_iter().flatten();
    fields.any(|(name, value)| !value.is_null() && !is_known(name, value))
}

/// What has no neutral word, as it came.
fn foreign(event: &SseEvent) -> ChatEvent {
    ChatEvent::Foreign(foreign_event(event))
}

/// The same of what a caller waits for, as for text.
fn foreign_content(event: &SseEvent) -> ChatEvent {
    ChatEvent::Foreign(ForeignEvent { is_content: true, ..foreign_event(event) })
}

fn foreign_event(event: &SseEvent) -> ForeignEvent {
    let (protocol, name) = (Protocol::Messages, event.event.clone());
    ForeignEvent { protocol, name, data: event.data.clone(), is_content: false }
}

/// A block of a whole answer that has no neutral word, as a stream would tell it.
fn foreign_block(index: usize, block: &Value) -> [ChatEvent; 2] {
    let start = json!({"type": "content_block_start", "index": index, "content_block": block});
    let stop = json!({"type": "content_block_stop", "index": index});
    [("content_block_start", start), ("content_block_stop", stop)]
        .map(|(name, data)| foreign_content(&event(name, &data)))
}

/// The start of a block of text of a whole answer, as a stream would tell it.
fn foreign_text_start(index: usize) -> ChatEvent {
    let block = json!({"type": "text", "text": ""});
    let data = json!({"type": "content_block_start", "index": index, "content_block": block});
    foreign(&event("content_block_start", &data))
}

/// What a text of a whole answer goes back to, as a stream would tell it.
fn foreign_citation(index: usize, citation: &Value) -> ChatEvent {
    let delta = json!({"type": "citations_delta", "citation": citation});
    let data = json!({"type": "content_block_delta", "index": index, "delta": delta});
    foreign_content(&event("content_block_delta", &data))
}

/// What the end of a whole answer says besides, as a stream would tell it.
fn foreign_end(body: &[u8]) -> Option<ChatEvent> {
    let mut answer: Value = serde_json::from_slice(body).ok()?;
    let usage = answer["usage"].take();
    let mut delta = answer.as_object().cloned()?;
    let is_told_elsewhere =
        |name: &str| matches!(name, "id" | "type" | "role" | "model" | "content" | "usage");
    delta.retain(|name, _| !is_told_elsewhere(name));
    let data = json!({"type": "message_delta", "delta": delta, "usage": usage});
    let event = event("message_delta", &data);
    says_more(&event.data).then(|| foreign(&event))
}

fn event(name: &str, data: &Value) -> SseEvent {
    SseEvent { event: name.to_owned(), data: data.to_string() }
}

/// A block of a kind that is known, or else the block as it came.
fn read_block(block: &RawValue) -> Result<wire::Block, Value> {
    let is_known = |block: &wire::Block| {
        matches!(&*block.kind, "text" | "thinking" | "redacted_thinking" | "tool_use")
    };
    let known = serde_json::from_str(block.get()).ok().filter(is_known);
    known.ok_or_else(|| serde_json::from_str(block.get()).unwrap_or_default())
}

fn shown(thinking: &str) -> Option<ChatEvent> {
    (!thinking.is_empty()).then(|| ChatEvent::Thinking(thinking.to_owned()))
}

fn redacted(block: &wire::Block) -> ChatEvent {
    let block = json!({"type": "redacted_thinking", "data": block.data});
    ChatEvent::Thought(SealedThought::of_answer(block))
}

fn close_call(call: OpenCall) -> Result<ToolCall, BrokenCall> {
    let OpenCall { id, name, arguments, input, further } = call;
    let call = match input.filter(|input| arguments.is_empty() && input.is_object()) {
        Some(input) => ToolCall::new(id, name, input),
        None => read_call(id, name, arguments)?,
    };
    Ok(ToolCall { further: further::words(Protocol::Messages, further), ..call })
}

fn neutral_usage(usage: wire::Usage) -> Usage {
    let read = usage.cache_read_input_tokens.unwrap_or(0);
    let written = usage.cache_creation_input_tokens.unwrap_or(0);
    let by_time = usage.cache_creation.unwrap_or_default();
    let for_an_hour = by_time.ephemeral_1h_input_tokens.unwrap_or(0);
    Usage {
        input_tokens: usage.input_tokens.unwrap_or(0).saturating_add(read).saturating_add(written),
        output_tokens: usage.output_tokens.unwrap_or(0),
        cached_input_tokens: read,
        cache_write_input_tokens: written,
        hour_cache_write_input_tokens: for_an_hour.min(written),
    }
}

/// <https://docs.claude.com/en/api/handling-stop-reasons>
fn finish_reason(reason: &str) -> FinishReason {
    match reason {
        "end_turn" | "stop_sequence" | "pause_turn" => FinishReason::Stop,
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::Refusal,
        _ => FinishReason::Other,
    }
}

fn stream_error(body: &wire::ErrorBody) -> ProviderError {
    match body.error.kind.as_str() {
        "overloaded_error" => ProviderError::Overloaded { retry_after: None },
        "rate_limit_error" => ProviderError::RateLimited { retry_after: None },
        name => ProviderError::in_stream(name),
    }
}

fn read<T: DeserializeOwned>(data: &[u8]) -> Result<T, ProviderError> {
    serde_json::from_slice(data).map_err(|error| malformed(&error))
}
