//! Runs: one request answered by one agent, from the pick to the settled record; and the stored conversations that runs
//! go on with.

mod addressee;
mod carried;
mod charges;
mod end;
mod error;
mod event;
mod event_log;
mod execution;
mod figures;
mod follower;
mod funds;
mod handle;
mod idempotency;
mod live_run;
mod places;
mod preparation;
mod records;
mod required;
mod run;
mod settlement;
mod spans;
mod start;
mod stored;
mod tool_loop;
mod turn;
mod waiting;
mod warning;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use addressee::{AUTO, Addressee};
pub use error::{ConversationError, FailureCode, RunFailure};
pub use event::{NumberedEvent, RunEvent};
pub use follower::RunFollower;
pub use handle::RunHandle;
pub use idempotency::Idempotency;
pub use records::FoundRun;
pub use run::{ModelUse, Run, RunStatus};
pub use start::{NewRun, PromptPreview, StartedRun};
pub use stored::{
    Conversation, ConversationMessage, ConversationRef, InConversation, NewConversation, RunRef,
    StoredSettings, WhenBusy,
};
pub use turn::{ExecutedCall, Turn};
pub use warning::Warning;

use live_run::{CancelledBy, LiveRun};
use places::Places;
use stored::Claims;
use waiting::WaitingAgents;

use crate::dispatch::Dispatcher;
use crate::ledger::{Ledger, LedgerError};
use crate::limits::Limits;
use crate::provider::Providers;
use crate::tools::ToolServers;

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
    /// What agents must call before they answer, besides what their definitions demand: servers, or tools.
    pub required_tools: BTreeMap<String, Vec<String>>,
    pub stored: StoredSettings,
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
    tool_servers: ToolServers,
    ledger: Ledger,
    limits: Limits,
    settings: Settings,
    places: Places,
    claims: Arc<Claims>,
    waiting_agents: WaitingAgents,
    tasks: TaskTracker,
    /// Runs under way here.
    live: Mutex<HashMap<Uuid, Arc<LiveRun>>>,
    /// Cancelled when the service begins to stop.
    closing: CancellationToken,
    /// Cancelled when runs have to end because the service does.
    stop: CancellationToken,
}

impl Conversations {
    pub fn new(
        dispatcher: Dispatcher,
        providers: Providers,
        tool_servers: ToolServers,
        ledger: Ledger,
        limits: Limits,
        pool: PgPool,
        settings: Settings,
    ) -> Self {
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let waiting = (settings.stored.when_busy, settings.stored.wait);
        let instance_id = ledger.instance_id();
        let claims = Claims::new(pool, instance_id, waiting, tasks.clone(), closing.clone());
        let inner = Inner {
            dispatcher,
            providers,
            tool_servers,
            ledger,
            limits,
            places: Places::new(settings.concurrent_runs),
            settings,
            claims,
            waiting_agents: WaitingAgents::default(),
            tasks,
            live: Mutex::default(),
            closing,
            stop: CancellationToken::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Ends a run, wherever it is under way, and returns it. A run that has ended stays as it is.
    pub async fn cancel_run(&self, id: Uuid) -> Result<Option<FoundRun>, LedgerError> {
        let deadline = tokio::time::Instant::now() + CANCEL_PATIENCE;
        if let Some(live) = self.find_live(id) {
            live.cancel(CancelledBy::Request);
            // Its end needs the ledger, which may be slow: the caller need not be.
            let _ = tokio::time::timeout_at(deadline, live.wait_for_end()).await;
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

    /// Lets runs go on whose callers read so slowly that they carry them no further.
    pub fn put_down_left_runs(&self) {
        for live in self.list_live() {
            live.carried.put_down_if_left();
        }
    }

    /// Takes no more runs, lets those under way end for `grace`, then tells them to.
    pub async fn stop(&self, grace: Duration) {
        self.inner.closing.cancel();
        self.inner.tasks.close();
        if tokio::time::timeout(grace, self.ended()).await.is_err() {
            tracing::warn!(runs = self.inner.tasks.len(), "ending runs that are still under way");
            self.inner.stop.cancel();
        }
    }

    /// Waits until all runs have ended, once the service stops. A disk that takes nothing keeps their ends for as long: none
    /// is told that is not safe.
    pub async fn ended(&self) {
        self.inner.tasks.wait().await;
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
            agent: AgentRef { name: "a".to_owned(), revision: 1, degraded_by: Vec::new() },
            dispatch_id: Uuid::nil(),
            conversation_id: None,
            handed_over: None,
            model: ModelUse {
                requested: None,
                resolved: "local/m".to_owned(),
                rule: ResolutionRule::Default,
            },
            output: None,
            tool_calls: Vec::new(),
            turns: Vec::new(),
            finish_reason: None,
            refused_in_words: false,
            usage: Usage::default(),
            cost_usd: None,
            attempts: Vec::new(),
            warnings: Vec::new(),
            error: None,
            metadata: None,
            asked_as_response: None,
            created_at: Utc::now(),
            ended_at: None,
        }
    }
}
