//! Chat Completions answers, whole or streamed, in neutral words.

use super::foreign::{self, Foreign};
use super::open_call::OpenCall;
use super::wire;
use crate::chat::{ChatEvent, FinishReason, Usage};
use crate::provider::dialect::{Decoder, malformed, told_call};
use crate::provider::{ProviderError, SseEvent};

/// A whole answer is one big chunk whose calls are complete.
pub(super) fn answer(body: &[u8]) -> Result<Vec<ChatEvent>, ProviderError> {
    let mut answer: wire::Answer<'_> =
        serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    for choice in &mut answer.choices {
        choice.delta = choice.message.take().map(|message| *message).unwrap_or_default();
    }
    let mut events = Vec::new();
    StreamDecoder::default().take_answer(answer, &mut events)?;
    events.extend(foreign::of_answer(body));
    Ok(events)
}

/// Follows one stream: <https://platform.openai.com/docs/api-reference/chat-streaming>
#[derive(Debug, Default)]
pub(super) struct StreamDecoder {
    has_named_model: bool,
    /// Calls whose arguments are still arriving, in the order in which they began.
    open_calls: Vec<OpenCall>,
    was_refused: bool,
    foreign: Foreign,
}

impl Decoder for StreamDecoder {
    fn decode(&mut self, event: &SseEvent) -> Result<Vec<ChatEvent>, ProviderError> {
        if self.is_last(event) {
            return Ok(Vec::new());
        }
        let answer = read(&event.data)?;
        // Before the finish reason, behind which nothing is told of an answer, and before the words of its chunk.
        let mut events: Vec<ChatEvent> =
            self.foreign.of_event(event, &answer).into_iter().collect();
        self.take_answer(answer, &mut events)?;
        Ok(events)
    }

    fn has_open_call(&self) -> bool {
        !self.open_calls.is_empty()
    }

    fn remembers_texts(&self) -> bool {
        false
    }

    fn is_last(&self, event: &SseEvent) -> bool {
        event.data.trim() == "[DONE]"
    }
}

impl StreamDecoder {
    fn take_answer(
        &mut self,
        answer: wire::Answer<'_>,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if let Some(error) = answer.error {
            return Err(error.in_stream());
        }
        // Nearly all chunks tell one thing.
        events.reserve_exact(1);
        if !self.has_named_model && !answer.model.is_empty() {
            self.has_named_model = true;
            events.push(ChatEvent::Model(answer.model.into_owned()));
        }
        // A chunk without choices is legal: the last one holds the usage alone.
        for choice in answer.choices.into_iter().filter(|choice| choice.index == 0) {
            self.take_choice(choice, events);
        }
        events.extend(answer.usage.map(|usage| ChatEvent::Usage(neutral_usage(usage))));
        Ok(())
    }

    fn take_choice(&mut self, choice: wire::Choice, events: &mut Vec<ChatEvent>) {
        // Some servers repeat the whole `message` at a stream's end; its deltas have told it.
        let delta = choice.delta;
        let wire::Content { text, thinking } = delta.content;
        let thinking = written(delta.reasoning_content)
            .or(written(delta.reasoning))
            .or(written(Some(thinking)));
        events.extend(thinking.map(ChatEvent::Thinking));
        events.extend(written(Some(text)).map(ChatEvent::Text));
        if let Some(refusal) = written(delta.refusal) {
            let is_first = !std::mem::replace(&mut self.was_refused, true);
            events.extend(is_first.then_some(ChatEvent::Refusing));
            events.push(ChatEvent::Text(refusal));
        }
        for (position, call) in delta.tool_calls.into_iter().enumerate() {
            self.take_call(position, call);
        }
        // Some servers send an empty reason with every chunk.
        if let Some(reason) = written(choice.finish_reason) {
            let reason =
                if self.was_refused { FinishReason::Refusal } else { finish_reason(&reason) };
            let is_cut = reason == FinishReason::Length;
            for call in std::mem::take(&mut self.open_calls) {
                // What a call of another kind is given does not show whether the limit has cut it.
                if is_cut && !call.is_of_function() {
                    continue;
                }
                match call.close() {
                    // The limit has cut its arguments.
                    Err(_) if is_cut => {}
                    call => events.push(told_call(call)),
                }
            }
            events.push(ChatEvent::Finished(reason));
        }
    }

    fn take_call(&mut self, position: usize, call: wire::ToolCall) {
        let index = call.index.unwrap_or(position as u64);
        let id = call.id.as_deref().filter(|id| !id.is_empty());
        let continued = self.open_calls.iter().rposition(|open| open.is_continued_by(index, id));
        let continued = continued.unwrap_or_else(|| {
            self.open_calls.push(OpenCall::new(index));
            self.open_calls.len() - 1
        });
        self.open_calls[continued].add(call);
    }
}

fn written(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn neutral_usage(usage: wire::Usage) -> Usage {
    let details = usage.prompt_tokens_details;
    Usage {
        input_tokens: usage.prompt_tokens,
        output_tokens: usage.completion_tokens,
        cached_input_tokens: details.cached_tokens,
        cache_write_input_tokens: details.cache_write_tokens,
        hour_cache_write_input_tokens: 0,
    }
}

fn finish_reason(reason: &str) -> FinishReason {
    match reason {
        "stop" => FinishReason::Stop,
        "length" => FinishReason::Length,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::Refusal,
        _ => FinishReason::Other,
    }
}

fn read(data: &str) -> Result<wire::Answer<'_>, ProviderError> {
    serde_json::from_str(data).map_err(|error| malformed(&error))
}
