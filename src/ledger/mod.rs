//! The records of decisions and runs, written behind the answers, in batches.
//!
//! What is not written yet is found in memory, so that a caller reads its own writes. Record types are plain;
//! their meaning belongs to `dispatch` and `conversation`.

mod error;
mod record;
mod store;
mod writer;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use sqlx::PgPool;
use tokio::sync::mpsc;
use uuid::Uuid;

pub use error::LedgerError;
pub use record::{DispatchRecord, RunRecord};

use record::Record;

/// Records that may wait to be written. A full queue makes writers of records wait, which bounds memory.
const QUEUE_LENGTH: usize = 10_000;

/// An instance whose heart has not beaten for this long is taken for dead.
const LEASE: Duration = Duration::from_secs(30);

/// A cheap handle to the ledger.
#[derive(Debug, Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    instance_id: Uuid,
    queue: mpsc::Sender<Record>,
    pending: Mutex<Pending>,
    writer: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

/// What is queued and not known to be written.
#[derive(Debug, Default)]
struct Pending {
    dispatches: HashMap<Uuid, Arc<DispatchRecord>>,
    runs: HashMap<Uuid, Arc<RunRecord>>,
}

impl Ledger {
    /// Registers this instance and starts the writer.
    ///
    /// Runs that another instance left unfinished become `failed` if its lease has lapsed, or at once if
    /// `is_exclusive` says that no other instance can be alive.
    pub async fn open(pool: PgPool, is_exclusive: bool) -> Result<Self, LedgerError> {
        let instance_id = Uuid::now_v7();
        store::beat(&pool, instance_id).await?;
        let lease = if is_exclusive { Duration::ZERO } else { LEASE };
        interrupt_lapsed(&pool, instance_id, lease).await?;
        let (queue, records) = mpsc::channel(QUEUE_LENGTH);
        let inner = Arc::new(Inner {
            pool,
            instance_id,
            queue,
            pending: Mutex::default(),
            writer: Mutex::default(),
        });
        let writer =
            tokio::spawn(writer::write(Arc::downgrade(&inner), inner.pool.clone(), records));
        *inner.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer);
        Ok(Self { inner })
    }

    pub fn instance_id(&self) -> Uuid {
        self.inner.instance_id
    }

    /// Keeps a decision.
    pub async fn record_dispatch(&self, mut record: DispatchRecord) {
        record.input = record.input.map(without_nul);
        remove_nul(&mut record.decision);
        let record = Arc::new(record);
        self.pending().dispatches.insert(record.id, Arc::clone(&record));
        self.enqueue(Record::Dispatch(record)).await;
    }

    /// Keeps the state of a run; a later record of the same run replaces it.
    pub async fn record_run(&self, mut record: RunRecord) {
        remove_nul(&mut record.record);
        let record = Arc::new(record);
        self.pending().runs.insert(record.id, Arc::clone(&record));
        self.enqueue(Record::Run(record)).await;
    }

    pub async fn find_dispatch(
        &self,
        id: Uuid,
    ) -> Result<Option<Arc<DispatchRecord>>, LedgerError> {
        let pending = self.pending().dispatches.get(&id).cloned();
        match pending {
            Some(record) => Ok(Some(record)),
            None => Ok(store::find_dispatch(&self.inner.pool, id).await?.map(Arc::new)),
        }
    }

    pub async fn find_run(&self, id: Uuid) -> Result<Option<Arc<RunRecord>>, LedgerError> {
        let pending = self.pending().runs.get(&id).cloned();
        match pending {
            Some(record) => Ok(Some(record)),
            None => Ok(store::find_run(&self.inner.pool, id).await?.map(Arc::new)),
        }
    }

    /// Says that this instance lives, and ends the runs of those that do not.
    pub async fn beat(&self) -> Result<(), LedgerError> {
        store::beat(&self.inner.pool, self.inner.instance_id).await?;
        interrupt_lapsed(&self.inner.pool, self.inner.instance_id, LEASE).await
    }

    /// Writes everything that waits, for `patience` at most, and signs this instance off.
    pub async fn close(&self, patience: Duration) {
        let writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut writer) = writer else { return };
        // The queue stays open for handles that still exist; this record tells the writer to end.
        self.enqueue(Record::End).await;
        if tokio::time::timeout(patience, &mut writer).await.is_err() {
            writer.abort();
            let pending = self.pending();
            let count = pending.dispatches.len() + pending.runs.len();
            tracing::error!(records = count, "records could not be written before the stop");
        }
        if let Err(error) = store::sign_off(&self.inner.pool, self.inner.instance_id).await {
            tracing::warn!(%error, "failed to sign the instance off");
        }
    }

    async fn enqueue(&self, record: Record) {
        if self.inner.queue.send(record).await.is_err() {
            tracing::error!("a record came after the ledger was closed, and is lost");
        }
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.inner.pending()
    }
}

impl Inner {
    fn pending(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what has been written, unless a newer record has taken its place.
    fn forget(&self, written: &[Record]) {
        let mut pending = self.pending();
        for record in written {
            match record {
                Record::Dispatch(record) => {
                    pending.dispatches.remove(&record.id);
                }
                Record::Run(record) => {
                    if pending
                        .runs
                        .get(&record.id)
                        .is_some_and(|newest| Arc::ptr_eq(newest, record))
                    {
                        pending.runs.remove(&record.id);
                    }
                }
                Record::End => {}
            }
        }
    }
}

/// PostgreSQL takes no NUL in a text.
fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

fn remove_nul(value: &mut Value) {
    match value {
        Value::String(text) => *text = without_nul(std::mem::take(text)),
        Value::Array(items) => items.iter_mut().for_each(remove_nul),
        Value::Object(map) if map.keys().any(|key| key.contains('\0')) => {
            let members = std::mem::take(map).into_iter();
            *map = members.map(|(key, value)| (without_nul(key), value)).collect();
            map.values_mut().for_each(remove_nul);
        }
        Value::Object(map) => map.values_mut().for_each(remove_nul),
        _ => {}
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
