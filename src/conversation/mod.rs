//! Runs: one request answered by one agent, from the pick to the settled record.

mod error;
mod execution;
mod handle;
mod run;

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use error::{ConversationError, FailureCode, RunFailure};
pub use handle::RunHandle;
pub use run::{ModelUse, Run, RunEvent, RunStatus};

use execution::Execution;

use crate::chat::{ChatRequest, Usage, opening_request};
use crate::dispatch::{
    AgentRef, Candidates, Decision, DispatchRequest, Dispatcher, OnAmbiguous, Outcome,
};
use crate::ledger::{Ledger, LedgerError, RunRecord};
use crate::prompt::{self, PromptInput};
use crate::provider::{Providers, ResolutionRule, ResolvedModel};
use crate::registry::Agent;

/// Events that may wait for a caller who reads slowly; beyond them the provider is read no faster.
const EVENT_BUFFER: usize = 256;

#[derive(Debug, Clone)]
pub struct Settings {
    /// Longest time of a run in all.
    pub run_timeout: Duration,
    /// Whether texts are kept with the records.
    pub stores_content: bool,
}

/// A run to be made.
#[derive(Debug, Clone)]
pub struct NewRun {
    pub agent: Option<String>,
    pub candidates: Candidates,
    /// The only agents that the caller's key permits; `None` means all.
    pub permitted: Option<Vec<String>>,
    pub model: Option<String>,
    pub prompt: PromptInput,
    /// Whether the caller is shown the answer while it is written.
    pub is_streaming: bool,
    pub metadata: Option<Value>,
    /// The caller's key.
    pub key_id: Uuid,
}

/// What a run would send.
#[derive(Debug)]
pub struct PromptPreview {
    pub agent: AgentRef,
    pub dispatch_id: Uuid,
    pub model: ResolvedModel,
    /// The provider's own request body.
    pub request: Value,
    pub estimated_tokens: usize,
}

/// A cheap handle that makes runs.
#[derive(Debug, Clone)]
pub struct Conversations {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dispatcher: Dispatcher,
    providers: Providers,
    ledger: Ledger,
    settings: Settings,
    tasks: TaskTracker,
    /// Cancelled when runs have to end because the service does.
    stop: CancellationToken,
}

/// A run that is decided on but not begun.
struct Prepared {
    decision: Decision,
    agent: Arc<Agent>,
    model: ResolvedModel,
    request: ChatRequest,
}

impl Conversations {
    pub fn new(
        dispatcher: Dispatcher,
        providers: Providers,
        ledger: Ledger,
        settings: Settings,
    ) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let inner = Inner { dispatcher, providers, ledger, settings, tasks, stop };
        Self { inner: Arc::new(inner) }
    }

    /// Picks an agent and lets it answer. Dropping the handle cancels the run.
    pub async fn start_run(&self, new: NewRun) -> Result<RunHandle, ConversationError> {
        if self.inner.tasks.is_closed() {
            return Err(ConversationError::Stopping);
        }
        let (key_id, metadata) = (new.key_id, new.metadata.clone());
        let new_is_streaming = new.is_streaming;
        let Prepared { decision, agent, model, request } = self.prepare(new).await?;
        let run = Run {
            id: Uuid::now_v7(),
            status: RunStatus::Connecting,
            agent: AgentRef::to(&agent),
            dispatch_id: decision.id,
            conversation_id: None,
            model: ModelUse::from(&model),
            output: String::new(),
            tool_calls: Vec::new(),
            finish_reason: None,
            usage: Usage::default(),
            attempts: Vec::new(),
            warnings: warnings(&model),
            error: None,
            metadata,
            created_at: Utc::now(),
            ended_at: None,
        };
        let (events, received) = mpsc::channel(EVENT_BUFFER);
        let cancel = CancellationToken::new();
        let handle =
            RunHandle::new(run.clone(), decision.roster_revision, received, cancel.clone());
        let execution = Execution {
            conversations: self.clone(),
            run,
            agent_sha256: agent.sha256.clone(),
            key_id,
            targets: model.targets,
            can_restart: !new_is_streaming,
            request,
            events,
            cancel,
        };
        self.inner.tasks.spawn(execution.run(decision));
        Ok(handle)
    }

    /// Builds what a run would send, and sends nothing.
    pub async fn preview(&self, new: NewRun) -> Result<PromptPreview, ConversationError> {
        let prepared = self.prepare(new).await?;
        Ok(PromptPreview {
            agent: AgentRef::to(&prepared.agent),
            dispatch_id: prepared.decision.id,
            estimated_tokens: prompt::estimate_tokens(&prepared.request),
            request: self.inner.providers.encode(prepared.model.first(), prepared.request).0,
            model: prepared.model,
        })
    }

    /// The record of a run.
    pub async fn find_run(&self, id: Uuid) -> Result<Option<Arc<RunRecord>>, LedgerError> {
        self.inner.ledger.find_run(id).await
    }

    /// Takes no more runs, lets those under way end for `grace`, then ends them.
    pub async fn stop(&self, grace: Duration) {
        self.inner.tasks.close();
        if tokio::time::timeout(grace, self.inner.tasks.wait()).await.is_err() {
            tracing::warn!(runs = self.inner.tasks.len(), "ending runs that are still under way");
            self.inner.stop.cancel();
            self.inner.tasks.wait().await;
        }
    }

    async fn prepare(&self, new: NewRun) -> Result<Prepared, ConversationError> {
        let dispatch = DispatchRequest {
            input: opening_request(&new.prompt.messages),
            agent: new.agent,
            candidates: new.candidates,
            permitted: new.permitted,
            top_k: None,
        };
        // An unknown model is refused before anything is put on record.
        if let Some(model) = new.model.as_deref().filter(|model| !self.can_resolve(model)) {
            return Err(ConversationError::ModelNotFound(model.to_owned()));
        }
        let decision = self.inner.dispatcher.pick(&dispatch, new.key_id).await?;
        let is_refused = decision.outcome == Outcome::Ambiguous
            && self.inner.dispatcher.settings().on_ambiguous == OnAmbiguous::Refuse;
        let Some(agent) = decision.picked.clone().filter(|_| !is_refused) else {
            return Err(ConversationError::NoMatchingAgent(Box::new(decision)));
        };
        let requested = new.model.as_deref().or(agent.definition.model.as_deref());
        let model = self.inner.providers.catalog().resolve(requested);
        let request = prompt::compose(&agent.definition, new.prompt);
        Ok(Prepared { decision, agent, model, request })
    }

    fn can_resolve(&self, model: &str) -> bool {
        let catalog = self.inner.providers.catalog();
        catalog.knows(model) || catalog.resolve(Some(model)).rule != ResolutionRule::Fallback
    }
}

fn warnings(model: &ResolvedModel) -> Vec<String> {
    let mut warnings = Vec::new();
    if model.rule == ResolutionRule::Fallback {
        warnings.push("model_fallback".to_owned());
    }
    if model.first().is_offline() {
        warnings.push("no_model_configured".to_owned());
    }
    warnings
}
