//! The one owner of a run under way. Whatever ends it, it settles the run's status, usage, place and record once.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures_util::FutureExt;

use super::live_run::{CancelledBy, LiveRun};
use super::places::Place;
use super::records::RecordedRun;
use super::run::{Run, RunStatus};
use super::{Conversations, FailureCode, RunEvent, RunFailure};
use crate::chat::{ChatEvent, FinishReason, Usage};
use crate::dispatch::Decision;
use crate::provider::{ModelCall, ProviderError};

pub(super) struct Execution {
    pub conversations: Conversations,
    pub live: Arc<LiveRun>,
    pub recorded: RecordedRun,
    pub call: ModelCall,
    /// Events that are told when the answer is whole, so that one which was cut can be asked for again. `None` tells
    /// each as it comes.
    pub held_back: Option<Vec<RunEvent>>,
}

/// What ended a run.
enum End {
    Finished,
    Failed(ProviderError),
    Cancelled(CancelledBy),
    TookTooLong,
    Stopped,
    /// A defect of ours.
    Panicked,
}

impl Execution {
    /// Lives from the run's first event to its last.
    pub async fn run(mut self, place: Place, decision: Decision) {
        self.live.tell(RunEvent::Started { id: self.live.id });
        self.live.tell(RunEvent::AgentSelected {
            agent: self.recorded.agent.clone(),
            dispatch_id: decision.id,
            outcome: decision.outcome,
            confidence: decision.confidence,
        });
        drop(decision);
        let (live, inner) = (Arc::clone(&self.live), Arc::clone(&self.conversations.inner));
        let timeout: Duration = inner.settings.run_timeout;
        let mut held = None;
        let answer = AssertUnwindSafe(async {
            if place.is_waiting() {
                self.record().await;
            }
            held = Some(inner.places.wait(place).await);
            self.answer().await
        });
        let end = tokio::select! {
            biased;
            by = live.cancelled() => End::Cancelled(by),
            () = inner.stop.cancelled() => End::Stopped,
            () = tokio::time::sleep(timeout) => End::TookTooLong,
            result = answer.catch_unwind() => match result {
                Ok(Ok(())) => End::Finished,
                Ok(Err(error)) => End::Failed(error),
                Err(_panic) => End::Panicked,
            },
        };
        self.settle(end).await;
        drop(held);
    }

    /// One model call.
    async fn answer(&mut self) -> Result<(), ProviderError> {
        self.live.update(|run| run.status = RunStatus::Connecting);
        self.record().await;
        while let Some(event) = self.call.next().await? {
            let is_first = event.is_content() && self.is_connecting();
            self.take(event);
            if is_first {
                self.live.show_content();
                self.record().await;
            }
        }
        Ok(())
    }

    fn is_connecting(&self) -> bool {
        self.live.status() == RunStatus::Connecting
    }

    fn take(&mut self, event: ChatEvent) {
        let is_content = event.is_content();
        let attempts = self.call.attempts();
        self.live.update(|run| {
            if is_content {
                run.status = RunStatus::Streaming;
            }
            if run.attempts.len() != attempts.len() {
                run.attempts = attempts.to_vec();
            }
            match &event {
                ChatEvent::Model(model) => run.model.resolved.clone_from(model),
                ChatEvent::Usage(usage) => run.usage = *usage,
                ChatEvent::Finished(reason) => run.finish_reason = Some(*reason),
                ChatEvent::Restarted => {
                    run.status = RunStatus::Connecting;
                    run.usage = Usage::default();
                    run.finish_reason = None;
                }
                ChatEvent::Text(_) | ChatEvent::Thinking(_) | ChatEvent::ToolCall(_) => {}
            }
        });
        match event {
            ChatEvent::Text(text) => self.tell(RunEvent::TextDelta(text)),
            ChatEvent::ToolCall(call) => self.tell(RunEvent::ToolCall(call)),
            ChatEvent::Restarted => self.held_back.iter_mut().for_each(Vec::clear),
            _ => {}
        }
    }

    fn tell(&mut self, event: RunEvent) {
        match &mut self.held_back {
            Some(held_back) => held_back.push(event),
            None => self.live.tell(event),
        }
    }

    async fn settle(mut self, end: End) {
        // The provider first: it should not write on for nobody.
        self.call.finish("cancelled");
        self.held_back.take().into_iter().flatten().for_each(|event| self.live.tell(event));
        self.live.complete_texts();
        let (call, live) = (&self.call, &self.live);
        live.update(|run| {
            run.attempts = call.attempts().to_vec();
            let dropped = call.dropped_parameters().iter();
            run.warnings.extend(dropped.map(|name| format!("parameter_dropped:{}", name.as_str())));
            // Some compatible servers say `stop` when the model has called tools.
            if run.finish_reason == Some(FinishReason::Stop) && !run.tool_calls.is_empty() {
                run.finish_reason = Some(FinishReason::ToolCalls);
            }
            (run.status, run.error) = outcome(&end, run);
            run.ended_at = Some(Utc::now());
        });
        let run = live.without_texts();
        tracing::info!(
            run.id = %run.id,
            agent.name = %run.agent.name,
            run.status = run.status.as_str(),
            run.model = %run.model.resolved,
            run.requests = run.request_count(),
            "run ended"
        );
        if !invites_another_try(&end, &run) {
            self.recorded.keeps_idempotency_key = true;
        }
        self.live.tell(RunEvent::Usage(run.usage));
        // On record first: what the caller is told to have ended must be found.
        self.conversations.store_events(&self.live).await;
        self.record().await;
        self.live.end();
    }

    /// Puts the run on record as it stands.
    fn record(&self) -> impl Future<Output = ()> + use<> {
        let record = self.recorded.record(&self.conversations, &self.live);
        let ledger = self.conversations.inner.ledger.clone();
        async move { ledger.record_run(record).await }
    }
}

fn outcome(end: &End, run: &Run) -> (RunStatus, Option<RunFailure>) {
    let failed = |code, detail: &str| (RunStatus::Failed, Some(RunFailure::new(code, detail)));
    match end {
        End::Finished => (RunStatus::Completed, None),
        End::Failed(error) => {
            log_failure(run, error);
            let status = match error {
                ProviderError::Truncated => RunStatus::Truncated,
                _ => RunStatus::Failed,
            };
            (status, Some(RunFailure::from(error)))
        }
        End::Cancelled(_) => (RunStatus::Cancelled, None),
        End::TookTooLong => failed(FailureCode::RunTimeout, "the run took longer than a run may"),
        End::Stopped => failed(FailureCode::Interrupted, "the service is stopping"),
        End::Panicked => failed(FailureCode::Internal, "the service failed to handle the run"),
    }
}

/// Whether the same request may become another run: this one gave no answer, and not because of what was asked.
fn invites_another_try(end: &End, run: &Run) -> bool {
    match end {
        End::Cancelled(by) => *by == CancelledBy::CallerLeft,
        End::Stopped => true,
        _ => run.error.as_ref().is_some_and(RunFailure::invites_another_try),
    }
}

/// The provider's own words stay out of the log: they may quote the prompt.
fn log_failure(run: &Run, error: &ProviderError) {
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
