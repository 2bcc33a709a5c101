//! The records of decisions and runs. They are kept in a journal on disk before anybody is told of what they say, and
//! written to PostgreSQL from there, in batches.
//!
//! What is not written yet is found in the journal, so that a caller reads its own writes. Record types are plain;
//! their meaning belongs to `dispatch` and `conversation`.

mod error;
mod instance;
mod journal;
mod nul;
mod pending;
mod read;
mod record;
mod replay;
mod retention;
mod store;
mod usage;
mod writer;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use error::LedgerError;
pub use record::{DecidedFilter, DecidedRequest, DispatchRecord, RunEvents, RunFilter, RunRecord};
pub use usage::{UsageFilter, UsageGroups, UsageSum};

use journal::{Frame, Journal, Kind, Label, Place};
use nul::{json_without_nul, without_nul};
use pending::{Pending, PendingRun};

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How large the journal may become before nothing new is taken.
    pub journal_bytes: u64,
}

/// A cheap handle to the ledger.
#[derive(Debug, Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    instance_id: Uuid,
    journal: Journal,
    pending: Mutex<Pending>,
    /// Up to where the journal is written.
    taken: watch::Sender<u64>,
    closing: CancellationToken,
    writer: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

/// What waits to be written, as of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Backlog {
    /// Records that the database has not taken yet.
    pub waiting: usize,
    pub journal_bytes: u64,
    /// Whether anything new is taken.
    pub has_room: bool,
}

impl Ledger {
    pub fn instance_id(&self) -> Uuid {
        self.inner.instance_id
    }

    /// Whether what is new can be kept. What is under way can be, even if this fails.
    ///
    /// # Errors
    /// If the journal has become as large as it may, or its disk takes nothing.
    pub fn check_room(&self) -> Result<(), LedgerError> {
        if self.inner.journal.has_room() { Ok(()) } else { Err(LedgerError::NoRoom) }
    }

    pub fn backlog(&self) -> Backlog {
        let waiting = self.inner.pending().count;
        let journal = &self.inner.journal;
        Backlog { waiting, journal_bytes: journal.size_bytes(), has_room: journal.has_room() }
    }

    /// Keeps a decision. It is safe when this returns.
    ///
    /// # Errors
    /// If the disk refuses it for now. It is kept later, for nobody who was told of it.
    pub async fn record_dispatch(&self, mut record: DispatchRecord) -> Result<(), LedgerError> {
        record.input = record.input.map(without_nul);
        record.decision = json_without_nul(record.decision);
        let label = Label { kind: Kind::Dispatch, id: record.id, number: 0 };
        let place = self.inner.append(label, &record, |pending, place| {
            pending.dispatches.insert(record.id, place);
        });
        let is_safe = self.inner.journal.is_written(place.end()).await;
        if is_safe { Ok(()) } else { Err(LedgerError::NoRoom) }
    }

    /// Keeps the state of a run; a later record of the same run replaces it. It is on its way at once, and safe when
    /// what this returns is done; so is all that was kept before.
    pub fn record_run(&self, record: RunRecord) -> impl Future<Output = ()> + use<> {
        let place = self.inner.append_run(record);
        let inner = Arc::clone(&self.inner);
        async move { inner.journal.written(place.end()).await }
    }

    /// The same where nobody waits to be told: it is safe a moment later.
    pub fn note_run(&self, record: RunRecord) {
        self.inner.append_run(record);
    }

    /// Keeps some events of a run. Those before them must have been kept before.
    pub fn record_run_events(&self, events: &RunEvents) {
        let (id, number) = (events.run_id, events.first_sequence);
        let label = Label { kind: Kind::RunEvents, id, number };
        self.inner.append(label, events, |pending, place| {
            pending.run_events.insert((id, number), place);
        });
    }

    /// Writes a run that has an idempotency key at once, unless another run of the caller's has the key. True if
    /// the run has it now.
    pub async fn claim_run(&self, mut record: RunRecord) -> Result<bool, LedgerError> {
        record.record = json_without_nul(record.record);
        Ok(store::claim_run(&self.inner.pool, &record).await?)
    }

    /// Waits until all that was kept before is written, for `patience` at most. False if it is not.
    pub async fn flush(&self, patience: Duration) -> bool {
        let end = self.inner.journal.end();
        let mut taken = self.inner.taken.subscribe();
        tokio::time::timeout(patience, taken.wait_for(|taken| *taken >= end)).await.is_ok()
    }

    /// Asks whichever instance runs it to end a run.
    pub async fn request_cancel(&self, run_id: Uuid) -> Result<(), LedgerError> {
        Ok(store::request_cancel(&self.inner.pool, run_id).await?)
    }

    /// Runs of this instance that another one was asked to cancel.
    pub async fn list_cancel_requests(&self) -> Result<Vec<Uuid>, LedgerError> {
        Ok(store::list_cancel_requests(&self.inner.pool, self.inner.instance_id).await?)
    }
}

impl Inner {
    fn append_run(&self, mut record: RunRecord) -> Place {
        record.record = json_without_nul(record.record);
        record.charges = record.charges.map(json_without_nul);
        let label = Label { kind: Kind::Run, id: record.id, number: 0 };
        self.append(label, &record, |pending, place| {
            pending.runs.insert(record.id, PendingRun::new(&record, place));
        })
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a record into the journal. `note` says where it can be found.
    fn append(
        &self,
        label: Label,
        record: &impl Serialize,
        note: impl FnOnce(&mut Pending, Place),
    ) -> Place {
        let row = serde_json::to_string(record).expect("records are plain");
        let frame = Frame { label, row: &row }.encode();
        // Held over both: nobody may forget the record before it is noted.
        let mut pending = self.pending();
        let place = self.journal.append(&frame);
        pending.count += 1;
        note(&mut pending, place);
        place
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
