//! OpenAI Chat Completions, and the many servers that speak it.
//! <https://platform.openai.com/docs/api-reference/chat>

mod decode;
mod encode;
mod wire;

use std::borrow::Cow;

use http::{HeaderMap, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::dialect::{Decoder, Dialect, secret_header};
use super::{ProviderError, Target, error_status};
use crate::chat::{ChatEvent, ChatRequest, Parameter};

/// The dialect of OpenAI's Chat Completions API.
#[derive(Debug)]
pub(super) struct OpenAi;

impl Dialect for OpenAi {
    fn path(&self, _target: &Target) -> Cow<'static, str> {
        Cow::Borrowed("/chat/completions")
    }

    fn headers(&self, api_key: Option<&SecretString>) -> HeaderMap {
        let bearer = api_key.map(|key| format!("Bearer {}", key.expose_secret()));
        bearer
            .and_then(|bearer| secret_header(&bearer))
            .map(|value| (header::AUTHORIZATION, value))
            .into_iter()
            .collect()
    }

    fn unknown_parameters(&self) -> &'static [Parameter] {
        &[Parameter::TopK]
    }

    fn encode(&self, target: &Target, request: &ChatRequest) -> Value {
        encode::request(target, request)
    }

    fn decode_answer(&self, body: &[u8]) -> Result<Vec<ChatEvent>, ProviderError> {
        decode::answer(body)
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(decode::StreamDecoder::default())
    }

    fn decode_error(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
        let error = serde_json::from_slice::<wire::ErrorBody>(body)
            .ok()
            .map(|body| body.error)
            .unwrap_or_default();
        let is_too_long = error.code_is("context_length_exceeded")
            // llama.cpp's name for it.
            || error.kind.as_str() == Some("exceed_context_size_error")
            || error.message.contains("maximum context length");
        // OpenAI's name for it, and Azure's.
        let is_filtered =
            error.code_is("content_policy_violation") || error.code_is("content_filter");
        let message = error.message;
        match () {
            () if is_too_long => ProviderError::ContextTooLong { message },
            () if is_filtered => ProviderError::ContentFiltered { message },
            () => error_status(status, headers, message),
        }
    }
}
