//! The protocols of other services, spoken towards callers: their clients work here unchanged.
//!
//! One folder a protocol. Each reads a request into the neutral vocabulary, with the body as it came beside it, and says
//! in its own words what comes of the run. What they share is here and in `answer.rs`; errors are put into the
//! protocol's shape where their bodies are written, in `request_log`.

mod answer;
mod model_list;
pub(super) mod models;
pub(super) mod openai;

use http::HeaderMap;
use serde_json::Value;

use super::error::ApiError;

/// A protocol of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Face {
    OpenAi,
}

impl Face {
    /// The protocol of a path, if it has one.
    pub fn of(path: &str, _headers: &HeaderMap) -> Option<Self> {
        match path {
            "/v1/chat/completions" | "/v1/models" | "/v1/models/{id}" => Some(Self::OpenAi),
            _ => None,
        }
    }

    /// The body of an error.
    pub fn error_body(self, error: &ApiError, _request_id: &str) -> Value {
        match self {
            Self::OpenAi => openai::error_body(error),
        }
    }

    /// Where the protocol's clients look for a request's id, besides `x-request-id`.
    pub fn request_id_header(self) -> Option<&'static str> {
        match self {
            Self::OpenAi => None,
        }
    }
}
