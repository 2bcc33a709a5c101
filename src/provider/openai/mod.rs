//! OpenAI Chat Completions, and the many servers that speak it.
//! <https://platform.openai.com/docs/api-reference/chat>

mod decode;
mod encode;
mod foreign;
mod open_call;
mod wire;

use std::borrow::Cow;

use http::{HeaderMap, StatusCode};
use secrecy::SecretString;

use super::dialect::{Decoder, Dialect, bearer};
use super::request_body::RequestBody;
use super::{ProviderError, Target, openai_error};
use crate::chat::{ChatEvent, ChatRequest, Parameter, Protocol};

/// The dialect of OpenAI's Chat Completions API.
#[derive(Debug)]
pub(super) struct OpenAi;

impl Dialect for OpenAi {
    fn path(&self, _target: &Target) -> Cow<'static, str> {
        Cow::Borrowed("/chat/completions")
    }

    fn headers(&self, api_key: Option<&SecretString>) -> HeaderMap {
        bearer(api_key)
    }

    fn unknown_parameters(&self) -> &'static [Parameter] {
        &[Parameter::TopK]
    }

    fn protocol(&self) -> Option<Protocol> {
        Some(Protocol::ChatCompletions)
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
        openai_error::decode_error(status, headers, body)
    }
}
