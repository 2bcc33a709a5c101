//! One request to a provider, as it is told in a run.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::chat::Usage;

/// One request to a provider, or the decision to spare it one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    pub provider: String,
    pub model: String,
    /// `ok`, or a word for what went wrong.
    #[schema(value_type = String)]
    pub outcome: AttemptOutcome,
    /// The same in words, if something went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    pub ms: u64,
    /// What the provider counted, if it said so and its answer was not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

impl Attempt {
    /// Whether the provider was asked at all.
    pub fn was_sent(&self) -> bool {
        self.outcome != AttemptOutcome::BreakerOpen
    }

    /// Whether its answer is whole, and used.
    pub fn is_ok(&self) -> bool {
        self.outcome == AttemptOutcome::Ok
    }
}

/// What came of a request. The words are stable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The answer is whole.
    Ok,
    /// Nobody waits for the answer any more.
    Cancelled,
    /// A judge's deadline is over.
    TimedOut,
    RateLimited,
    Overloaded,
    ContextLengthExceeded,
    ContentFiltered,
    CredentialsRefused,
    RequestRefused,
    Failed,
    Unreachable,
    Silent,
    Malformed,
    Truncated,
    /// The target's breaker is open, and the request was not sent.
    BreakerOpen,
    /// Only the offline provider could have answered, and it may not.
    Unavailable,
    /// What another version of the service has put on record.
    #[serde(untagged)]
    Other(String),
}

impl AttemptOutcome {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Ok => "ok",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::ContextLengthExceeded => "context_length_exceeded",
            Self::ContentFiltered => "content_filtered",
            Self::CredentialsRefused => "credentials_refused",
            Self::RequestRefused => "request_refused",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
            Self::Silent => "silent",
            Self::Malformed => "malformed",
            Self::Truncated => "truncated",
            Self::BreakerOpen => "breaker_open",
            Self::Unavailable => "unavailable",
            Self::Other(word) => word,
        }
    }
}
