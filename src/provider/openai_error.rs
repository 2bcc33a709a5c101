//! Errors in OpenAI's words, which both of its protocols share, before an answer and inside a stream.
//! <https://platform.openai.com/docs/guides/error-codes>

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::lenient::null_is_default;
use super::{ProviderError, error_status};

#[derive(Debug, Deserialize)]
struct ErrorBody {
    error: ErrorDetail,
}

/// What went wrong. Compatible servers leave out or null nearly everything.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ErrorDetail {
    #[serde(default, deserialize_with = "null_is_default")]
    pub message: String,
    #[serde(rename = "type", default)]
    pub kind: Value,
    /// A text with OpenAI, a number with some compatible servers.
    #[serde(default)]
    pub code: Value,
}

/// Names the error of a status other than 2xx.
pub(super) fn decode_error(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    let error =
        serde_json::from_slice::<ErrorBody>(body).ok().map(|body| body.error).unwrap_or_default();
    let is_too_long = error.code_is("context_length_exceeded")
        // llama.cpp's name for it.
        || error.kind.as_str() == Some("exceed_context_size_error")
        || error.message.contains("maximum context length");
    // OpenAI's name for it, and Azure's.
    let is_filtered = error.code_is("content_policy_violation") || error.code_is("content_filter");
    let message = error.message;
    match () {
        () if is_too_long => ProviderError::ContextTooLong { message },
        () if is_filtered => ProviderError::ContentFiltered { message },
        () => error_status(status, headers, message),
    }
}

impl ErrorDetail {
    /// Names the error that ends a stream.
    pub fn in_stream(self) -> ProviderError {
        if self.code_is("context_length_exceeded") {
            return ProviderError::ContextTooLong { message: self.message };
        }
        let kind = self.kind.as_str().or(self.code.as_str()).unwrap_or("error");
        // OpenAI's `type` is then the limit, such as `tokens`, and its `code` says that it was exceeded.
        let is_limited = self.code_is("rate_limit_exceeded")
            || matches!(kind, "rate_limit_exceeded" | "insufficient_quota");
        match self.status() {
            Some(429) => ProviderError::RateLimited { retry_after: None },
            Some(503 | 529) => ProviderError::Overloaded { retry_after: None },
            _ if is_limited => ProviderError::RateLimited { retry_after: None },
            _ => ProviderError::FailedInStream { kind: kind.to_owned() },
        }
    }

    fn code_is(&self, code: &str) -> bool {
        self.code.as_str() == Some(code)
    }

    /// The HTTP status that some servers give as the code.
    fn status(&self) -> Option<u64> {
        self.code.as_u64().or_else(|| self.code.as_str()?.parse().ok())
    }
}
