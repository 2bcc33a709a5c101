//! The protocols of other services, spoken towards callers: their clients work here unchanged.
//!
//! One folder a protocol. Each reads a request into the neutral vocabulary, with the body as it came beside it, and says
//! in its own words what comes of the run. What they share is here and in `answer.rs`; errors are put into the
//! protocol's shape where their bodies are written, in `request_log`.

mod answer;
pub(super) mod anthropic;
mod model_list;
pub(super) mod models;
pub(super) mod openai;

use http::HeaderMap;
use serde_json::Value;

use super::error::ApiError;

/// The header that Anthropic's clients send with every request.
const ANTHROPIC_VERSION: &str = "anthropic-version";

/// A protocol of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Face {
    OpenAi,
    Anthropic,
}

impl Face {
    /// The protocol of a path, if it has one.
    pub fn of(path: &str, headers: &HeaderMap) -> Option<Self> {
        match path {
            "/v1/chat/completions" => Some(Self::OpenAi),
            path if path.starts_with("/v1/responses") => Some(Self::OpenAi),
            "/v1/messages" | "/v1/messages/count_tokens" => Some(Self::Anthropic),
            "/v1/models" | "/v1/models/{id}" => Some(Self::of_headers(headers)),
            _ => None,
        }
    }

    /// The protocol of a path that both have.
    fn of_headers(headers: &HeaderMap) -> Self {
        if headers.contains_key(ANTHROPIC_VERSION) { Self::Anthropic } else { Self::OpenAi }
    }

    /// The body of an error.
    pub fn error_body(self, error: &ApiError, request_id: &str) -> Value {
        match self {
            Self::OpenAi => openai::error_body(error),
            Self::Anthropic => anthropic::error_body(error, Some(request_id)),
        }
    }

    /// Where the protocol's clients look for a request's id, besides `x-request-id`.
    pub fn request_id_header(self) -> Option<&'static str> {
        match self {
            Self::OpenAi => None,
            Self::Anthropic => Some("request-id"),
        }
    }
}
