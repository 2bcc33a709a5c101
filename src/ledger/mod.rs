//! The records of decisions and runs. They are kept in a journal, which is on disk before anybody is told of what they say,
//! and written to PostgreSQL from there, in batches.
//!
//! What is not written yet is found in the journal, so that a caller reads its own writes. Record types are plain;
//! their meaning belongs to `dispatch` and `conversation`.

mod claim;
mod error;
mod forgotten;
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

use std::cell::Cell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use error::LedgerError;
pub use forgotten::forget_texts;
pub use nul::{json_text, plain_text};
pub use record::{
    Charge, DecidedFilter, DecidedRequest, DispatchRecord, RunEvents, RunFilter, RunRecord,
};
pub use usage::{UsageFilter, UsageGroups, UsageSum};

use journal::{Frame, Journal, Kind, Label, Place};
use pending::{Pending, PendingRun};
use writer::Alarm;

use crate::db::{ANSWER_PATIENCE, in_time};

/// A thread does not keep room for larger frames.
const KEPT_FRAME_BYTES: usize = 16 * 1024;

thread_local! {
    /// Room for the next frame that the thread writes.
    static FRAME: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

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
    alarm: Arc<Alarm>,
    closing: CancellationToken,
    writer: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The writer waits without it.
        self.closing.cancel();
    }
}

/// What waits to be written, as of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Backlog {
    /// Records that the database has not taken yet.
    pub waiting: usize,
    pub journal_bytes: u64,
    /// How large the journal may become.
    pub journal_limit_bytes: u64,
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
        Backlog {
            waiting,
            journal_bytes: journal.size_bytes(),
            journal_limit_bytes: journal.limit_bytes(),
            has_room: journal.has_room(),
        }
    }

    /// Keeps a decision.
    pub fn note_dispatch(&self, record: &DispatchRecord) {
        let label = Label { kind: Kind::Dispatch, id: record.id, number: 0 };
        self.inner.append(label, record, |pending, place| {
            pending.dispatches.insert(record.id, place);
        });
    }

    /// Keeps the state of a run; a later one of the same run replaces it.
    pub fn note_run(&self, record: &RunRecord) {
        let label = Label { kind: Kind::Run, id: record.id, number: 0 };
        self.inner.append(label, record, |pending, place| {
            pending.runs.insert(record.id, PendingRun::new(record, place));
        });
    }

    /// Keeps some events of a run. Those before them must have been kept before.
    pub fn note_run_events(&self, events: &RunEvents) {
        let (id, number) = (events.run_id, events.first_sequence);
        let label = Label { kind: Kind::RunEvents, id, number };
        self.inner.append(label, events, |pending, place| {
            pending.run_events.insert((id, number), place);
        });
    }

    /// Waits until all that was kept before is safe, however long the disk takes.
    pub async fn secure(&self) {
        let journal = &self.inner.journal;
        journal.written(journal.end()).await;
    }

    /// The same for what need not be told.
    ///
    /// # Errors
    /// If the disk refuses it for now. It is kept later all the same.
    pub async fn try_secure(&self) -> Result<(), LedgerError> {
        let journal = &self.inner.journal;
        if journal.is_written(journal.end()).await { Ok(()) } else { Err(LedgerError::NoRoom) }
    }

    /// Waits until all that was kept before is written, for `patience` at most. False if it is not.
    pub async fn flush(&self, patience: Duration) -> bool {
        let end = self.inner.journal.end();
        let mut taken = self.inner.taken.subscribe();
        if *taken.borrow() < end {
            self.inner.alarm.wanted.notify_one();
        }
        tokio::time::timeout(patience, taken.wait_for(|taken| *taken >= end)).await.is_ok()
    }

    /// Asks whichever instance runs it to end a run.
    pub async fn request_cancel(&self, run_id: Uuid) -> Result<(), LedgerError> {
        Ok(store::request_cancel(&self.inner.pool, run_id).await?)
    }

    /// Runs of this instance that another one was asked to cancel.
    pub async fn list_cancel_requests(&self) -> Result<Vec<Uuid>, LedgerError> {
        let asking = store::list_cancel_requests(&self.inner.pool, self.inner.instance_id);
        Ok(in_time(ANSWER_PATIENCE, asking).await?)
    }
}

impl Inner {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a record into the journal. `note` says where it can be found.
    fn append(
        &self,
        label: Label,
        record: &impl Serialize,
        note: impl FnOnce(&mut Pending, Place),
    ) {
        let frame = Frame::write_into(FRAME.take(), label, record);
        // Held over both: nobody may forget the record before it is noted.
        let mut pending = self.pending();
        let place = self.journal.append(&frame);
        pending.count += 1;
        note(&mut pending, place);
        drop(pending);
        if frame.capacity() <= KEPT_FRAME_BYTES {
            FRAME.set(frame);
        }
        self.alarm.appended.notify_one();
    }
}

/// What all rows have for one column: a statement that writes many is given an array for each.
fn column<'a, R, T>(rows: &[&'a R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(|row| value(row)).collect()
}
