//! Google's Gemini, by its own API. <https://ai.google.dev/api/generate-content>

mod decode;
mod encode;
mod wire;

use std::borrow::Cow;
use std::fmt::Write;

use http::{HeaderMap, HeaderName, StatusCode};
use secrecy::{ExposeSecret, SecretString};

use super::dialect::{Decoder, Dialect, new_call_id, secret_header};
use super::request_body::RequestBody;
use super::{ProviderError, Target};
use crate::chat::{ChatEvent, ChatRequest, Parameter};

/// The dialect of Gemini's `generateContent`.
#[derive(Debug)]
pub(super) struct Gemini {
    /// Makes the id of a call that came without one, from its number in the answer.
    pub new_call_id: fn(usize) -> String,
}

impl Gemini {
    pub const WITH_UNIQUE_IDS: Self = Self { new_call_id: |_| new_call_id() };
}

impl Dialect for Gemini {
    fn path(&self, target: &Target) -> Cow<'static, str> {
        let model = escape(encode::model_name(target));
        // Without `alt` a stream is one long list.
        let method =
            if target.stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
        Cow::Owned(format!("/v1beta/models/{model}:{method}"))
    }

    fn headers(&self, api_key: Option<&SecretString>) -> HeaderMap {
        let key = api_key.and_then(|key| secret_header(key.expose_secret()));
        key.map(|key| (HeaderName::from_static("x-goog-api-key"), key)).into_iter().collect()
    }

    fn unknown_parameters(&self) -> &'static [Parameter] {
        &[]
    }

    fn encode<'a>(&self, target: &Target, request: &'a ChatRequest) -> RequestBody<'a> {
        encode::request(target, request)
    }

    fn decode_answer(&self, body: &[u8]) -> Result<Vec<ChatEvent>, ProviderError> {
        decode::StreamDecoder::new(self.new_call_id).take(body)
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(decode::StreamDecoder::new(self.new_call_id))
    }

    fn decode_error(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
        decode::name_error(status, headers, decode::read_error(body))
    }
}

/// A name comes from a caller, and must not lead to another path.
fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
