//! One request to a provider that is under way, and what is told of it when it is over.

use std::sync::Arc;

use tokio::time::Instant;

use super::attempt::{Attempt, AttemptOutcome};
use super::breaker::Admission;
use super::request_usage::RequestUsage;
use super::{ChatStream, Target, spans};
use crate::chat::Usage;
use crate::telemetry::traces::Span;

/// The request that is under way.
#[derive(Debug)]
pub(super) struct OpenAttempt {
    pub target: Arc<Target>,
    pub started: Instant,
    /// The model that answers, as the provider names it; that of the target until it does. It is told once: of an attribute
    /// that is set twice, traces have both.
    pub model: String,
    pub usage: Option<Usage>,
    /// How much of an answer has come.
    pub answer_bytes: usize,
    pub admission: Admission,
    pub span: Span,
    /// There once the provider has accepted the request.
    pub stream: Option<ChatStream>,
}

impl OpenAttempt {
    /// What it has used; `None` if that is nothing, as far as anybody knows.
    pub fn request_usage(&self, is_whole: bool) -> Option<RequestUsage> {
        let has_used = is_whole || self.usage.is_some() || self.answer_bytes > 0;
        has_used.then(|| RequestUsage {
            target: Arc::clone(&self.target),
            usage: self.usage,
            is_whole,
            answer_bytes: self.answer_bytes,
        })
    }

    pub fn told(self, outcome: AttemptOutcome, detail: Option<String>) -> Attempt {
        spans::tell_usage(&self.span, self.usage);
        if self.stream.is_some() {
            self.span.set(spans::RESPONSE_MODEL, self.model);
        }
        let is_ok = outcome == AttemptOutcome::Ok;
        if !is_ok {
            self.span.fail(outcome.as_str());
        }
        Attempt {
            provider: self.target.provider.clone(),
            model: self.target.model.clone(),
            usage: self.usage.filter(|_| !is_ok),
            outcome,
            detail,
            ms: self.started.elapsed().as_millis().try_into().unwrap_or(u64::MAX),
        }
    }
}
