//! What a run adds to its conversation: the request and all that came of it, at once or not at all.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;
use uuid::Uuid;

use super::join::{Beginning, Keeping};
use super::message;
use super::store::{self, Kept, NewMessages};
use crate::chat::Message;

/// How long it is tried to keep what a run has said, and how long a try that failed is slept over.
const KEEP_PATIENCE: Duration = Duration::from_secs(10);
const KEEP_PAUSE: Duration = Duration::from_millis(500);

/// The same for a conversation that begins with the run: its answer is worth telling without.
const BEGIN_PATIENCE: Duration = Duration::from_secs(2);

/// A run's part of its conversation.
#[derive(Debug)]
pub(in crate::conversation) struct Exchange {
    pool: PgPool,
    run_id: Uuid,
    keeping: Keeping,
    new: NewMessages,
}

/// The conversation could not be kept: the database does not answer, or others have gone on with it.
#[derive(Debug)]
pub(in crate::conversation) struct NotKept;

impl Exchange {
    /// Begins with what the caller asks.
    pub fn begin(
        pool: PgPool,
        run_id: Uuid,
        (keeping, conversation_id): (Keeping, Uuid),
        agent: &str,
        asked: Vec<Message>,
    ) -> Self {
        let new = NewMessages {
            conversation_id,
            run_id: Some(run_id),
            agent_name: Some(agent.to_owned()),
            messages: asked.into_iter().map(message::write).collect(),
        };
        Self { pool, run_id, keeping, new }
    }

    /// Whether the run is worth nothing if it cannot be kept: who goes on would not see what was said.
    pub fn is_required(&self) -> bool {
        matches!(self.keeping, Keeping::Claimed(_))
    }

    pub fn add(&mut self, messages: impl IntoIterator<Item = Message>) {
        // An answer without a word or a call is none, and providers refuse it.
        let messages = messages.into_iter().filter(|message| {
            !message.is_blank() || !message.tool_calls.is_empty() || message.tool_call_id.is_some()
        });
        self.new.messages.extend(messages.map(message::write));
    }

    /// Writes all of it behind what is there.
    pub async fn keep(&self) -> Result<(), NotKept> {
        let patience = if self.is_required() { KEEP_PATIENCE } else { BEGIN_PATIENCE };
        let deadline = Instant::now() + patience;
        loop {
            match tokio::time::timeout_at(deadline, self.write()).await {
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

    async fn write(&self) -> Result<Kept, sqlx::Error> {
        match &self.keeping {
            Keeping::Claimed(_) => store::keep(&self.pool, self.run_id, &self.new).await,
            Keeping::Begun(Beginning { key_id, copied }) => {
                store::begin(&self.pool, *key_id, *copied, &self.new).await?;
                Ok(Kept::Yes)
            }
        }
    }

    /// Lets the next run have the conversation.
    pub async fn release(self) {
        if let Keeping::Claimed(claim) = self.keeping {
            claim.release().await;
        }
    }
}
