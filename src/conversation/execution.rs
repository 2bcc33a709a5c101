//! The one owner of a run under way. Whatever ends it, it settles the run's status, usage and record once.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::run::{Run, RunEvent, RunStatus};
use super::{Conversations, FailureCode, RunFailure};
use crate::chat::{ChatEvent, ChatRequest, FinishReason};
use crate::dispatch::Decision;
use crate::ledger::RunRecord;
use crate::provider::{ModelCall, ProviderError, Target};

/// How long a caller may take to read the end of a run when the service stops.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Execution {
    pub conversations: Conversations,
    pub run: Run,
    pub agent_sha256: String,
    pub key_id: Uuid,
    pub targets: Vec<Arc<Target>>,
    pub can_restart: bool,
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
        let providers = &self.conversations.inner.providers;
        let mut call = providers.call(&self.targets, self.request.clone(), self.can_restart);
        let timeout = self.conversations.inner.settings.run_timeout;
        let (cancel, stop) = (self.cancel.clone(), self.conversations.inner.stop.clone());
        // Dropping the turn's future closes the provider's connection.
        let end = tokio::select! {
            biased;
            () = cancel.cancelled() => End::CallerLeft,
            () = stop.cancelled() => End::Stopped,
            () = tokio::time::sleep(timeout) => End::TookTooLong,
            result = self.turn(&mut call) => match result {
                Ok(()) => End::Finished,
                Err(error) => End::Failed(error),
            },
        };
        self.settle(end, call).await;
    }

    /// One model call.
    async fn turn(&mut self, call: &mut ModelCall) -> Result<(), ProviderError> {
        while let Some(event) = call.next().await? {
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
                self.run.model.resolved.clone_from(&model);
                self.emit(RunEvent::ModelServed(model)).await;
            }
            ChatEvent::Restarted => {
                self.run.output.clear();
                self.run.tool_calls.clear();
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

    async fn settle(mut self, end: End, mut call: ModelCall) {
        call.finish("cancelled");
        let run = &mut self.run;
        run.attempts = call.attempts().to_vec();
        let dropped = call.dropped_parameters().iter();
        run.warnings.extend(dropped.map(|name| format!("parameter_dropped:{}", name.as_str())));
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
