//! What a provider's protocol must be able to do: encode a request, decode an answer. Pure.

use std::borrow::Cow;
use std::fmt;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::request_body::RequestBody;
use super::{ProviderError, SseEvent, Target};
use crate::chat::{BrokenCall, ChatEvent, ChatRequest, Parameter, Protocol, ToolCall, WrittenJson};

/// A wire protocol. It takes values and returns values; the transport sends them.
pub(super) trait Dialect: fmt::Debug + Send + Sync {
    /// The path below the provider's base URL, with a query where the protocol has one. It is borrowed if it is the
    /// same for all targets.
    fn path(&self, target: &Target) -> Cow<'static, str>;

    /// Headers that the protocol demands, the key among them.
    fn headers(&self, api_key: Option<&SecretString>) -> HeaderMap;

    /// Parameters that the protocol has no word for.
    fn unknown_parameters(&self) -> &'static [Parameter];

    /// The highest temperature that the protocol has. A higher one is lowered to it.
    fn highest_temperature(&self) -> Option<f64> {
        None
    }

    /// The protocol, if callers may speak it too.
    fn protocol(&self) -> Option<Protocol> {
        None
    }

    /// The request's body. It asks for a stream if the target's model can stream.
    fn encode<'a>(&self, target: &Target, request: &'a ChatRequest) -> RequestBody<'a>;

    /// Decodes an answer that was not streamed.
    fn decode_answer(&self, body: &[u8]) -> Result<Vec<ChatEvent>, ProviderError>;

    /// Starts to follow a stream.
    fn decoder(&self) -> Box<dyn Decoder>;

    /// Names the error of a status other than 2xx.
    fn decode_error(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError;
}

/// Follows one stream of events.
pub(super) trait Decoder: fmt::Debug + Send {
    /// What an event tells.
    fn decode(&mut self, event: &SseEvent) -> Result<Vec<ChatEvent>, ProviderError>;

    /// Whether a tool call is being written. It is told once it is whole, and is a sign of life before.
    fn has_open_call(&self) -> bool {
        false
    }

    /// Whether a text that an event has told changes what later ones tell. Else an event like one that told a text and
    /// nothing else, but for the text, need not be [decoded](super::decoding).
    fn remembers_texts(&self) -> bool;

    /// Whether the protocol's last event is this one. Some servers keep the connection open behind it.
    fn is_last(&self, event: &SseEvent) -> bool;
}

/// A header value that is kept out of debug output; `None` if the secret holds characters that no header may.
pub(super) fn secret_header(secret: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(secret).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The header of a protocol whose key is a bearer token.
pub(super) fn bearer(api_key: Option<&SecretString>) -> HeaderMap {
    let bearer = api_key.map(|key| format!("Bearer {}", key.expose_secret()));
    bearer
        .and_then(|bearer| secret_header(&bearer))
        .map(|value| (header::AUTHORIZATION, value))
        .into_iter()
        .collect()
}

/// An answer that is not what the protocol says. The library's own text may quote the answer, which belongs in no
/// log: only the place is told.
pub(super) fn malformed(error: &serde_json::Error) -> ProviderError {
    let (line, column) = (error.line(), error.column());
    let what = match error.classify() {
        serde_json::error::Category::Data => "unexpected JSON",
        _ => "invalid JSON",
    };
    ProviderError::Malformed(format!("{what} at line {line} column {column}"))
}

/// An id for a call that came without one. Callers give calls back, so that ids must differ over all the answers of a
/// conversation.
pub(super) fn new_call_id() -> String {
    format!("call_{}", Uuid::now_v7().simple())
}

/// A call whose arguments a model wrote as text. Without arguments the text is empty and means `{}`.
pub(super) fn read_call(
    id: String,
    name: String,
    arguments: String,
) -> Result<ToolCall, BrokenCall> {
    if arguments.trim().is_empty() {
        return Ok(ToolCall::new(id, name, WrittenJson::empty_object()));
    }
    match WrittenJson::read(arguments) {
        Ok(arguments) => Ok(ToolCall::new(id, name, arguments)),
        Err(error) => Err(BrokenCall { id, name, reason: error.to_string() }),
    }
}

/// A call of an answer that no limit has cut.
pub(super) fn told_call(call: Result<ToolCall, BrokenCall>) -> ChatEvent {
    call.map_or_else(ChatEvent::BrokenCall, ChatEvent::ToolCall)
}
