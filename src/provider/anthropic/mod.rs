//! Anthropic Messages. <https://docs.claude.com/en/api/messages>

mod breakpoints;
mod decode;
mod encode;
mod wire;

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, StatusCode};
use secrecy::{ExposeSecret, SecretString};

use super::dialect::{Decoder, Dialect, secret_header};
use super::request_body::RequestBody;
use super::{ProviderError, Target, error_status};
use crate::chat::{ChatEvent, ChatRequest, Parameter, Protocol};

/// The dialect of Anthropic's Messages API.
#[derive(Debug)]
pub(super) struct Anthropic;

impl Dialect for Anthropic {
    fn path(&self, _target: &Target) -> Cow<'static, str> {
        Cow::Borrowed("/v1/messages")
    }

    fn headers(&self, api_key: Option<&SecretString>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        if let Some(value) = api_key.and_then(|key| secret_header(key.expose_secret())) {
            headers.insert("x-api-key", value);
        }
        headers
    }

    fn unknown_parameters(&self) -> &'static [Parameter] {
        &[Parameter::Seed]
    }

    /// Others go up to 2: <https://docs.claude.com/en/api/messages>
    fn highest_temperature(&self) -> Option<f64> {
        Some(1.0)
    }

    fn protocol(&self) -> Option<Protocol> {
        Some(Protocol::Messages)
    }

    fn encode<'a>(&self, target: &Target, request: &'a ChatRequest) -> RequestBody<'a> {
        encode::request(target, request)
    }

    fn decode_answer(&self, body: &[u8]) -> Result<Vec<ChatEvent>, ProviderError> {
        decode::answer(body)
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(decode::StreamDecoder::default())
    }

    fn decode_error(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
        let error = serde_json::from_slice::<wire::ErrorBody>(body).ok().map(|body| body.error);
        let message = error.map(|error| error.message).unwrap_or_default();
        // Anthropic has no code of its own for this: <https://docs.claude.com/en/api/errors>
        let is_too_long = message.contains("prompt is too long")
            || message.contains("exceed context limit")
            || message.contains("exceeds the context window");
        if is_too_long {
            return ProviderError::ContextTooLong { message };
        }
        // The account's trouble comes with the status of a bad request.
        if status == StatusCode::BAD_REQUEST && message.contains("credit balance is too low") {
            return ProviderError::CredentialsRefused { status: status.as_u16() };
        }
        if message.contains("content filtering policy") {
            return ProviderError::ContentFiltered { message };
        }
        error_status(status, headers, message)
    }
}
