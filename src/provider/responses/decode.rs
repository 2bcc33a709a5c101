//! Answers of the Responses API, whole or streamed, in neutral words.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::calls::Calls;
use super::foreign;
use super::item_words;
use super::told::{BREAK, Told};
use super::wire;
use crate::chat::{ChatEvent, FinishReason, FurtherFields, SealedThought, Usage};
use crate::provider::dialect::{Decoder, malformed};
use crate::provider::openai_error::ErrorDetail;
use crate::provider::{ProviderError, SseEvent};

/// A whole answer is what the last event of a stream holds.
pub(super) fn answer(body: &[u8]) -> Result<Vec<ChatEvent>, ProviderError> {
    let mut response: wire::Response = read(body)?;
    if response.status.is_empty() && !response.output.is_empty() {
        "completed".clone_into(&mut response.status);
    }
    let mut decoder = StreamDecoder::default();
    decoder.end(response, &read(body)?, &String::from_utf8_lossy(body))
}

/// Follows one stream: <https://platform.openai.com/docs/api-reference/responses-streaming>
#[derive(Debug, Default)]
pub(super) struct StreamDecoder {
    has_named_model: bool,
    text: Told,
    /// How many messages have said something.
    messages: usize,
    thinking: Told,
    sealed: Vec<Value>,
    calls: Calls,
    was_refused: bool,
    /// Of how many items events have told that they begin, and that they are whole. Of the others the response tells alone,
    /// as an answer in one piece does.
    begun: usize,
    ended: usize,
    is_over: bool,
}

impl Decoder for StreamDecoder {
    fn decode(&mut self, event: &SseEvent) -> Result<Vec<ChatEvent>, ProviderError> {
        if self.is_last(event) {
            return Ok(Vec::new());
        }
        let data = event.data.as_bytes();
        Ok(match &*kind_of(event)? {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.take_model(read::<wire::ResponseEvent>(data)?.response.model)
            }
            "response.output_text.delta" => self.take_text(&read(data)?),
            "response.refusal.delta" => {
                let mut events = self.begin_refusal();
                events.extend(self.take_text(&read(data)?));
                events
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.take_thinking(&read(data)?)
            }
            "response.output_item.added" => self.open_item(&read(data)?, event),
            "response.function_call_arguments.delta" => {
                self.calls.add_arguments(&read(data)?);
                Vec::new()
            }
            "response.function_call_arguments.done" => {
                self.calls.set_arguments(&read(data)?);
                Vec::new()
            }
            "response.output_item.done" => self.end_item(&read(data)?, event),
            kind @ ("response.completed" | "response.incomplete" | "response.failed") => {
                self.is_over = true;
                let written: Value = read(data)?;
                self.end(last_response(kind, read(data)?), &written["response"], &event.data)?
            }
            "error" => return Err(stream_error(read(data)?)),
            kind => foreign::of_event(kind, event).into_iter().collect(),
        })
    }

    fn has_open_call(&self) -> bool {
        self.calls.has_open()
    }

    fn remembers_texts(&self) -> bool {
        true
    }

    fn is_last(&self, event: &SseEvent) -> bool {
        // OpenAI ends with the response; some servers add the mark of Chat Completions.
        self.is_over || event.data.trim() == "[DONE]"
    }
}

impl StreamDecoder {
    fn take_model(&mut self, model: String) -> Vec<ChatEvent> {
        if model.is_empty() || std::mem::replace(&mut self.has_named_model, true) {
            return Vec::new();
        }
        vec![ChatEvent::Model(model)]
    }

    fn take_text(&mut self, event: &wire::Delta) -> Vec<ChatEvent> {
        // The parts of a message are one text, as OpenAI's own clients read them.
        self.text.add(0, &event.delta).map(ChatEvent::Text).into_iter().collect()
    }

    fn take_thinking(&mut self, event: &wire::Delta) -> Vec<ChatEvent> {
        let part = event.summary_index.or(event.content_index).unwrap_or(0);
        let begun = self.thinking.begins_part(part, &event.delta);
        let begun = begun.then(|| foreign::of_thinking_part(event.output_index, part));
        let told = self.thinking.add(part, &event.delta).map(ChatEvent::Thinking);
        begun.into_iter().chain(told).collect()
    }

    /// The parts of thinking that comes in one piece.
    fn take_parts(&mut self, output_index: Option<u64>, item: &wire::Item) -> Vec<ChatEvent> {
        let parts = item.thinking().into_iter().zip(0..).map(|(text, part)| wire::Delta {
            output_index,
            summary_index: Some(part),
            delta: text.to_owned(),
            ..wire::Delta::default()
        });
        parts.flat_map(|part| self.take_thinking(&part)).collect()
    }

    fn open_item(&mut self, event: &wire::ItemEvent, told: &SseEvent) -> Vec<ChatEvent> {
        self.begun += 1;
        if event.item.kind == "function_call" {
            self.calls.open(event.output_index, &event.item);
        }
        foreign::of_item_begun_event(&event.item.kind, told).into_iter().collect()
    }

    fn end_item(&mut self, event: &wire::ItemEvent, told: &SseEvent) -> Vec<ChatEvent> {
        self.ended += 1;
        let further = || foreign::of_call_in_event(&told.data);
        let mut events = self.complete(event.output_index, &event.item, further);
        match event.item.kind.as_str() {
            "message" => self.text.end_item(),
            "reasoning" => self.thinking.end_item(),
            kind => events.extend(foreign::of_item_event(kind, told)),
        }
        if let Ok(wire::WrittenItem { item: Some(written) }) = read(told.data.as_bytes())
            && let Some(item) = self.own_words(&event.item, written.get())
        {
            let is_message = event.item.kind == "message";
            events.extend(is_message.then(|| foreign::of_message_event(told)));
            events.push(item);
        }
        events
    }

    /// A whole item as it goes back, if neutral words do not say all of it. A message that stands behind another one is
    /// among these: their texts would run together.
    fn own_words(&mut self, item: &wire::Item, written: &str) -> Option<ChatEvent> {
        let text = item.text();
        let is_behind_another = self.messages > 0;
        self.messages += usize::from(item.kind == "message" && !text.is_empty());
        item_words::of_item(written, text, is_behind_another)
    }

    /// Takes a whole item; returns what of it was not told. `further` reads what a call says besides.
    fn complete(
        &mut self,
        output_index: Option<u64>,
        item: &wire::Item,
        further: impl FnOnce() -> FurtherFields,
    ) -> Vec<ChatEvent> {
        match item.kind.as_str() {
            "message" => {
                let refused = item.refusal().map_or_else(Vec::new, |_| self.begin_refusal());
                let told = self.text.complete(&item.text()).map(ChatEvent::Text);
                refused.into_iter().chain(told).collect()
            }
            "reasoning" => {
                let told = self.thinking.complete(&item.thinking().join(BREAK));
                let sealed = self.seal(item);
                told.map(ChatEvent::Thinking).into_iter().chain(sealed).collect()
            }
            "function_call" => {
                self.calls.complete(output_index, item, further);
                self.calls.ready()
            }
            _ => Vec::new(),
        }
    }

    fn begin_refusal(&mut self) -> Vec<ChatEvent> {
        let is_first = !std::mem::replace(&mut self.was_refused, true);
        is_first.then_some(ChatEvent::Refusing).into_iter().collect()
    }

    /// Thinking that may go back: what is not encrypted nobody could read there. Items are told twice, by their own
    /// ends and by the response's.
    fn seal(&mut self, item: &wire::Item) -> Option<ChatEvent> {
        let block = item.sealed()?;
        if self.sealed.contains(&block) {
            return None;
        }
        self.sealed.push(block.clone());
        Some(ChatEvent::Thought(SealedThought::of_answer(block)))
    }

    /// `whole` is the response, and `text` what holds it as it is written: it itself, or an event.
    fn end(
        &mut self,
        response: wire::Response,
        whole: &Value,
        text: &str,
    ) -> Result<Vec<ChatEvent>, ProviderError> {
        let further = foreign::of_response(whole);
        let mut events = self.finish(response, &whole["output"], text)?;
        // Nothing is told behind the end.
        events.splice(0..0, further);
        Ok(events)
    }

    /// `items` are the response's, as they are in `text`.
    fn finish(
        &mut self,
        response: wire::Response,
        items: &Value,
        text: &str,
    ) -> Result<Vec<ChatEvent>, ProviderError> {
        let is_answer = matches!(&*response.status, "completed" | "incomplete");
        if response.status == "failed" || (!is_answer && response.error.is_some()) {
            return Err(response.error.unwrap_or_default().in_stream());
        }
        let mut events = self.take_model(response.model);
        self.text.rewind();
        self.thinking.rewind();
        for (place, item) in response.output.iter().enumerate() {
            events.extend(self.repeat(place, item, &items[place], text));
        }
        let reason = &*response.incomplete_details.reason;
        let is_cut = response.status == "incomplete" || !reason.is_empty();
        events.extend(self.calls.finish(is_cut));
        events.extend(response.usage.map(|usage| ChatEvent::Usage(neutral_usage(usage))));
        events.extend(self.finish_reason(&response.status, reason).map(ChatEvent::Finished));
        Ok(events)
    }

    /// Takes an item that the last event repeats; returns what of it was not told. `written` is the same item, and `text`
    /// holds it.
    fn repeat(
        &mut self,
        place: usize,
        item: &wire::Item,
        written: &Value,
        text: &str,
    ) -> Vec<ChatEvent> {
        let (output_index, mut events) = (u64::try_from(place).ok(), Vec::new());
        let is_told = match item.kind.as_str() {
            "message" => self.text.is_in_item(),
            "reasoning" => self.thinking.is_in_item(),
            _ => false,
        };
        if place >= self.begun && !is_told {
            events.extend(foreign::of_item_begun(place, written));
        }
        if item.kind == "reasoning" && !is_told {
            events.extend(self.take_parts(output_index, item));
        }
        let further = || foreign::of_call_in_response(text, place);
        events.extend(self.complete(output_index, item, further));
        if place >= self.ended
            && let Some(own_words) = self.own_words(item, &written.to_string())
        {
            events.extend([foreign::of_item_ended(place, written), own_words]);
        }
        events
    }

    /// `None` for a response that is not over.
    fn finish_reason(&self, status: &str, incomplete_reason: &str) -> Option<FinishReason> {
        match (status, incomplete_reason) {
            ("completed" | "incomplete", _) if self.was_refused => Some(FinishReason::Refusal),
            (_, "max_output_tokens") => Some(FinishReason::Length),
            (_, "content_filter") => Some(FinishReason::Refusal),
            ("completed", _) if self.calls.is_empty() => Some(FinishReason::Stop),
            ("completed", _) => Some(FinishReason::ToolCalls),
            ("incomplete", _) => Some(FinishReason::Other),
            _ => None,
        }
    }
}

/// The type of an event. Some proxies name it in the `event` line alone, and send errors without any.
fn kind_of(event: &SseEvent) -> Result<Cow<'_, str>, ProviderError> {
    let told: wire::EventType = read(event.data.as_bytes())?;
    Ok(match told {
        wire::EventType { kind, .. } if !kind.is_empty() => Cow::Owned(kind),
        wire::EventType { error: Some(_), .. } if event.event.is_empty() => Cow::Borrowed("error"),
        _ => Cow::Borrowed(&event.event),
    })
}

/// The response of a last event, whose type says how it ended. Some proxies call every end a completion.
fn last_response(kind: &str, event: wire::ResponseEvent) -> wire::Response {
    let wire::ResponseEvent { response, error } = event;
    let is_known_better =
        kind == "response.completed" && matches!(response.status.as_str(), "incomplete" | "failed");
    let status = if is_known_better {
        response.status
    } else {
        kind.trim_start_matches("response.").to_owned()
    };
    wire::Response { status, error: response.error.or(error), ..response }
}

fn stream_error(event: wire::ErrorEvent) -> ProviderError {
    let wire::ErrorEvent { error, code, message } = event;
    error.unwrap_or(ErrorDetail { message, code, ..ErrorDetail::default() }).in_stream()
}

fn neutral_usage(usage: wire::Usage) -> Usage {
    let details = usage.input_tokens_details;
    Usage {
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cached_input_tokens: details.and_then(|details| details.cached_tokens).unwrap_or(0),
        cache_write_input_tokens: details
            .and_then(|details| details.cache_write_tokens)
            .unwrap_or(0),
        hour_cache_write_input_tokens: 0,
    }
}

fn read<T: DeserializeOwned>(data: &[u8]) -> Result<T, ProviderError> {
    serde_json::from_slice(data).map_err(|error| malformed(&error))
}
