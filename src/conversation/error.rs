//! Why a run did not begin, and why one failed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::dispatch::{Decision, DispatchError, Outcome};
use crate::ledger::LedgerError;
use crate::limits::LimitError;
use crate::provider::ProviderError;

/// Why a run did not begin.
#[derive(Debug, thiserror::Error)]
pub enum ConversationError {
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
    /// No agent fits, or more than one does and the operator wants neither to run.
    #[error("{}", refusal_of(.0))]
    NoMatchingAgent(Box<Decision>),
    #[error("no model or alias `{0}` is known")]
    ModelNotFound(String),
    /// A tool of the caller's has the name of a server's. `index` is its place among the caller's.
    #[error("the tool `{name}` is one of a tool server's that the agent is offered")]
    ToolNameTaken { index: usize, name: String },
    #[error("the service is stopping")]
    Stopping,
    #[error("as many runs are under way as this instance takes (`limits.concurrent_runs`)")]
    Busy,
    /// The idempotency key's run, if it is known yet.
    #[error("the run of this `Idempotency-Key` is still under way")]
    StillRunning(Option<Uuid>),
    #[error("this `Idempotency-Key` was used for another request")]
    OtherRequest,
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error("there is no conversation `{0}`")]
    NotFound(Uuid),
    #[error("a run of the conversation `{0}` is under way")]
    ConversationBusy(Uuid),
    #[error("a run of the conversation of the run `{0}` is under way")]
    RunConversationBusy(Uuid),
    /// The run that another one is to follow.
    #[error("there is no stored run `{0}` that could be followed")]
    PreviousNotFound(Uuid),
    /// What does not follow in the messages.
    #[error("the messages cannot follow in this conversation: {0}")]
    CannotFollow(String),
    #[error(
        "conversations cannot be stored: the texts of requests are not kept (`storage.content: false`)"
    )]
    ContentNotKept,
    /// The instance was taken for dead.
    #[error(
        "the instance was out of touch with the database for a while, and has no conversations at the moment"
    )]
    ClaimLost,
    #[error("failed to read or write a conversation")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

fn refusal_of(decision: &Decision) -> &'static str {
    match decision.outcome {
        Outcome::Ambiguous => "more than one agent fits the request, and none clearly better",
        Outcome::None | Outcome::Picked => "no agent fits the request",
    }
}

/// What a failed run failed of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The provider's content filter refuses the request.
    ContentFiltered,
    ContextLengthExceeded,
    /// A defect of the service.
    Internal,
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
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunFailure {
    pub code: FailureCode,
    pub detail: String,
    /// The provider's own words about the caller's request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_message: Option<String>,
    /// The provider's own word for what is wrong with it, and for the field that is, if it speaks a protocol of OpenAI's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_param: Option<String>,
    /// When to try again.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

impl RunFailure {
    pub(super) fn new(code: FailureCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            provider_message: None,
            provider_code: None,
            provider_param: None,
            retry_after: None,
        }
    }

    /// `names_model`: whether the caller has named the model.
    pub(super) fn of(error: &ProviderError, names_model: bool) -> Self {
        use ProviderError as E;
        let (code, retry_after) = match error {
            E::RateLimited { retry_after } => (FailureCode::RateLimited, *retry_after),
            E::Overloaded { retry_after } => (FailureCode::ProviderOverloaded, *retry_after),
            E::ContextTooLong { .. } => (FailureCode::ContextLengthExceeded, None),
            E::ContentFiltered { .. } => (FailureCode::ContentFiltered, None),
            E::BreakerOpen { retry_after } => (FailureCode::ProviderOverloaded, Some(*retry_after)),
            // The operator has configured an address or a model that the provider does not have.
            E::RequestRefused { status: 404 | 405, .. } if !names_model => {
                return Self::new(FailureCode::ProviderFailed, error.to_string());
            }
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
        // The provider's words about the caller's request are what the caller needs; others are not for callers.
        let provider_message = match error {
            E::RequestRefused { message, .. }
            | E::ContextTooLong { message }
            | E::ContentFiltered { message } => {
                Some(message.clone()).filter(|text| !text.is_empty())
            }
            _ => None,
        };
        let (provider_code, provider_param) = match error {
            E::RequestRefused { code, param, .. } => (code.clone(), param.clone()),
            _ => (None, None),
        };
        Self {
            provider_message,
            provider_code,
            provider_param,
            retry_after,
            ..Self::new(code, error.to_string())
        }
    }

    /// Whether it is worth asking again later, as `Retry-After` then says.
    pub fn invites_another_try(&self) -> bool {
        use FailureCode as C;
        matches!(
            self.code,
            C::Interrupted | C::ProviderOverloaded | C::RateLimited | C::Unavailable
        )
    }
}
