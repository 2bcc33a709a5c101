//! What can go wrong between us and a provider, named by what can be done about it.

use std::time::Duration;

use super::attempt::AttemptOutcome;

#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error("the provider limits the rate of requests")]
    RateLimited { retry_after: Option<Duration> },
    #[error("the provider is overloaded")]
    Overloaded { retry_after: Option<Duration> },
    /// `message` is the provider's own text, by which some clients recognise it.
    #[error("the conversation is longer than the model's context")]
    ContextTooLong { message: String },
    /// The provider's filter refuses the request. Another provider is not asked to be more lenient.
    #[error("the provider's content filter refuses the request")]
    ContentFiltered { message: String },
    /// Our key or account is refused: the operator's concern, not the caller's.
    #[error("the provider refuses our credentials (status {status})")]
    CredentialsRefused { status: u16 },
    /// The request itself is refused; `message` is the provider's own text. `code` and `param` are so in OpenAI's protocols.
    #[error("the provider refuses the request (status {status})")]
    RequestRefused { status: u16, message: String, code: Option<String>, param: Option<String> },
    #[error("the provider failed (status {status})")]
    Failed { status: u16, retry_after: Option<Duration> },
    #[error("the provider reported an error inside its answer: {kind}")]
    FailedInStream { kind: String },
    #[error("the provider could not be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the provider was silent for {} ms {phase}", .limit.as_millis())]
    Silent { phase: &'static str, limit: Duration },
    #[error("the provider's answer cannot be read: {0}")]
    Malformed(String),
    #[error("the provider's answer was cut before its end")]
    Truncated,
    /// It has failed so often that it is left alone for a while.
    #[error("the provider has failed repeatedly and is left alone for a while")]
    BreakerOpen { retry_after: Duration },
    #[error("no model is configured, and the offline answer is switched off")]
    OfflineNotAllowed,
}

/// What may help against an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The same once more, not before the given time if the provider gave one.
    Again { after: Option<Duration> },
    /// Another target; this one would do the same again.
    OtherTarget,
    /// A target that is known to take longer conversations.
    LargerContext,
    /// Nothing: the answer is final.
    None,
}

/// The longest name of an error, or of a field, that is told: it is for programs, and no text of the provider's.
pub(super) const LONGEST_WORD: usize = 128;

impl ProviderError {
    /// What goes wrong inside an answer, by the provider's name for it if it has one.
    pub(super) fn in_stream(name: &str) -> Self {
        let is_word = (1..=LONGEST_WORD).contains(&name.len());
        Self::FailedInStream { kind: if is_word { name } else { "error" }.to_owned() }
    }

    pub(super) fn request_refused(status: u16, message: String) -> Self {
        Self::RequestRefused { status, message, code: None, param: None }
    }

    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::RateLimited { retry_after }
            | Self::Overloaded { retry_after }
            | Self::Failed { retry_after, .. } => Remedy::Again { after: *retry_after },
            Self::FailedInStream { .. }
            | Self::Unreachable(_)
            | Self::Malformed(_)
            | Self::Truncated => Remedy::Again { after: None },
            // Who was silent for that long will be again.
            Self::Silent { .. }
            | Self::CredentialsRefused { .. }
            | Self::BreakerOpen { .. }
            // The provider does not have the model.
            | Self::RequestRefused { status: 404, .. } => Remedy::OtherTarget,
            Self::ContextTooLong { .. } => Remedy::LargerContext,
            Self::ContentFiltered { .. }
            | Self::RequestRefused { .. }
            | Self::OfflineNotAllowed => Remedy::None,
        }
    }

    /// Whether the target is to blame, rather than the request, our key or a limit.
    pub(super) fn is_targets_fault(&self) -> bool {
        matches!(
            self,
            Self::Overloaded { .. }
                | Self::Failed { .. }
                | Self::FailedInStream { .. }
                | Self::Unreachable(_)
                | Self::Silent { .. }
                | Self::Malformed(_)
                | Self::Truncated
        )
    }

    /// Whether the provider itself says so, rather than its connection.
    pub(super) fn is_reported(&self) -> bool {
        !matches!(
            self,
            Self::Unreachable(_) | Self::Silent { .. } | Self::Malformed(_) | Self::Truncated
        )
    }

    /// Whether this only says that a target cannot stand in for another one.
    pub(super) fn is_unfit(&self) -> bool {
        matches!(
            self,
            Self::RequestRefused { .. }
                | Self::CredentialsRefused { .. }
                | Self::ContextTooLong { .. }
                | Self::BreakerOpen { .. }
        )
    }

    /// What it makes of the request that met it.
    pub(super) fn outcome(&self) -> AttemptOutcome {
        match self {
            Self::RateLimited { .. } => AttemptOutcome::RateLimited,
            Self::Overloaded { .. } => AttemptOutcome::Overloaded,
            Self::ContextTooLong { .. } => AttemptOutcome::ContextLengthExceeded,
            Self::ContentFiltered { .. } => AttemptOutcome::ContentFiltered,
            Self::CredentialsRefused { .. } => AttemptOutcome::CredentialsRefused,
            Self::RequestRefused { .. } => AttemptOutcome::RequestRefused,
            Self::Failed { .. } | Self::FailedInStream { .. } => AttemptOutcome::Failed,
            Self::Unreachable(_) => AttemptOutcome::Unreachable,
            Self::Silent { .. } => AttemptOutcome::Silent,
            Self::Malformed(_) => AttemptOutcome::Malformed,
            Self::Truncated => AttemptOutcome::Truncated,
            Self::BreakerOpen { .. } => AttemptOutcome::BreakerOpen,
            Self::OfflineNotAllowed => AttemptOutcome::Unavailable,
        }
    }

    /// The provider's own text, if the error holds one.
    pub(super) fn message_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::ContextTooLong { message }
            | Self::ContentFiltered { message }
            | Self::RequestRefused { message, .. } => Some(message),
            _ => None,
        }
    }
}
