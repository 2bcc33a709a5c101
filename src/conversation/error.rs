//! Why a run did not begin, and why one failed.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::dispatch::{Decision, DispatchError};
use crate::provider::ProviderError;

/// Why a run did not begin.
#[derive(Debug, thiserror::Error)]
pub enum ConversationError {
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
    /// No agent fits, or more than one does and the operator wants neither to run.
    #[error("no agent fits the request")]
    NoMatchingAgent(Box<Decision>),
    #[error("no model or alias `{0}` is known")]
    ModelNotFound(String),
    #[error("the service is stopping")]
    Stopping,
}

/// What a failed run failed of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The provider's content filter refuses the request.
    ContentFiltered,
    ContextLengthExceeded,
    /// The service stopped while the run was under way.
    Interrupted,
    ProviderFailed,
    ProviderOverloaded,
    /// The provider refuses the request itself.
    ProviderRefused,
    ProviderTimeout,
    RateLimited,
    /// The run took longer than a run may.
    RunTimeout,
    /// The answer was cut.
    Truncated,
    Unavailable,
}

/// Why a run failed. The text is safe to show to the caller.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RunFailure {
    pub code: FailureCode,
    pub detail: String,
    /// When to try again.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

impl RunFailure {
    pub(super) fn new(code: FailureCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after: None }
    }
}

impl From<&ProviderError> for RunFailure {
    fn from(error: &ProviderError) -> Self {
        use ProviderError as E;
        let (code, retry_after) = match error {
            E::RateLimited { retry_after } => (FailureCode::RateLimited, *retry_after),
            E::Overloaded { retry_after } => (FailureCode::ProviderOverloaded, *retry_after),
            E::ContextTooLong { .. } => (FailureCode::ContextLengthExceeded, None),
            E::ContentFiltered { .. } => (FailureCode::ContentFiltered, None),
            E::BreakerOpen { retry_after } => (FailureCode::ProviderOverloaded, Some(*retry_after)),
            E::RequestRefused { .. } => (FailureCode::ProviderRefused, None),
            E::Silent { .. } => (FailureCode::ProviderTimeout, None),
            E::Truncated => (FailureCode::Truncated, None),
            E::OfflineNotAllowed => (FailureCode::Unavailable, None),
            E::CredentialsRefused { .. }
            | E::Failed { .. }
            | E::FailedInStream { .. }
            | E::Unreachable(_)
            | E::Malformed(_) => (FailureCode::ProviderFailed, None),
        };
        let detail = match error {
            // The provider's words about the caller's request are what the caller needs.
            E::RequestRefused { message, .. }
            | E::ContextTooLong { message }
            | E::ContentFiltered { message }
                if !message.is_empty() =>
            {
                format!("{error}: {message}")
            }
            _ => error.to_string(),
        };
        Self { code, detail, retry_after }
    }
}
