//! Whose turn it is: runs of one conversation follow each other, whichever instances they are on.
//!
//! A claim is a row, and the lowest one has the conversation. No connection and no lock is held while a run goes on. The
//! row lives as long as the heartbeat of its instance.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use sqlx::PgPool;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{ConversationRef, store};
use crate::conversation::ConversationError;
use crate::db::{ANSWER_PATIENCE, in_time};

/// Runs of one instance that may wait for conversations at once.
const MAX_WAITING: usize = 1_000;

/// Over how many notices those who wait are spread: a conversation that is free wakes only some of them.
const NOTICES: usize = 64;

/// How long it takes to try again to give up a claim, and how long the end of a run waits for that to be done.
const RELEASE_PAUSE: Duration = Duration::from_secs(1);
const RELEASE_PATIENCE: Duration = Duration::from_secs(3);

/// The foreign key that a claim breaks if its instance is taken for dead.
const OF_INSTANCE: &str = "conversation_claims_of_instance";

/// What a run does whose conversation another run has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenBusy {
    #[default]
    Wait,
    Refuse,
}

/// The claims of this instance.
#[derive(Debug)]
pub(in crate::conversation) struct Claims {
    pub pool: PgPool,
    pub instance_id: Uuid,
    pub when_busy: WhenBusy,
    /// Longest time that a run waits.
    pub wait: Duration,
    waiting: Semaphore,
    /// Notified when a claim has been given up, by conversation.
    released: [Notify; NOTICES],
    tasks: TaskTracker,
    closing: CancellationToken,
}

/// A run's claim to its conversation. It is given up when it is dropped.
#[derive(Debug)]
pub(in crate::conversation) struct Claim {
    claims: Arc<Claims>,
    conversation_id: Uuid,
    run_id: Uuid,
    is_released: bool,
}

impl Claims {
    pub fn new(
        pool: PgPool,
        instance_id: Uuid,
        (when_busy, wait): (WhenBusy, Duration),
        tasks: TaskTracker,
        closing: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            pool,
            instance_id,
            when_busy,
            wait,
            waiting: Semaphore::new(MAX_WAITING),
            released: [const { Notify::const_new() }; NOTICES],
            tasks,
            closing,
        })
    }

    /// Wakes all who wait: on some instance a claim may have been given up. Without it they do not look again.
    pub fn look(&self) {
        self.released.iter().for_each(Notify::notify_waiters);
    }

    fn released(&self, conversation_id: Uuid) -> &Notify {
        let [.., last] = conversation_id.into_bytes();
        &self.released[usize::from(last) % NOTICES]
    }

    /// Returns once the run has the conversation. Dropping the future gives the place in the queue up.
    ///
    /// # Errors
    /// If there is no such conversation, or it stays busy for longer than the operator lets runs wait.
    pub async fn take(
        self: &Arc<Self>,
        conversation: ConversationRef,
        run_id: Uuid,
    ) -> Result<Claim, ConversationError> {
        let _waiting = self.waiting.try_acquire().map_err(|_| ConversationError::Busy)?;
        let claims = Arc::clone(self);
        // A task of its own: a caller who leaves must not leave a claim that nobody knows of.
        let claiming = self.tasks.spawn(async move {
            let conversation_id = conversation.id;
            let mut claim = Claim { claims, conversation_id, run_id, is_released: false };
            let is_found = claim.enter(&conversation).await?;
            claim.is_released = !is_found;
            Ok::<_, ConversationError>(is_found.then_some(claim))
        });
        let claim = claiming.await.expect("claiming does not panic")?;
        let claim = claim.ok_or(ConversationError::NotFound(conversation.id))?;
        self.wait_for_turn(&claim, conversation.id).await?;
        Ok(claim)
    }

    async fn wait_for_turn(&self, claim: &Claim, id: Uuid) -> Result<(), ConversationError> {
        let deadline = Instant::now() + self.wait;
        loop {
            let released = self.released(id).notified();
            match store::is_first(&self.pool, claim.run_id).await? {
                Some(true) => return Ok(()),
                None => return Err(ConversationError::ClaimLost),
                Some(false) if self.when_busy == WhenBusy::Refuse => {
                    return Err(ConversationError::ConversationBusy(id));
                }
                Some(false) => {}
            }
            if Instant::now() >= deadline {
                return Err(ConversationError::ConversationBusy(id));
            }
            tokio::select! {
                () = released => {}
                () = tokio::time::sleep_until(deadline) => {}
                () = self.closing.cancelled() => return Err(ConversationError::Stopping),
            }
        }
    }

    /// Tries until it is done: a claim that stays would keep its conversation from everybody.
    async fn release(self: Arc<Self>, conversation_id: Uuid, run_id: Uuid) {
        while let Err(error) = in_time(ANSWER_PATIENCE, store::release(&self.pool, run_id)).await {
            tracing::warn!(%error, run.id = %run_id, "a conversation is not free again yet");
            let pause = tokio::time::sleep(RELEASE_PAUSE);
            // A stopped instance has no claims.
            if self.closing.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
        self.released(conversation_id).notify_waiters();
    }
}

impl Claim {
    async fn enter(&mut self, conversation: &ConversationRef) -> Result<bool, ConversationError> {
        let Claims { pool, instance_id, .. } = &*self.claims;
        let entered = store::claim(pool, conversation, self.run_id, *instance_id).await;
        entered.map_err(|error| {
            // What was never sent, or was refused, has left nothing behind.
            self.is_released = error.as_database_error().is_some()
                || matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed);
            let constraint =
                error.as_database_error().and_then(sqlx::error::DatabaseError::constraint);
            match constraint {
                Some(OF_INSTANCE) => ConversationError::ClaimLost,
                _ => error.into(),
            }
        })
    }

    /// Gives the claim up now. What takes longer is done behind the caller's back.
    pub async fn release(mut self) {
        // What becomes of it is told by its task.
        let _ = tokio::time::timeout(RELEASE_PATIENCE, self.begin_release()).await;
    }

    fn begin_release(&mut self) -> JoinHandle<()> {
        self.is_released = true;
        let claims = Arc::clone(&self.claims);
        self.claims.tasks.spawn(claims.release(self.conversation_id, self.run_id))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_released {
            self.begin_release();
        }
    }
}
