//! How runs end, and what that makes of them.

use super::live_run::CancelledBy;
use super::run::{Run, RunStatus};
use super::{FailureCode, RunFailure};
use crate::provider::ProviderError;

/// What ended a run.
pub(super) enum End {
    Finished,
    Failed(ProviderError),
    Cancelled(CancelledBy),
    TookTooLong,
    Stopped,
    /// There is an answer, and the conversation could not be kept.
    NotKept,
    /// A defect of ours.
    Panicked,
}

/// What a run is that ended so, and why it failed. `names_model`: whether its caller has named the model.
pub(super) fn outcome(end: &End, names_model: bool) -> (RunStatus, Option<RunFailure>) {
    let failed = |code, detail: &str| (RunStatus::Failed, Some(RunFailure::new(code, detail)));
    match end {
        End::Finished => (RunStatus::Completed, None),
        End::Failed(error) => {
            let status = match error {
                ProviderError::Truncated => RunStatus::Truncated,
                _ => RunStatus::Failed,
            };
            (status, Some(RunFailure::of(error, names_model)))
        }
        End::Cancelled(_) => (RunStatus::Cancelled, None),
        End::TookTooLong => failed(FailureCode::RunTimeout, "the run took longer than a run may"),
        End::Stopped => failed(FailureCode::Interrupted, "the service is stopping"),
        End::NotKept => {
            failed(FailureCode::Unavailable, "the answer could not be added to the conversation")
        }
        End::Panicked => failed(FailureCode::Internal, "the service failed to handle the run"),
    }
}

/// Whether the same request may become another run: this one gave no answer, and not because of what was asked.
pub(super) fn invites_another_try(end: &End, run: &Run) -> bool {
    match end {
        End::Cancelled(by) => *by == CancelledBy::CallerLeft,
        End::Stopped => true,
        _ => run.error.as_ref().is_some_and(RunFailure::invites_another_try),
    }
}

/// The provider's own words stay out of the log: they may quote the prompt.
pub(super) fn log_failure(end: &End, run: &Run) {
    let End::Failed(error) = end else { return };
    let source = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(
        run.id = %run.id,
        agent.name = %run.agent.name,
        run.requests = run.request_count(),
        error = %error,
        source = source.as_deref(),
        "the provider failed"
    );
}
