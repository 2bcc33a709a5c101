//! The life of this instance as the records know it: its start, its heartbeat, its end.

pub(super) mod store;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::journal::Journal;
use super::{Inner, Ledger, LedgerError, Settings, replay, writer};
use crate::db::{ANSWER_PATIENCE, in_time};
use crate::telemetry::causes;

/// An instance whose heart has not beaten for this long is taken for dead.
const LEASE: Duration = Duration::from_secs(30);

/// How long the end of an instance waits for what it leaves behind to be safe from a loss of power.
const SYNC_PATIENCE: Duration = Duration::from_secs(2);

impl Ledger {
    /// Writes what instances that are gone have left in the data directory, registers this one and starts its writer.
    ///
    /// Runs that another instance left unfinished become `failed` if its journal was here, its lease has lapsed, or
    /// `is_exclusive` says that no other instance can be alive.
    pub async fn open(
        pool: PgPool,
        data_dir: &Path,
        settings: Settings,
        is_exclusive: bool,
    ) -> Result<Self, LedgerError> {
        let root = data_dir.join("journal");
        replay::replay(&pool, &root).await?;
        let instance_id = Uuid::now_v7();
        store::begin_journal(&pool, instance_id).await?;
        let journal = Journal::create(&root, instance_id, settings.journal_bytes)?;
        store::beat(&pool, instance_id).await?;
        let lease = if is_exclusive { Duration::ZERO } else { LEASE };
        interrupt_lapsed(&pool, instance_id, lease).await?;
        let inner = Arc::new(Inner {
            pool,
            instance_id,
            journal,
            pending: Mutex::default(),
            taken: watch::Sender::new(0),
            alarm: Arc::default(),
            closing: CancellationToken::new(),
            writer: Mutex::default(),
        });
        let (alarm, closing) = (Arc::clone(&inner.alarm), inner.closing.clone());
        let writer = writer::write(Arc::downgrade(&inner), alarm, closing);
        *inner.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(tokio::spawn(writer));
        Ok(Self { inner })
    }

    /// Says that this instance lives, and ends the runs of those that do not. What is written already need not stay in
    /// the journal.
    pub async fn beat(&self) -> Result<(), LedgerError> {
        self.inner.journal.turn_over();
        let (pool, own_id) = (&self.inner.pool, self.inner.instance_id);
        // Well before this instance is taken for dead.
        in_time(ANSWER_PATIENCE, store::beat(pool, own_id)).await?;
        in_time(ANSWER_PATIENCE, interrupt_lapsed(pool, own_id, LEASE)).await
    }

    /// Writes everything that waits and signs this instance off, for `patience` at most. What is left waits in the journal
    /// for the next start.
    pub async fn close(&self, patience: Duration) {
        let writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut writer) = writer else { return };
        self.inner.closing.cancel();
        let deadline = Instant::now() + patience;
        if timeout_at(deadline, &mut writer).await.is_err() {
            writer.abort();
            let records = self.inner.pending().count;
            tracing::warn!(records, "records wait in the journal for the next start");
            // A disk that hangs does not hold up the end.
            let _ = timeout(SYNC_PATIENCE, self.inner.journal.sync()).await;
            return;
        }
        let signed_off = store::sign_off(&self.inner.pool, self.inner.instance_id);
        match timeout_at(deadline, signed_off).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = causes(&error), "failed to sign the instance off");
            }
            Err(_) => {
                tracing::warn!("the database does not answer: the instance is not signed off");
            }
        }
        if let Err(error) = self.inner.journal.remove() {
            tracing::warn!(%error, "failed to remove the journal");
        }
    }
}

async fn interrupt_lapsed(
    pool: &PgPool,
    instance_id: Uuid,
    lease: Duration,
) -> Result<(), LedgerError> {
    let interrupted = store::interrupt_lapsed(pool, instance_id, lease).await?;
    if interrupted > 0 {
        tracing::warn!(runs = interrupted, "runs of an instance that is gone are marked as failed");
    }
    Ok(())
}
