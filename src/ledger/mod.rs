//! The records of decisions and runs, written behind the answers, in batches.
//!
//! What is not written yet is found in memory, so that a caller reads its own writes. Record types are plain;
//! their meaning belongs to `dispatch` and `conversation`.

mod error;
mod record;
mod store;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

pub use error::LedgerError;
pub use record::{DecidedFilter, DecidedRequest, DispatchRecord, RunEvents, RunFilter, RunRecord};

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
    /// By run and sequence number of the first one.
    run_events: BTreeMap<(Uuid, i32), Arc<RunEvents>>,
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

    /// How many records are not known to be written.
    pub fn count_pending(&self) -> usize {
        let pending = self.pending();
        pending.dispatches.len() + pending.runs.len() + pending.run_events.len()
    }

    /// Keeps a decision.
    pub async fn record_dispatch(&self, mut record: DispatchRecord) {
        record.input = record.input.map(without_nul);
        record.decision = json_without_nul(record.decision);
        let record = Arc::new(record);
        self.pending().dispatches.insert(record.id, Arc::clone(&record));
        self.enqueue(Record::Dispatch(record)).await;
    }

    /// Keeps the state of a run; a later record of the same run replaces it.
    pub async fn record_run(&self, mut record: RunRecord) {
        record.record = json_without_nul(record.record);
        let record = Arc::new(record);
        self.pending().runs.insert(record.id, Arc::clone(&record));
        self.enqueue(Record::Run(record)).await;
    }

    /// Keeps some events of a run. Those before them must have been kept before.
    pub async fn record_run_events(&self, events: RunEvents) {
        let events = Arc::new(events);
        let place = (events.run_id, events.first_sequence);
        self.pending().run_events.insert(place, Arc::clone(&events));
        self.enqueue(Record::RunEvents(events)).await;
    }

    /// Writes a run that has an idempotency key at once, unless another run of the caller's has the key. True if
    /// the run has it now.
    pub async fn claim_run(&self, mut record: RunRecord) -> Result<bool, LedgerError> {
        record.record = json_without_nul(record.record);
        Ok(store::claim_run(&self.inner.pool, &record).await?)
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

    /// Requests whose agent was picked for them, newest first, with what was decided. Named agents are left out, and
    /// so are decisions without their input. Fewer than `limit` if their texts are very long.
    pub async fn list_decided_requests(
        &self,
        filter: &DecidedFilter,
        limit: usize,
    ) -> Result<Vec<DecidedRequest>, LedgerError> {
        // Before the rows are read: what is written meanwhile is found twice rather than not at all.
        let pending: Vec<_> = self.pending().dispatches.values().cloned().collect();
        let rows = i64::try_from(limit).unwrap_or(i64::MAX);
        let written = store::list_decided_requests(&self.inner.pool, filter, rows).await?;
        let pending = pending.iter().filter_map(|record| record.decided_request(filter));
        let requests: BTreeMap<Uuid, DecidedRequest> =
            written.into_iter().chain(pending).map(|request| (request.id, request)).collect();
        Ok(requests.into_values().rev().take(limit).collect())
    }

    pub async fn find_run(&self, id: Uuid) -> Result<Option<Arc<RunRecord>>, LedgerError> {
        let pending = self.pending().runs.get(&id).cloned();
        match pending {
            Some(record) => Ok(Some(record)),
            None => Ok(store::find_run(&self.inner.pool, id).await?.map(Arc::new)),
        }
    }

    /// The run that a caller has made under an idempotency key.
    pub async fn find_run_of_request(
        &self,
        key_id: Uuid,
        idempotency_key: &str,
    ) -> Result<Option<Arc<RunRecord>>, LedgerError> {
        let find = || store::find_run_of_request(&self.inner.pool, key_id, idempotency_key);
        let Some(found) = find().await? else { return Ok(None) };
        // It may have ended since it was written, and given the key up.
        if let Some(newest) = self.pending().runs.get(&found.id) {
            return Ok(Some(Arc::clone(newest)));
        }
        // And its end may have been written since it was read.
        let found = if found.ended_at.is_some() { Some(found) } else { find().await? };
        Ok(found.map(Arc::new))
    }

    /// Runs, newest first, older than `before`; without their texts.
    pub async fn list_runs(
        &self,
        filter: &RunFilter,
        before: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<Arc<RunRecord>>, LedgerError> {
        let before = before.unwrap_or(Uuid::max());
        // Before the rows are read: what is written meanwhile is found twice rather than not at all.
        let pending: Vec<_> =
            self.pending().runs.values().filter(|run| run.id < before).cloned().collect();
        // Rows that are out of date by now must not make the page short: a short page is the last one.
        let outdated = pending.iter().filter(|run| !filter.fits(run)).count();
        let rows = i64::try_from(limit + outdated).unwrap_or(i64::MAX);
        let written = store::list_runs(&self.inner.pool, filter, before, rows).await?;
        let mut runs: BTreeMap<Uuid, Arc<RunRecord>> =
            written.into_iter().map(|run| (run.id, Arc::new(run))).collect();
        for run in pending {
            if filter.fits(&run) {
                runs.insert(run.id, run);
            } else {
                runs.remove(&run.id);
            }
        }
        Ok(runs.into_values().rev().take(limit).collect())
    }

    /// The pieces of a run's events that go beyond the sequence number `after`, in order.
    pub async fn list_run_events(
        &self,
        run_id: Uuid,
        after: i32,
    ) -> Result<Vec<Arc<RunEvents>>, LedgerError> {
        let pending: Vec<_> = {
            let pending = self.pending();
            let of_run = pending.run_events.range((run_id, 0)..=(run_id, i32::MAX));
            of_run.map(|(_, events)| Arc::clone(events)).collect()
        };
        let written = store::list_run_events(&self.inner.pool, run_id, after).await?;
        let mut pieces: BTreeMap<i32, Arc<RunEvents>> =
            written.into_iter().map(|piece| (piece.first_sequence, Arc::new(piece))).collect();
        pieces.extend(pending.into_iter().map(|piece| (piece.first_sequence, piece)));
        Ok(pieces.into_values().collect())
    }

    /// Waits until all that was kept before is written, for `patience` at most. False if it is not.
    pub async fn flush(&self, patience: Duration) -> bool {
        let mark = Arc::new(Notify::new());
        self.enqueue(Record::Mark(Arc::clone(&mark))).await;
        tokio::time::timeout(patience, mark.notified()).await.is_ok()
    }

    /// Asks whichever instance runs it to end a run.
    pub async fn request_cancel(&self, run_id: Uuid) -> Result<(), LedgerError> {
        Ok(store::request_cancel(&self.inner.pool, run_id).await?)
    }

    /// Runs of this instance that another one was asked to cancel.
    pub async fn list_cancel_requests(&self) -> Result<Vec<Uuid>, LedgerError> {
        Ok(store::list_cancel_requests(&self.inner.pool, self.inner.instance_id).await?)
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
            let count = pending.dispatches.len() + pending.runs.len() + pending.run_events.len();
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
                Record::RunEvents(record) => {
                    pending.run_events.remove(&(record.run_id, record.first_sequence));
                }
                Record::Mark(mark) => mark.notify_one(),
                Record::End => {}
            }
        }
    }

    /// Whether a newer record of the same run is on its way.
    fn is_superseded(&self, record: &Record) -> bool {
        let Record::Run(run) = record else { return false };
        self.pending().runs.get(&run.id).is_some_and(|newest| !Arc::ptr_eq(newest, run))
    }
}

/// Takes the texts out of the records of a conversation's runs and decisions, in the transaction of its deletion.
pub async fn forget_texts(
    connection: &mut PgConnection,
    conversation_id: Uuid,
) -> Result<(), sqlx::Error> {
    store::forget_texts(connection, conversation_id).await
}

/// Takes the texts out of the record of a run and of its decision, in the transaction of their deletion.
pub async fn forget_texts_of_run(
    connection: &mut PgConnection,
    run_id: Uuid,
) -> Result<(), sqlx::Error> {
    store::forget_texts_of_run(connection, run_id).await
}

/// PostgreSQL takes no NUL in a text.
fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// The same for a text that is JSON, where it is written as an escape.
fn json_without_nul(json: String) -> String {
    if !json.contains("\\u0000") {
        return json;
    }
    let mut value: Value = serde_json::from_str(&json).unwrap_or_default();
    remove_nul(&mut value);
    value.to_string()
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
