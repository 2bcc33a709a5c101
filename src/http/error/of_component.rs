//! Errors of components as callers are told them: which has which code, and what is said with it.

use std::time::Duration;

use serde_json::json;

use super::ApiError;
use crate::access::AccessError;
use crate::audit::AuditError;
use crate::conversation::{ConversationError, FailureCode, Run, RunFailure, RunStatus};
use crate::dispatch::{DispatchError, EvaluationError};
use crate::http::error_code::ErrorCode;
use crate::ledger::LedgerError;
use crate::limits::LimitError;
use crate::registry::RegistryError;
use crate::tools::ToolServerError;

/// When an evaluation that is under way may have ended.
const RETRY_EVALUATION_AFTER: Duration = Duration::from_secs(5);

impl ApiError {
    /// The error of a run that ended before anything was sent.
    pub fn of_run(run: &Run) -> Self {
        let mut error = match (&run.error, run.status) {
            (Some(failure), _) => Self::of_failure(failure),
            (None, RunStatus::Cancelled) => {
                Self::new(ErrorCode::RunCancelled, "the run was cancelled")
            }
            (None, _) => Self::new(ErrorCode::Internal, "the run ended without an answer"),
        };
        error.problem.is_final = is_final(run);
        error.with("run_id", json!(run.id)).with("attempts", json!(run.attempts))
    }

    fn of_failure(failure: &RunFailure) -> Self {
        let code = match failure.code {
            FailureCode::ContextLengthExceeded => ErrorCode::ContextLengthExceeded,
            FailureCode::ContentFiltered => ErrorCode::ContentFiltered,
            FailureCode::ProviderRefused => ErrorCode::InvalidRequest,
            FailureCode::ProviderFailed | FailureCode::Truncated => ErrorCode::ProviderFailed,
            FailureCode::ProviderOverloaded => ErrorCode::ProviderOverloaded,
            FailureCode::ProviderTimeout | FailureCode::RunTimeout => ErrorCode::ProviderTimeout,
            FailureCode::RateLimited => ErrorCode::RateLimited,
            FailureCode::Internal => ErrorCode::Internal,
            FailureCode::Interrupted | FailureCode::Unavailable => ErrorCode::Unavailable,
        };
        let detail = match &failure.provider_message {
            Some(message) => format!("{}: {message}", failure.detail),
            None => failure.detail.clone(),
        };
        let mut error = Self::new(code, detail);
        error.problem.retry_after = failure.retry_after;
        error.problem.provider_message.clone_from(&failure.provider_message);
        error.problem.provider_code.clone_from(&failure.provider_code);
        error.problem.provider_param.clone_from(&failure.provider_param);
        error
    }
}

/// Whether a client that asks again at once would ask in vain. What somebody has cancelled is not wanted; where this
/// instance stops, another one answers.
fn is_final(run: &Run) -> bool {
    let is_interrupted =
        run.error.as_ref().is_some_and(|failure| failure.code == FailureCode::Interrupted);
    run.status == RunStatus::Cancelled || (run.request_count() > 0 && !is_interrupted)
}

impl From<DispatchError> for ApiError {
    fn from(error: DispatchError) -> Self {
        let detail = error.to_string();
        match error {
            DispatchError::AgentNotFound(_) => Self::new(ErrorCode::AgentNotFound, detail),
            DispatchError::AgentDisabled(_) => {
                let mut error = Self::new(ErrorCode::AgentDisabled, detail);
                error.problem.is_final = true;
                error
            }
            DispatchError::AgentNotPermitted(_) => Self::new(ErrorCode::Forbidden, detail),
            DispatchError::AgentWaitsForResults(_) => Self::invalid_field("/agent", detail),
            DispatchError::ContentNotKept => Self::new(
                ErrorCode::ContentNotKept,
                format!(
                    "{detail}, and there is nothing to learn from a decision without its text: set \
                     `storage.content: true`, and correct decisions that are made from then on"
                ),
            ),
            DispatchError::UnreadableDecision(error) => {
                Self::new(ErrorCode::Internal, "the decision on record cannot be read")
                    .caused_by(error)
            }
            DispatchError::Database(error) => Self::database(error),
            DispatchError::Ledger(error) => error.into(),
        }
    }
}

impl From<EvaluationError> for ApiError {
    fn from(error: EvaluationError) -> Self {
        let detail = error.to_string();
        match error {
            EvaluationError::Busy => {
                let mut error = Self::new(ErrorCode::Unavailable, detail);
                error.problem.retry_after = Some(RETRY_EVALUATION_AFTER);
                error
            }
            EvaluationError::Stopping => Self::new(ErrorCode::Unavailable, detail),
            EvaluationError::ContentNotStored | EvaluationError::RosterTooLarge { .. } => {
                Self::new(ErrorCode::Conflict, detail)
            }
            EvaluationError::FileName { place } => {
                Self::invalid_field(format!("/roster/put/{place}/name"), detail)
            }
            EvaluationError::File { place, error } => {
                Self::from(error).at(format!("/roster/put/{place}/source"))
            }
            EvaluationError::AgentNotFound(_) => Self::new(ErrorCode::AgentNotFound, detail),
            EvaluationError::Ledger(error) => error.into(),
        }
    }
}

impl From<ConversationError> for ApiError {
    fn from(error: ConversationError) -> Self {
        let detail = error.to_string();
        match error {
            ConversationError::Dispatch(error) => error.into(),
            ConversationError::NoMatchingAgent(decision) => {
                Self::new(ErrorCode::NoMatchingAgent, detail)
                    .with("dispatch_id", json!(decision.id))
                    .with("outcome", json!(decision.outcome))
                    .with("ranked", json!(decision.ranked))
            }
            ConversationError::ToolNameTaken { index, .. } => {
                Self::invalid_field(format!("/tools/{index}/name"), detail)
            }
            ConversationError::ModelNotFound(_) => Self::new(ErrorCode::ModelNotFound, detail),
            ConversationError::Stopping
            | ConversationError::Busy
            | ConversationError::ClaimLost => Self::new(ErrorCode::Unavailable, detail),
            ConversationError::StillRunning(run_id) => {
                Self::new(ErrorCode::Conflict, detail).with("run_id", json!(run_id))
            }
            ConversationError::NotFound(_) => Self::new(ErrorCode::ConversationNotFound, detail),
            ConversationError::ConversationBusy(_) | ConversationError::RunConversationBusy(_) => {
                Self::new(ErrorCode::Conflict, detail)
            }
            ConversationError::PreviousNotFound(_) => {
                Self::new(ErrorCode::PreviousResponseNotFound, detail)
                    .at("/previous_response_id".to_owned())
            }
            ConversationError::CannotFollow(_) => Self::invalid_field("/messages", detail),
            ConversationError::ContentNotKept => Self::new(ErrorCode::ContentNotKept, detail),
            ConversationError::Database(error) => Self::database(error),
            ConversationError::OtherRequest => Self::new(ErrorCode::IdempotencyKeyReused, detail),
            ConversationError::Ledger(error) => error.into(),
            ConversationError::Limit(error) => error.into(),
        }
    }
}

impl From<LimitError> for ApiError {
    fn from(error: LimitError) -> Self {
        let detail = error.to_string();
        // What is spent is not there again within a client's patience.
        let is_final = matches!(error, LimitError::TooDear { .. } | LimitError::Spent { .. });
        let (code, retry_after) = match error {
            LimitError::Requests { retry_after, .. } | LimitError::Tokens { retry_after, .. } => {
                (ErrorCode::RateLimited, Some(retry_after))
            }
            LimitError::ConcurrentRuns { .. } => (ErrorCode::RateLimited, None),
            LimitError::TooDear { retry_after, .. } | LimitError::Spent { retry_after, .. } => {
                (ErrorCode::BudgetExceeded, Some(retry_after))
            }
            LimitError::Reserved { .. } => (ErrorCode::BudgetExceeded, None),
            LimitError::Database(error) => return Self::database(error),
        };
        let mut refusal = Self::new(code, detail);
        refusal.problem.retry_after = retry_after;
        refusal.problem.is_final = is_final;
        refusal
    }
}

impl From<RegistryError> for ApiError {
    fn from(error: RegistryError) -> Self {
        let detail = error.to_string();
        match error {
            RegistryError::TooLarge { .. } => Self::new(ErrorCode::PayloadTooLarge, detail),
            RegistryError::InvalidDefinition(diagnostics) => {
                let cause = diagnostics.first().map_or(detail, |first| {
                    format!("line {}: {}; {}", first.line, first.message, first.help)
                });
                Self::new(ErrorCode::InvalidDefinition, cause)
                    .with("diagnostics", json!(diagnostics))
            }
            RegistryError::NameMismatch { .. } => Self::new(ErrorCode::NameMismatch, detail),
            RegistryError::NotFound => Self::new(ErrorCode::AgentNotFound, detail),
            RegistryError::RevisionNotFound(_) => Self::new(ErrorCode::RevisionNotFound, detail),
            RegistryError::RevisionMismatch { live } => {
                Self::new(ErrorCode::RevisionMismatch, detail).with("live_revision", json!(live))
            }
            RegistryError::AgentsFolder { .. } | RegistryError::Archived => {
                Self::new(ErrorCode::Conflict, detail)
            }
            RegistryError::StoredDefinition { .. } => Self::new(
                ErrorCode::Conflict,
                format!("{detail}: activate another revision, or put the file again"),
            ),
            RegistryError::Busy => Self::new(ErrorCode::Unavailable, detail),
            RegistryError::Database(error) => Self::database(error),
        }
    }
}

impl From<AuditError> for ApiError {
    fn from(error: AuditError) -> Self {
        let AuditError::Database(error) = error;
        Self::database(error)
    }
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        let detail = error.to_string();
        match error {
            LedgerError::Database(error) => Self::database(error),
            LedgerError::NoRoom | LedgerError::NotSafe => Self::new(ErrorCode::Unavailable, detail),
            LedgerError::Journal(_) | LedgerError::UnreadableRecord(_) => {
                Self::new(ErrorCode::Internal, "the record cannot be read").caused_by(error)
            }
        }
    }
}

impl From<AccessError> for ApiError {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::InvalidKey { field, message } => {
                Self::invalid_field(format!("/{field}"), message)
            }
            AccessError::Database(error) => Self::database(error),
            other => Self::new(ErrorCode::Internal, "the service failed to handle the request")
                .caused_by(other),
        }
    }
}

impl From<ToolServerError> for ApiError {
    fn from(error: ToolServerError) -> Self {
        let detail = error.to_string();
        match error {
            ToolServerError::InvalidName(_) => Self::new(ErrorCode::InvalidRequest, detail),
            ToolServerError::InvalidUrl => Self::invalid_field("/url", detail),
            ToolServerError::Configured(_) | ToolServerError::TooMany(_) => {
                Self::new(ErrorCode::Conflict, detail)
            }
            ToolServerError::Database(error) => Self::database(error),
        }
    }
}
