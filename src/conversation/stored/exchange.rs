//! What a run adds to its conversation: the request and all that came of it, at once or not at all.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::join::{Beginning, Keeping};
use super::message;
use super::store::{self, Kept, NewMessages};
use crate::chat::Message;

/// How long it is tried to keep what a run has said, and how long a try that failed is slept over.
const KEEP_PATIENCE: Duration = Duration::from_secs(10);
const KEEP_PAUSE: Duration = Duration::from_millis(500);

/// How long the answer to a try is waited for before another one is made over another connection.
const TRY_PATIENCE: Duration = Duration::from_secs(3);

/// The same for a conversation that begins with the run: its answer is worth telling without.
const BEGIN_PATIENCE: Duration = Duration::from_secs(2);

/// A run's part of its conversation.
#[derive(Debug)]
pub(in crate::conversation) struct Exchange {
    pool: PgPool,
    run_id: Uuid,
    keeping: Keeping,
    new: Arc<NewMessages>,
}

/// The conversation could not be kept: the database does not answer, or others have gone on with it.
#[derive(Debug)]
pub(in crate::conversation) struct NotKept;

impl Exchange {
    /// Begins with what the caller asks.
    pub fn begin(
        pool: PgPool,
        run_id: Uuid,
        keeping: Keeping,
        conversation_id: Uuid,
        agent: &str,
        asked: Vec<Message>,
    ) -> Self {
        let new = NewMessages {
            conversation_id,
            run_id: Some(run_id),
            agent_name: Some(agent.to_owned()),
            messages: asked.into_iter().map(message::write).collect(),
        };
        Self { pool, run_id, keeping, new: Arc::new(new) }
    }

    /// Whether the run is worth nothing if it cannot be kept: who goes on would not see what was said.
    pub fn is_required(&self) -> bool {
        matches!(self.keeping, Keeping::Claimed(_))
    }

    pub fn add(&mut self, messages: impl IntoIterator<Item = Message>) {
        // An answer without a word or a call is none, and providers refuse it.
        let messages = messages.into_iter().filter(|message| {
            !message.is_empty() || !message.tool_calls.is_empty() || message.tool_call_id.is_some()
        });
        Arc::make_mut(&mut self.new).messages.extend(messages.map(message::write));
    }

    /// Writes all of it behind what is there.
    pub async fn keep(&self) -> Result<(), NotKept> {
        let patience = if self.is_required() { KEEP_PATIENCE } else { BEGIN_PATIENCE };
        let deadline = Instant::now() + patience;
        // Each is a task of its own: one that the database answers late is done all the same, and the next one finds it so.
        let mut tries = JoinSet::new();
        loop {
            tries.spawn(self.write());
            let until = deadline.min(Instant::now() + TRY_PATIENCE);
            let ended = timeout_at(until, tries.join_next()).await;
            match ended.map(|ended| ended.expect("one was begun").expect("it does not panic")) {
                Ok(Ok(Kept::Yes)) => return Ok(()),
                Ok(Ok(Kept::ClaimLost)) => {
                    tracing::warn!(run.id = %self.run_id, "a run has lost its conversation");
                    return Err(NotKept);
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, run.id = %self.run_id, "a run cannot be added to its conversation");
                }
                Err(_) => {
                    tracing::warn!(run.id = %self.run_id, "a run cannot be added to its conversation in time");
                }
            }
            if Instant::now() + KEEP_PAUSE >= deadline {
                return Err(NotKept);
            }
            tokio::time::sleep(KEEP_PAUSE).await;
        }
    }

    /// Writes it once, whether or not the run is still there.
    fn write(&self) -> impl Future<Output = Result<Kept, sqlx::Error>> + use<> {
        let (pool, run_id, new) = (self.pool.clone(), self.run_id, Arc::clone(&self.new));
        let begun = match &self.keeping {
            Keeping::Claimed(_) => None,
            Keeping::Begun(begun) => Some(*begun),
        };
        async move {
            let Some(Beginning { key_id, copied }) = begun else {
                return store::keep(&pool, run_id, &new).await;
            };
            store::begin(&pool, key_id, copied, &new).await?;
            Ok(Kept::Yes)
        }
    }

    /// Lets the next run have the conversation.
    pub async fn release(self) {
        if let Keeping::Claimed(claim) = self.keeping {
            claim.release().await;
        }
    }
}
