//! OpenAI Responses, and the servers that speak it. Nothing is stored there: each request holds its conversation.
//! <https://platform.openai.com/docs/api-reference/responses>

mod calls;
mod decode;
mod encode;
mod foreign;
mod foreign_call;
mod item_words;
mod items;
mod told;
mod wire;

use std::borrow::Cow;

use http::{HeaderMap, StatusCode};
use secrecy::SecretString;

pub use foreign_call::{foreign_call, foreign_result};

use super::dialect::{Decoder, Dialect, bearer};
use super::request_body::RequestBody;
use super::{ProviderError, Target, openai_error};
use crate::chat::{ChatEvent, ChatRequest, Parameter, Protocol};

/// The dialect of OpenAI's Responses API.
#[derive(Debug)]
pub(super) struct Responses;

impl Dialect for Responses {
    fn path(&self, _target: &Target) -> Cow<'static, str> {
        Cow::Borrowed("/responses")
    }

    fn headers(&self, api_key: Option<&SecretString>) -> HeaderMap {
        bearer(api_key)
    }

    fn unknown_parameters(&self) -> &'static [Parameter] {
        &[Parameter::TopK, Parameter::Stop, Parameter::Seed]
    }

    fn protocol(&self) -> Option<Protocol> {
        Some(Protocol::Responses)
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
