//! Runs: one request answered by one agent, from the pick to the settled record.

mod error;
mod event;
mod execution;
mod follower;
mod handle;
mod live_run;
mod places;
mod records;
mod run;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use error::{ConversationError, FailureCode, RunFailure};
pub use event::{NumberedEvent, RunEvent};
pub use follower::RunFollower;
pub use handle::RunHandle;
pub use records::{FoundRun, Idempotency};
pub use run::{ModelUse, Run, RunStatus};

use execution::Execution;
use live_run::{CancelledBy, LiveRun};
use places::Places;
use records::RecordedRun;

use crate::chat::{ChatRequest, Parameter, Usage, opening_request};
use crate::dispatch::{
    AgentRef, Candidates, Decision, DispatchRequest, Dispatcher, OnAmbiguous, Outcome,
};
use crate::ledger::{Ledger, LedgerError};
use crate::prompt::{self, PromptInput};
use crate::provider::{Providers, ResolutionRule, ResolvedModel};
use crate::registry::Agent;

/// How long a run that was asked to end is waited for, and how often it is looked at where another instance has it.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);
const CANCEL_POLL: Duration = Duration::from_millis(50);

#[derive(Debug, Clone)]
pub struct Settings {
    /// Longest time of a run in all.
    pub run_timeout: Duration,
    /// Most runs under way at once.
    pub concurrent_runs: usize,
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
    /// Whether the run outlives its caller.
    pub is_background: bool,
    pub idempotency: Option<Idempotency>,
    pub metadata: Option<Value>,
    /// The caller's key.
    pub key_id: Uuid,
}

/// What came of a request for a run.
#[derive(Debug)]
pub enum StartedRun {
    New(RunHandle),
    /// The run that the same request has made before, and that has ended.
    Repeated(Box<Run>),
}

/// What a run would send.
#[derive(Debug)]
pub struct PromptPreview {
    pub agent: AgentRef,
    pub dispatch_id: Uuid,
    pub model: ResolvedModel,
    /// The provider's own request body.
    pub request: Value,
    /// What was asked for and is left out of it.
    pub dropped_parameters: Vec<Parameter>,
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
    places: Places,
    tasks: TaskTracker,
    /// Runs under way here.
    live: Mutex<HashMap<Uuid, Arc<LiveRun>>>,
    /// Cancelled when the service begins to stop.
    closing: CancellationToken,
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
        let inner = Inner {
            dispatcher,
            providers,
            ledger,
            places: Places::new(settings.concurrent_runs),
            settings,
            tasks: TaskTracker::new(),
            live: Mutex::default(),
            closing: CancellationToken::new(),
            stop: CancellationToken::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Picks an agent and lets it answer. Dropping the handle cancels the run, unless it is a background run.
    pub async fn start_run(&self, new: NewRun) -> Result<StartedRun, ConversationError> {
        if self.inner.closing.is_cancelled() {
            return Err(ConversationError::Stopping);
        }
        if let Some(idempotency) = &new.idempotency
            && let Some(run) = self.find_repeated(new.key_id, idempotency).await?
        {
            return Ok(StartedRun::Repeated(Box::new(run)));
        }
        let place = self.inner.places.take(new.is_background).ok_or(ConversationError::Busy)?;
        let (key_id, is_background) = (new.key_id, new.is_background);
        let (metadata, idempotency) = (new.metadata.clone(), new.idempotency.clone());
        // Who is shown nothing before the end sees nothing of an answer that begins anew.
        let held_back = (!new.is_streaming && !is_background).then(Vec::new);
        let Prepared { decision, agent, model, request } = self.prepare(new).await?;
        let run = Run {
            id: Uuid::now_v7(),
            status: if place.is_waiting() { RunStatus::Queued } else { RunStatus::Picked },
            agent: AgentRef::to(&agent),
            dispatch_id: decision.id,
            conversation_id: None,
            model: ModelUse::from(&model),
            output: None,
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
        let recorded = RecordedRun {
            agent: run.agent.clone(),
            agent_sha256: agent.sha256.clone(),
            dispatch_id: decision.id,
            idempotency,
            keeps_idempotency_key: false,
        };
        let live = LiveRun::new(run, key_id, is_background);
        if recorded.idempotency.is_some()
            && !self.inner.ledger.claim_run(recorded.record(self, &live)).await?
        {
            return Err(ConversationError::StillRunning(None));
        }
        let handle = RunHandle::new(Arc::clone(&live), decision.roster_revision);
        let registration = Registration::new(self, &live);
        let call = self.inner.providers.call(&model.targets, request, held_back.is_some());
        let execution = Execution { conversations: self.clone(), live, recorded, call, held_back };
        self.inner.tasks.spawn(async move {
            execution.run(place, decision).await;
            drop(registration);
        });
        Ok(StartedRun::New(handle))
    }

    /// Builds what a run would send, and sends nothing.
    pub async fn preview(&self, new: NewRun) -> Result<PromptPreview, ConversationError> {
        let prepared = self.prepare(new).await?;
        let (request, dropped_parameters) =
            self.inner.providers.encode(prepared.model.first(), &prepared.request);
        Ok(PromptPreview {
            agent: AgentRef::to(&prepared.agent),
            dispatch_id: prepared.decision.id,
            estimated_tokens: prompt::estimate_tokens(&prepared.request),
            request,
            dropped_parameters,
            model: prepared.model,
        })
    }

    /// Ends a run, wherever it is under way, and returns it. A run that has ended stays as it is.
    pub async fn cancel_run(&self, id: Uuid) -> Result<Option<FoundRun>, LedgerError> {
        let deadline = tokio::time::Instant::now() + CANCEL_PATIENCE;
        if let Some(live) = self.find_live(id) {
            live.cancel(CancelledBy::Request);
            // Its end needs the ledger, which may be slow: the caller need not be.
            let _ = tokio::time::timeout_at(deadline, live.read(0).wait_for_end()).await;
            return self.find_run(id).await;
        }
        let mut is_asked = false;
        loop {
            let found = self.find_run(id).await?;
            let has_ended = found.as_ref().is_none_or(|found| found.run.status.is_end());
            if has_ended || tokio::time::Instant::now() >= deadline {
                return Ok(found);
            }
            if !is_asked {
                self.inner.ledger.request_cancel(id).await?;
                is_asked = true;
            }
            tokio::time::sleep(CANCEL_POLL).await;
        }
    }

    /// How many runs are under way here.
    pub fn count_live(&self) -> usize {
        self.live().len()
    }

    /// Ends the runs of this instance that another one was asked to cancel.
    pub async fn take_cancel_requests(&self) -> Result<(), LedgerError> {
        if self.count_live() == 0 {
            return Ok(());
        }
        for id in self.inner.ledger.list_cancel_requests().await? {
            if let Some(live) = self.find_live(id) {
                live.cancel(CancelledBy::Request);
            }
        }
        Ok(())
    }

    /// Takes no more runs, lets those under way end for `grace`, then ends them.
    pub async fn stop(&self, grace: Duration) {
        self.inner.closing.cancel();
        self.inner.tasks.close();
        if tokio::time::timeout(grace, self.inner.tasks.wait()).await.is_err() {
            tracing::warn!(runs = self.inner.tasks.len(), "ending runs that are still under way");
            self.inner.stop.cancel();
            self.inner.tasks.wait().await;
        }
    }

    /// The run that the same request has made before.
    async fn find_repeated(
        &self,
        key_id: Uuid,
        idempotency: &Idempotency,
    ) -> Result<Option<Run>, ConversationError> {
        let key = &idempotency.key;
        let found = self.inner.ledger.find_run_of_request(key_id, key).await?;
        // A run that has given up its key is none that is repeated.
        let Some(record) = found.filter(|record| record.idempotency_key.is_some()) else {
            return Ok(None);
        };
        if record.request_sha256.as_deref() != Some(&idempotency.request_sha256) {
            return Err(ConversationError::OtherRequest);
        }
        if record.ended_at.is_none() {
            return Err(ConversationError::StillRunning(Some(record.id)));
        }
        Ok(self.with_texts(&record).await?.map(|found| found.run))
    }

    fn live(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<LiveRun>>> {
        self.inner.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find_live(&self, id: Uuid) -> Option<Arc<LiveRun>> {
        self.live().get(&id).cloned()
    }

    fn list_live(&self) -> Vec<Arc<LiveRun>> {
        self.live().values().cloned().collect()
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

/// Keeps a run among those under way, until it is dropped.
struct Registration {
    conversations: Conversations,
    id: Uuid,
}

impl Registration {
    fn new(conversations: &Conversations, live: &Arc<LiveRun>) -> Self {
        conversations.live().insert(live.id, Arc::clone(live));
        Self { conversations: conversations.clone(), id: live.id }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.conversations.live().remove(&self.id);
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

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use uuid::Uuid;

    use super::{ModelUse, Run, RunStatus};
    use crate::chat::Usage;
    use crate::dispatch::AgentRef;
    use crate::provider::ResolutionRule;

    /// A run that has just begun.
    pub(super) fn run() -> Run {
        Run {
            id: Uuid::nil(),
            status: RunStatus::Connecting,
            agent: AgentRef { name: "a".to_owned(), revision: 1 },
            dispatch_id: Uuid::nil(),
            conversation_id: None,
            model: ModelUse {
                requested: None,
                resolved: "local/m".to_owned(),
                rule: ResolutionRule::Default,
            },
            output: None,
            tool_calls: Vec::new(),
            finish_reason: None,
            usage: Usage::default(),
            attempts: Vec::new(),
            warnings: Vec::new(),
            error: None,
            metadata: None,
            created_at: Utc::now(),
            ended_at: None,
        }
    }
}
