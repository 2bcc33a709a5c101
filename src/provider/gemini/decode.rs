//! Gemini's answers and errors, whole or streamed, in neutral words.

use http::{HeaderMap, StatusCode};

use super::wire;
use crate::chat::{ChatEvent, FinishReason, ToolCall, Usage, WrittenJson};
use crate::provider::dialect::{Decoder, malformed};
use crate::provider::retry_after::parse_delay;
use crate::provider::{ProviderError, SseEvent, error_status};

/// Makes the id of a call that came without one, from its number in the answer.
pub(super) type NewCallId = fn(usize) -> String;

/// Follows one stream. Each event is an answer of its own, which holds what is new and the sums so far:
/// <https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent>
#[derive(Debug)]
pub(super) struct StreamDecoder {
    new_call_id: NewCallId,
    call_count: usize,
    has_named_model: bool,
}

impl Decoder for StreamDecoder {
    fn decode(&mut self, event: &SseEvent) -> Result<Vec<ChatEvent>, ProviderError> {
        self.take(event.data.as_bytes())
    }

    fn remembers_texts(&self) -> bool {
        false
    }

    /// Nothing but the end of the body says that it was the last.
    fn is_last(&self, _event: &SseEvent) -> bool {
        false
    }
}

impl StreamDecoder {
    pub fn new(new_call_id: NewCallId) -> Self {
        Self { new_call_id, call_count: 0, has_named_model: false }
    }

    /// Takes a whole answer, or an event of a stream.
    pub fn take(&mut self, data: &[u8]) -> Result<Vec<ChatEvent>, ProviderError> {
        let mut events = Vec::new();
        for answer in read(data).map_err(|error| malformed(&error))? {
            self.take_answer(answer, &mut events)?;
        }
        Ok(events)
    }

    fn take_answer(
        &mut self,
        answer: wire::Answer,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if let Some(error) = answer.error {
            return Err(stream_error(error));
        }
        if !self.has_named_model && !answer.model_version.is_empty() {
            self.has_named_model = true;
            events.push(ChatEvent::Model(answer.model_version));
        }
        // A prompt that is blocked has no candidates, and with them no finish reason.
        let is_blocked =
            answer.candidates.is_empty() && is_said(&answer.prompt_feedback.block_reason);
        for candidate in answer.candidates.into_iter().filter(|candidate| candidate.index == 0) {
            events.extend(
                candidate.content.parts.into_iter().filter_map(|part| self.take_part(part)),
            );
            if BROKEN.contains(&candidate.finish_reason.as_str()) {
                return Err(ProviderError::in_stream(&candidate.finish_reason));
            }
            if is_said(&candidate.finish_reason) {
                events.push(ChatEvent::Finished(finish_reason(&candidate.finish_reason)));
            }
        }
        if is_blocked {
            events.push(ChatEvent::Finished(FinishReason::Refusal));
        }
        events.extend(answer.usage_metadata.map(|usage| ChatEvent::Usage(neutral_usage(usage))));
        Ok(())
    }

    /// `None` for a part without text, which carries a signature, and for one of a kind that is not known here.
    fn take_part(&mut self, part: wire::Part) -> Option<ChatEvent> {
        if let Some(call) = part.function_call {
            return Some(ChatEvent::ToolCall(self.take_call(call, part.thought_signature)));
        }
        let text = Some(part.text).filter(|text| !text.is_empty())?;
        Some(if part.thought { ChatEvent::Thinking(text) } else { ChatEvent::Text(text) })
    }

    fn take_call(&mut self, call: wire::FunctionCall, signature: Option<String>) -> ToolCall {
        self.call_count += 1;
        let id = if call.id.is_empty() { (self.new_call_id)(self.call_count) } else { call.id };
        // A call without arguments has none, or nulls.
        let arguments = call.args.unwrap_or_else(WrittenJson::empty_object);
        ToolCall { signature, ..ToolCall::new(id, call.name, arguments) }
    }
}

/// Names an error that has come with this status.
pub(super) fn name_error(
    status: StatusCode,
    headers: &HeaderMap,
    error: wire::Error,
) -> ProviderError {
    let retry_delay = error.detail("retryDelay").and_then(parse_delay);
    // The account's trouble comes with the status of a bad request, a missing billing account among it:
    // <https://ai.google.dev/gemini-api/docs/troubleshooting>
    let is_ours =
        error.detail("reason") == Some("API_KEY_INVALID") || error.status == "FAILED_PRECONDITION";
    let is_too_long = error.message.contains("input token count")
        && error.message.contains("exceeds the maximum number of tokens");
    let status = match error.status.as_str() {
        "RESOURCE_EXHAUSTED" => StatusCode::TOO_MANY_REQUESTS,
        "UNAVAILABLE" => StatusCode::SERVICE_UNAVAILABLE,
        _ => status,
    };
    if status == StatusCode::BAD_REQUEST && is_ours {
        return ProviderError::CredentialsRefused { status: status.as_u16() };
    }
    if is_too_long {
        return ProviderError::ContextTooLong { message: error.message };
    }
    let mut named = error_status(status, headers, error.message);
    if let ProviderError::RateLimited { retry_after }
    | ProviderError::Overloaded { retry_after }
    | ProviderError::Failed { retry_after, .. } = &mut named
    {
        *retry_after = retry_after.or(retry_delay);
    }
    named
}

/// Reads an error's body; what is none is an error without words.
pub(super) fn read_error(body: &[u8]) -> wire::Error {
    let answers = read(body).unwrap_or_default();
    answers.into_iter().find_map(|answer| answer.error).unwrap_or_default()
}

/// Inside a stream the status is the one that the error tells.
fn stream_error(error: wire::Error) -> ProviderError {
    let in_stream = ProviderError::in_stream(&error.status);
    let status = error.code.as_u64().and_then(|code| u16::try_from(code).ok());
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match name_error(status, &HeaderMap::new(), error) {
        ProviderError::Failed { .. } => in_stream,
        named => named,
    }
}

/// A stream that was not asked for as events is a list of what they hold, and so are some errors.
fn read(data: &[u8]) -> serde_json::Result<Vec<wire::Answer>> {
    if data.trim_ascii_start().starts_with(b"[") {
        return serde_json::from_slice(data);
    }
    serde_json::from_slice(data).map(|answer| vec![answer])
}

/// Whether an enumeration says anything: its first value, `…_UNSPECIFIED`, stands for none.
fn is_said(value: &str) -> bool {
    !value.is_empty() && !value.ends_with("_UNSPECIFIED")
}

/// What the model wrote was no call that can be read, and is lost with it: neither an end nor a call to correct, for it has
/// no name. Asked again the model mostly writes a better one, as with arguments that are no JSON elsewhere.
/// <https://ai.google.dev/api/generate-content#FinishReason>
const BROKEN: &[&str] = &[
    "MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MALFORMED_RESPONSE",
];

/// The API says `STOP` as well when the model has called tools.
fn finish_reason(reason: &str) -> FinishReason {
    match reason {
        "STOP" => FinishReason::Stop,
        "MAX_TOKENS" => FinishReason::Length,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => FinishReason::Refusal,
        _ => FinishReason::Other,
    }
}

fn neutral_usage(usage: wire::Usage) -> Usage {
    Usage {
        input_tokens: usage.prompt_token_count.saturating_add(usage.tool_use_prompt_token_count),
        output_tokens: usage.candidates_token_count.saturating_add(usage.thoughts_token_count),
        cached_input_tokens: usage.cached_content_token_count,
        cache_write_input_tokens: 0,
        hour_cache_write_input_tokens: 0,
    }
}
