//! What can go wrong between us and a provider, named by what can be done about it.

use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error("the provider limits the rate of requests")]
    RateLimited { retry_after: Option<Duration> },
    #[error("the provider is overloaded")]
    Overloaded { retry_after: Option<Duration> },
    #[error("the conversation is longer than the model's context")]
    ContextTooLong,
    /// Our key or account is refused: the operator's concern, not the caller's.
    #[error("the provider refuses our credentials (status {status})")]
    CredentialsRefused { status: u16 },
    /// The request itself is refused; `message` is the provider's own text.
    #[error("the provider refuses the request (status {status})")]
    RequestRefused { status: u16, message: String },
    #[error("the provider failed (status {status})")]
    Failed { status: u16 },
    #[error("the provider reported an error inside its answer: {kind}")]
    FailedInStream { kind: String },
    #[error("the provider could not be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the provider was silent for {} ms while {phase}", .limit.as_millis())]
    Silent { phase: &'static str, limit: Duration },
    #[error("the provider's answer cannot be read: {0}")]
    Malformed(String),
    #[error("the provider's answer was cut before its end")]
    Truncated,
    #[error("no model is configured, and the offline answer is switched off")]
    OfflineNotAllowed,
}
