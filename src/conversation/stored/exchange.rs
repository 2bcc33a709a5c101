//! What a run adds to its conversation: the request and all that came of it, at once or not at all.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::claim::Claim;
use super::message;
use super::store::{self, Kept, NewMessages};
use crate::chat::Message;

/// How long it is tried to keep what a run has said, and how long a try that failed is slept over.
const KEEP_PATIENCE: Duration = Duration::from_secs(10);
const KEEP_PAUSE: Duration = Duration::from_millis(500);

/// A run's part of its conversation.
#[derive(Debug)]
pub(in crate::conversation) struct Exchange {
    claim: Claim,
    new: NewMessages,
}

/// The conversation could not be kept: the database does not answer, or others have gone on with it.
#[derive(Debug)]
pub(in crate::conversation) struct NotKept;

impl Exchange {
    /// Begins with what the caller asks.
    pub fn begin(claim: Claim, conversation_id: Uuid, agent: &str, asked: Vec<Message>) -> Self {
        let new = NewMessages {
            conversation_id,
            run_id: Some(claim.run_id()),
            agent_name: Some(agent.to_owned()),
            messages: asked.into_iter().map(message::write).collect(),
        };
        Self { claim, new }
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
        let deadline = Instant::now() + KEEP_PATIENCE;
        let run_id = self.claim.run_id();
        loop {
            match store::keep(self.claim.pool(), run_id, &self.new).await {
                Ok(Kept::Yes) => return Ok(()),
                Ok(Kept::ClaimLost) => {
                    tracing::warn!(run.id = %run_id, "a run has lost its conversation");
                    return Err(NotKept);
                }
                Err(error) => {
                    tracing::warn!(%error, run.id = %run_id, "a run cannot be added to its conversation");
                }
            }
            if Instant::now() >= deadline {
                return Err(NotKept);
            }
            tokio::time::sleep(KEEP_PAUSE).await;
        }
    }

    /// Lets the next run have the conversation.
    pub async fn release(self) {
        self.claim.release().await;
    }
}
