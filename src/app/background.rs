//! What the service does beside answering: it takes over what other processes change and what changes in the
//! agents folder, and says that it lives.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::conversation::Conversations;
use crate::db::{is_reachable, listen_for_changes};
use crate::dispatch::Dispatcher;
use crate::http::{AppState, Readiness};
use crate::ledger::Ledger;
use crate::limits::Limits;
use crate::registry::Registry;
use crate::telemetry::causes;
use crate::telemetry::metrics::Metrics;

/// How often changes by other processes are looked for, in case that one was not heard of.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How long one look for changes waits for another one to end.
const TURN_PATIENCE: Duration = Duration::from_millis(200);

/// How often what happens in the background is put on record.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// What has not changed for so long is fitted to; many changes in a row are one.
const QUIET_INTERVAL: Duration = Duration::from_millis(200);

/// How long changes that never stop keep what is fitted as it was.
const LONGEST_UNFITTED: Duration = Duration::from_secs(10);

const SUM_UP_INTERVAL: Duration = Duration::from_secs(5);
/// How often it is looked whether anything is older than it is kept.
const REMOVAL_INTERVAL: Duration = Duration::from_mins(1);

/// How often it is looked whether the database is there, and how long its answer is waited for: together they are how old
/// what `/readyz` tells of it may be.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// Tasks that run until they are stopped. A stop does not wait for what they have begun.
#[derive(Debug, Default)]
pub(super) struct Background {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Background {
    pub fn start(state: &AppState, pool: &PgPool) -> Self {
        let background = Self::default();
        let changes = background.listen(pool.clone());
        let look = Look { background: &background, state, changes, turn: Arc::default() };
        look.keep("conversations that are free", |state| async move {
            state.conversations.look_for_turns();
            Ok::<_, Infallible>(())
        });
        look.keep("runs that are to be cancelled", |state| async move {
            state.conversations.take_cancel_requests().await
        });
        look.keep("changes of the roster", |state| async move {
            state.registry.refresh_if_changed().await
        });
        look.keep("changes of the keys", |state| async move { state.access.refresh().await });
        look.keep("new feedback", |state| async move { state.feedback.refresh().await });
        look.keep("changes of the tool servers", |state| async move {
            state.stored_tool_servers.refresh().await
        });
        background.spawn(probe_database(pool.clone(), state.readiness.clone()));
        background.spawn(store_progress(state.conversations.clone()));
        background.spawn(put_down_left_runs(state.conversations.clone()));
        background.spawn(keep_prepared(state.dispatcher.clone()));
        background.spawn(keep_fitted(state.dispatcher.clone()));
        background.spawn(keep_spending(state.limits.clone()));
        background.spawn(sum_up_metrics(state.metrics.clone()));
        background.spawn(beat(state.ledger.clone()));
        background
    }

    /// Hears of what other processes change.
    fn listen(&self, pool: PgPool) -> watch::Receiver<()> {
        let (heard, changes) = watch::channel(());
        self.spawn(async move { listen_for_changes(&pool, &heard).await });
        changes
    }

    /// Removes what has become older than that many days.
    pub fn remove_old(&self, state: &AppState, days: u32) {
        self.spawn(remove_old(state.ledger.clone(), state.conversations.clone(), days));
    }

    pub fn follow_folder(&self, registry: Registry) {
        self.spawn(async move { registry.follow_folder().await });
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move { stop.run_until_cancelled(task).await });
    }
}

/// Looks whether the database is there, so that who asks for the health waits for nothing.
async fn probe_database(pool: PgPool, readiness: Readiness) {
    let mut probe = interval(PROBE_INTERVAL);
    loop {
        probe.tick().await;
        readiness.set_database_up(is_reachable(&pool, PROBE_PATIENCE).await);
    }
}

/// What is looked for of what other processes change.
struct Look<'a> {
    background: &'a Background,
    state: &'a AppState,
    changes: watch::Receiver<()>,
    turn: Arc<Mutex<()>>,
}

impl Look<'_> {
    /// Looks for one kind of changes from now on. Each kind is looked for by itself: one whose question the database leaves
    /// unanswered does not hold up the others.
    fn keep<E, F>(&self, kind: &'static str, look: fn(AppState) -> F)
    where
        E: Error + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let (state, changes, turn) =
            (self.state.clone(), self.changes.clone(), Arc::clone(&self.turn));
        self.background.spawn(keep_current(state, changes, turn, kind, look));
    }
}

/// Looks as soon as a change is heard of and at each tick. However much is heard of meanwhile, one more look follows.
async fn keep_current<E: Error + 'static, F: Future<Output = Result<(), E>>>(
    state: AppState,
    mut changes: watch::Receiver<()>,
    turn: Arc<Mutex<()>>,
    kind: &'static str,
    look: fn(AppState) -> F,
) {
    let mut poll = interval(POLL_INTERVAL);
    loop {
        tokio::select! {
            Ok(()) = changes.changed() => {}
            _ = poll.tick() => {}
        }
        // One after the other: connections are few. One that gets no answer does not keep the turn from the others.
        let turn = tokio::time::timeout(TURN_PATIENCE, turn.lock()).await;
        // What fails is made up for by the next tick; `/readyz` tells of the database.
        if let Err(error) = look(state.clone()).await {
            tracing::debug!(error = causes(&error), "failed to look for {kind}");
        }
        drop(turn);
    }
}

/// Lets other instances tell how far runs in the background have come.
async fn store_progress(conversations: Conversations) {
    let mut progress = interval(PROGRESS_INTERVAL);
    loop {
        progress.tick().await;
        conversations.store_progress().await;
    }
}

/// Lets no run wait for a caller who does not read.
async fn put_down_left_runs(conversations: Conversations) {
    let mut look = interval(POLL_INTERVAL);
    loop {
        look.tick().await;
        conversations.put_down_left_runs();
    }
}

/// Builds the index anew before a pick has to, if the roster or the feedback has changed. A change is not kept waiting
/// for it, and many at once are one.
async fn keep_prepared(dispatcher: Dispatcher) {
    let mut poll = interval(POLL_INTERVAL);
    loop {
        poll.tick().await;
        dispatcher.prepare().await;
    }
}

/// Fits to the roster and the feedback once neither has changed for a moment, or when they never stop changing.
async fn keep_fitted(dispatcher: Dispatcher) {
    let mut poll = interval(QUIET_INTERVAL);
    let (mut seen, mut fitted_at) = (dispatcher.revisions(), Instant::now());
    loop {
        poll.tick().await;
        let revisions = dispatcher.revisions();
        if revisions == seen || fitted_at.elapsed() > LONGEST_UNFITTED {
            dispatcher.refit().await;
            fitted_at = Instant::now();
        }
        seen = revisions;
    }
}

/// Reads what keys spend elsewhere.
async fn keep_spending(limits: Limits) {
    let mut poll = interval(POLL_INTERVAL);
    loop {
        poll.tick().await;
        if let Err(error) = limits.sync().await {
            tracing::debug!(error = causes(&error), "failed to read what keys have spent");
        }
    }
}

async fn remove_old(ledger: Ledger, conversations: Conversations, days: u32) {
    let mut look = interval(REMOVAL_INTERVAL);
    loop {
        look.tick().await;
        let records = ledger.remove_older_than(days).await;
        match (records, conversations.remove_untouched_for(days).await) {
            (Ok(0), Ok(0)) => {}
            (Ok(records), Ok(conversations)) => {
                tracing::info!(records, conversations, "what was older than it is kept is removed");
            }
            (Err(error), _) => {
                tracing::warn!(error = causes(&error), "failed to remove old records");
            }
            (_, Err(error)) => {
                tracing::warn!(error = causes(&error), "failed to remove old conversations");
            }
        }
    }
}

/// Keeps the memory of what is measured small, whether or not anybody looks at it.
async fn sum_up_metrics(metrics: Metrics) {
    let mut tick = interval(SUM_UP_INTERVAL);
    loop {
        tick.tick().await;
        metrics.sum_up();
    }
}

async fn beat(ledger: Ledger) {
    let mut heartbeat = interval(HEARTBEAT_INTERVAL);
    loop {
        heartbeat.tick().await;
        if let Err(error) = ledger.beat().await {
            tracing::debug!(error = causes(&error), "failed to say that this instance lives");
        }
    }
}

fn interval(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
