//! Requests that say that they are one: the run of the first is the run of all.

use std::time::Duration;

use chrono::Utc;
use uuid::Uuid;

use super::error::ConversationError;
use super::live_run::LiveRun;
use super::{Conversations, NewRun, Run, RunStatus};

/// How long an idempotency key is waited for that is free and on record as taken, and how often it is asked for.
const CLAIM_PATIENCE: Duration = Duration::from_secs(5);
const CLAIM_PAUSE: Duration = Duration::from_millis(20);

/// A caller's promise that requests with this key are one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    pub key: String,
    /// Of the request's body.
    pub request_sha256: [u8; 32],
}

impl Conversations {
    /// The run that the same request has made before, if the caller has said that it is the same.
    pub(super) async fn find_earlier(
        &self,
        new: &NewRun,
    ) -> Result<Option<Run>, ConversationError> {
        match &new.idempotency {
            Some(idempotency) => self.find_repeated(new.key_id, idempotency).await,
            None => Ok(None),
        }
    }

    /// The run that has an idempotency key.
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

    /// Makes a run the one of its idempotency key. Returns the run that this is already.
    pub(super) async fn claim_key(&self, live: &LiveRun) -> Result<Option<Run>, ConversationError> {
        let Some(idempotency) = &live.recorded.idempotency else { return Ok(None) };
        let deadline = tokio::time::Instant::now() + CLAIM_PATIENCE;
        // Boxed: most runs have no key, and need none of the room that it takes.
        while !Box::pin(self.try_claim_key(live)).await? {
            if let Some(run) = self.find_repeated(live.key_id, idempotency).await? {
                return Ok(Some(run));
            }
            // The run that has the key has given it up, which is not written yet.
            if tokio::time::Instant::now() >= deadline {
                return Err(ConversationError::StillRunning(None));
            }
            tokio::time::sleep(CLAIM_PAUSE).await;
        }
        Ok(None)
    }

    /// Asks once. A run whose caller leaves meanwhile is cancelled before it begins, and gives its key up.
    async fn try_claim_key(&self, live: &LiveRun) -> Result<bool, ConversationError> {
        let given_up = || {
            live.update(|run| {
                run.status = RunStatus::Cancelled;
                run.ended_at = Some(Utc::now());
            });
            self.record(live)
        };
        Ok(self.inner.ledger.claim_run(&self.record(live), given_up).await?)
    }
}
