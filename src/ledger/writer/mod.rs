//! Out of a journal and into PostgreSQL: many records are one transaction.

mod copy;
mod store;

use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::journal::{Frame, Frames, Kind, Place};
use super::record::{DispatchRecord, RunEvents, RunRecord};
use super::{Inner, LedgerError};
use crate::db::in_time;
use crate::telemetry::causes;

const BATCH_RECORDS: usize = 500;
const BATCH_BYTES: usize = 1024 * 1024;

/// How long records are waited for that are written together. Other instances see none of them meanwhile.
const GATHER_TIME: Duration = Duration::from_millis(100);

const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How long a batch may take: it takes milliseconds where the database is well.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// A record to be written.
#[derive(Debug)]
pub(super) enum Record<'a> {
    Dispatch(DispatchRecord<&'a str>),
    Run(RunRecord<&'a str>),
    RunEvents(RunEvents<&'a str>),
}

impl<'a> Record<'a> {
    /// `None` if it cannot be read: it is lost then.
    pub fn read(frame: Frame<'a>) -> Option<Self> {
        let read = match frame.label.kind {
            Kind::Dispatch => frame.read().map(Self::Dispatch),
            Kind::Run => frame.read().map(Self::Run),
            Kind::RunEvents => frame.read().map(Self::RunEvents),
        };
        read.inspect_err(|error| {
            tracing::error!(%error, id = %frame.label.id, "a record of the journal cannot be read, and is lost");
        })
        .ok()
    }

    fn id(&self) -> Uuid {
        match self {
            Self::Dispatch(record) => record.id,
            Self::Run(record) => record.id,
            Self::RunEvents(record) => record.run_id,
        }
    }

    /// Whether it was refused because it has been written before, which the database's answer to was lost. A run on record
    /// is no reason to refuse it.
    fn is_there_already(&self, error: &sqlx::Error) -> bool {
        let is_written_once = matches!(self, Self::Dispatch(_) | Self::RunEvents(_));
        is_written_once
            && error
                .as_database_error()
                .is_some_and(sqlx::error::DatabaseError::is_unique_violation)
    }
}

/// Up to where a journal is written with a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub instance_id: Uuid,
    pub position: u64,
}

/// What wakes the writer.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    /// There are records.
    pub appended: Notify,
    /// Somebody waits until they are written.
    pub wanted: Notify,
}

/// Writes what comes into this instance's journal, until that is closed and empty.
pub(super) async fn write(ledger: Weak<Inner>, alarm: Arc<Alarm>, closing: CancellationToken) {
    let mut position = 0;
    loop {
        tokio::select! {
            () = alarm.appended.notified() => {}
            () = closing.cancelled() => {}
        }
        tokio::select! {
            () = tokio::time::sleep(GATHER_TIME) => {}
            () = alarm.wanted.notified() => {}
            () = closing.cancelled() => {}
        }
        let Some(ledger) = ledger.upgrade() else { return };
        // What is on a disk that is full must not wait for what is not: it leaves once it is taken.
        let is_all_written = ledger.journal.is_written(ledger.journal.end()).await;
        let end = ledger.journal.written_end();
        let taken = ledger.take_until(&mut position, end).await;
        if let Err(error) = &taken {
            let records = ledger.pending().count;
            tracing::warn!(
                error = causes(error),
                records,
                "records wait: the database does not take them"
            );
            // What it has not taken may wait for long.
            ledger.journal.sync().await;
        }
        if taken.is_err() || !is_all_written {
            drop(ledger);
            alarm.appended.notify_one();
            tokio::time::sleep(RETRY_PAUSE).await;
        } else if closing.is_cancelled() && position == ledger.journal.end() {
            return;
        }
    }
}

impl Inner {
    /// Writes all records up to `end`, from a position of the journal on that comes along.
    async fn take_until(&self, position: &mut u64, end: u64) -> Result<(), LedgerError> {
        while *position < end {
            *position = self.take(*position).await?;
        }
        Ok(())
    }

    /// Writes some records from a position of the journal on, and returns where the next one stands.
    async fn take(&self, position: u64) -> Result<u64, LedgerError> {
        let bytes = self.journal.read_from(position, BATCH_BYTES).await?;
        let written = self.journal.written_end();
        let mut frames = Frames::of(&bytes);
        let (mut read, mut records, mut start) = (Vec::new(), Vec::new(), position);
        while read.len() < BATCH_RECORDS
            && let Some(frame) = frames.next()
        {
            let end = position + frames.position as u64;
            let length = usize::try_from(end - start).expect("it was read");
            let place = Place { position: start, length };
            if !self.pending().is_superseded(frame.label, place, written) {
                records.extend(Record::read(frame));
            }
            read.push((frame.label, place));
            start = end;
        }
        if read.is_empty() && !bytes.is_empty() {
            tracing::error!(
                bytes = bytes.len(),
                "a part of the journal cannot be read, and is lost"
            );
            start += bytes.len() as u64;
        }
        let taken = Taken { instance_id: self.instance_id, position: start };
        in_time(WRITE_PATIENCE, write_records(&self.pool, &records, taken)).await?;
        let mut pending = self.pending();
        for (label, place) in read {
            pending.forget(label, place);
        }
        drop(pending);
        self.taken.send_replace(start);
        self.journal.let_go(start);
        Ok(start)
    }
}

/// Writes records, but for those that the database will not take however often they are sent: these must not hold up the
/// others.
pub(super) async fn write_records(
    pool: &PgPool,
    records: &[Record<'_>],
    taken: Taken,
) -> Result<(), sqlx::Error> {
    match store::write_batch(pool, records, Some(taken)).await {
        Err(error) if is_refused(&error) => {}
        written => return written,
    }
    for record in records {
        match store::write_batch(pool, std::slice::from_ref(record), None).await {
            Err(error) if record.is_there_already(&error) => {}
            Err(error) if is_refused(&error) => {
                tracing::error!(error = causes(&error), id = %record.id(), "the database refuses a record, which is lost");
            }
            written => written?,
        }
    }
    store::write_batch(pool, &[], Some(taken)).await
}

/// Whether the database has answered, and it is the data that it does not like.
fn is_refused(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| ["22", "23", "54"].iter().any(|class| code.starts_with(class)))
}
