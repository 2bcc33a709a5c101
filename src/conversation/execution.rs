//! The one owner of a run under way. Whatever ends it, it settles the run's status, usage and record once.

use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::run::{Attempt, Run, RunEvent, RunStatus};
use super::{Conversations, FailureCode, RunFailure};
use crate::chat::{ChatEvent, ChatRequest, FinishReason};
use crate::dispatch::Decision;
use crate::ledger::RunRecord;
use crate::provider::{ProviderError, Target};

/// How long a caller may take to read the end of a run when the service stops.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Execution {
    pub conversations: Conversations,
    pub run: Run,
    pub agent_sha256: String,
    pub key_id: Uuid,
    pub target: Target,
    pub request: ChatRequest,
    pub events: mpsc::Sender<RunEvent>,
    /// Cancelled when the caller leaves.
    pub cancel: CancellationToken,
}

/// What ended a run.
enum End {
    Finished,
    Failed(ProviderError),
    CallerLeft,
    TookTooLong,
    Stopped,
}

impl Execution {
    pub async fn run(mut self, decision: Decision) {
        self.record().await;
        self.emit(RunEvent::Started { id: self.run.id }).await;
        self.emit(RunEvent::AgentSelected {
            agent: self.run.agent.clone(),
            dispatch_id: decision.id,
            outcome: decision.outcome,
            confidence: decision.confidence,
        })
        .await;
        let started = Instant::now();
        let timeout = self.conversations.inner.settings.run_timeout;
        let (cancel, stop) = (self.cancel.clone(), self.conversations.inner.stop.clone());
        // Dropping the turn's future closes the provider's connection.
        let end = tokio::select! {
            biased;
            () = cancel.cancelled() => End::CallerLeft,
            () = stop.cancelled() => End::Stopped,
            () = tokio::time::sleep(timeout) => End::TookTooLong,
            result = self.turn() => match result {
                Ok(()) => End::Finished,
                Err(error) => End::Failed(error),
            },
        };
        self.settle(end, started).await;
    }

    /// One model call.
    async fn turn(&mut self) -> Result<(), ProviderError> {
        let providers = self.conversations.inner.providers.clone();
        let mut stream = providers.stream(&self.target, &self.request).await?;
        while let Some(event) = stream.next().await? {
            if event.is_content() && self.run.status == RunStatus::Connecting {
                self.run.status = RunStatus::Streaming;
                self.record().await;
            }
            self.take(event).await;
        }
        Ok(())
    }

    async fn take(&mut self, event: ChatEvent) {
        match event {
            ChatEvent::Model(model) => {
                if !model.is_empty() {
                    self.run.model.resolved = format!("{}/{model}", self.target.provider);
                    self.emit(RunEvent::ModelServed(self.run.model.resolved.clone())).await;
                }
            }
            ChatEvent::Text(text) => {
                self.run.output.push_str(&text);
                self.emit(RunEvent::TextDelta(text)).await;
            }
            ChatEvent::Thinking(_) => self.emit(RunEvent::Thinking).await,
            ChatEvent::ToolCall(call) => {
                self.run.tool_calls.push(call.clone());
                self.emit(RunEvent::ToolCall(call)).await;
            }
            ChatEvent::Usage(usage) => self.run.usage = usage,
            ChatEvent::Finished(reason) => {
                // Some compatible servers say `stop` when the model has called tools.
                let calls = reason == FinishReason::Stop && !self.run.tool_calls.is_empty();
                let reason = if calls { FinishReason::ToolCalls } else { reason };
                self.run.finish_reason = Some(reason);
            }
        }
    }

    async fn settle(mut self, end: End, started: Instant) {
        let outcome = match &end {
            End::Finished => "ok".to_owned(),
            End::Failed(error) => error.to_string(),
            End::CallerLeft => "cancelled".to_owned(),
            End::TookTooLong => "run timeout".to_owned(),
            End::Stopped => "service stopped".to_owned(),
        };
        let run = &mut self.run;
        run.attempts.push(Attempt {
            provider: self.target.provider.clone(),
            model: self.target.model.clone(),
            outcome,
            ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        (run.status, run.error) = match end {
            End::Finished => (RunStatus::Completed, None),
            End::Failed(error) => {
                log_failure(run, &error);
                let status = match error {
                    ProviderError::Truncated => RunStatus::Truncated,
                    _ => RunStatus::Failed,
                };
                (status, Some(RunFailure::from(&error)))
            }
            End::CallerLeft => (RunStatus::Cancelled, None),
            End::TookTooLong => {
                let detail = "the run took longer than a run may";
                (RunStatus::Failed, Some(RunFailure::new(FailureCode::RunTimeout, detail)))
            }
            End::Stopped => {
                let detail = "the service is stopping";
                (RunStatus::Failed, Some(RunFailure::new(FailureCode::Interrupted, detail)))
            }
        };
        run.ended_at = Some(Utc::now());
        let usage = run.usage;
        tracing::info!(
            run.id = %run.id,
            agent.name = %run.agent.name,
            run.status = run.status.as_str(),
            run.model = %run.model.resolved,
            "run ended"
        );
        // On record first: what the caller is told to have ended must be found.
        self.record().await;
        self.emit(RunEvent::Usage(usage)).await;
        let run = Box::new(self.run.clone());
        self.emit(RunEvent::Ended(run)).await;
    }

    async fn record(&self) {
        let run = &self.run;
        let inner = &self.conversations.inner;
        let mut record = serde_json::to_value(run).unwrap_or_default();
        if !inner.settings.stores_content {
            record["output"] = serde_json::Value::Null;
            record["tool_calls"] = serde_json::Value::Array(Vec::new());
        }
        let record = RunRecord {
            id: run.id,
            key_id: self.key_id,
            instance_id: inner.ledger.instance_id(),
            dispatch_id: run.dispatch_id,
            agent_name: run.agent.name.clone(),
            agent_revision: run.agent.revision,
            agent_sha256: self.agent_sha256.clone(),
            status: run.status.as_str().to_owned(),
            record,
            created_at: run.created_at,
            ended_at: run.ended_at,
        };
        inner.ledger.record_run(record).await;
    }

    /// A caller who has left does not hear it, and one who does not read holds up no stop.
    async fn emit(&self, event: RunEvent) {
        let stop = &self.conversations.inner.stop;
        let stopped = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_PATIENCE).await;
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => {}
            _ = self.events.send(event) => {}
            () = stopped => {}
        }
    }
}

/// The provider's own words stay out of the log: they may quote the prompt.
fn log_failure(run: &Run, error: &ProviderError) {
    let source = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(
        run.id = %run.id,
        agent.name = %run.agent.name,
        error = %error,
        source = source.as_deref(),
        "the provider failed"
    );
}
