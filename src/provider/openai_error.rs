//! Errors in OpenAI's words, which both of its protocols share, before an answer and inside a stream.
//! <https://platform.openai.com/docs/guides/error-codes>

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::error::LONGEST_WORD;
use super::{ProviderError, error_status};

/// The names of a conversation that is too long: OpenAI's, and llama.cpp's.
const TOO_LONG: &[&str] = &["context_length_exceeded", "exceed_context_size_error"];

/// The names of a request that a filter refuses. `content_filter` is Azure's.
const FILTERED: &[&str] = &[
    "content_policy_violation",
    "content_filter",
    "invalid_prompt",
    "cyber_policy",
    "bio_policy",
    "misalignment_policy_violation",
];

/// The names of an account that pays for nothing more. They come with the status of a rate limit, and do not pass.
const SPENT: &[&str] = &[
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
];

const LIMITED: &[&str] = &["rate_limit_exceeded", "rate_limit_error", "slow_down"];

const OVERLOADED: &[&str] =
    &["server_is_overloaded", "overloaded", "overloaded_error", "service_unavailable_error"];

#[derive(Debug, Deserialize)]
struct ErrorBody {
    error: ErrorDetail,
}

/// What went wrong. Compatible servers leave out or null nearly everything.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "Value")]
pub(super) struct ErrorDetail {
    pub message: String,
    pub kind: Value,
    /// A text with OpenAI, a number with some compatible servers.
    pub code: Value,
    /// The field that is refused.
    pub param: Value,
}

impl From<Value> for ErrorDetail {
    fn from(error: Value) -> Self {
        // Some servers write the message where the object belongs.
        let message = error.as_str().or_else(|| error["message"].as_str()).unwrap_or_default();
        Self {
            message: message.to_owned(),
            kind: error["type"].clone(),
            code: error["code"].clone(),
            param: error["param"].clone(),
        }
    }
}

/// Names the error of a status other than 2xx.
pub(super) fn decode_error(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ProviderError {
    let error =
        serde_json::from_slice::<ErrorBody>(body).ok().map(|body| body.error).unwrap_or_default();
    if let Some(refused) = error.that_stays(status) {
        return refused;
    }
    let words = [word(&error.code), word(&error.param)];
    let mut named = error_status(status, headers, error.message);
    if let ProviderError::RequestRefused { code, param, .. } = &mut named {
        [*code, *param] = words;
    }
    named
}

/// A text that is short enough to be a word for programs.
fn word(value: &Value) -> Option<String> {
    let word = value.as_str().filter(|word| !word.is_empty() && word.len() <= LONGEST_WORD)?;
    Some(word.to_owned())
}

impl ErrorDetail {
    /// Names the error that ends a stream.
    pub fn in_stream(self) -> ProviderError {
        if let Some(refused) = self.that_stays(StatusCode::TOO_MANY_REQUESTS) {
            return refused;
        }
        match self.status() {
            Some(429) => ProviderError::RateLimited { retry_after: None },
            Some(503 | 529) => ProviderError::Overloaded { retry_after: None },
            _ if self.is_one_of(LIMITED) => ProviderError::RateLimited { retry_after: None },
            _ if self.is_one_of(OVERLOADED) => ProviderError::Overloaded { retry_after: None },
            _ => {
                let name = self.kind.as_str().or(self.code.as_str());
                ProviderError::in_stream(name.unwrap_or_default())
            }
        }
    }

    /// The errors that are the same whenever they are told: of the request, and of our account.
    fn that_stays(&self, status: StatusCode) -> Option<ProviderError> {
        let message = || self.message.clone();
        // Some servers and proxies keep the text alone.
        let is_too_long = self.is_one_of(TOO_LONG)
            || ["maximum context length", "exceeds the context window"]
                .iter()
                .any(|words| self.message.contains(words));
        if is_too_long {
            return Some(ProviderError::ContextTooLong { message: message() });
        }
        if self.is_one_of(SPENT) {
            return Some(ProviderError::CredentialsRefused { status: status.as_u16() });
        }
        self.is_one_of(FILTERED).then(|| ProviderError::ContentFiltered { message: message() })
    }

    /// Whether the code or the type is one of these: for a limit, OpenAI's `type` may be `tokens`.
    fn is_one_of(&self, names: &[&str]) -> bool {
        let own = [&self.code, &self.kind];
        own.into_iter().filter_map(Value::as_str).any(|name| names.contains(&name))
    }

    /// The HTTP status that some servers give as the code.
    fn status(&self) -> Option<u64> {
        self.code.as_u64().or_else(|| self.code.as_str()?.parse().ok())
    }
}
