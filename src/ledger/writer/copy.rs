//! Rows that are new, by COPY: it costs the database half of what INSERT does. A row that is there already is refused, and
//! all others with it.

use sqlx::PgConnection;
use sqlx::encode::{Encode, IsNull};
use sqlx::postgres::{PgArgumentBuffer, Postgres};

use crate::ledger::nul::json_text;
use crate::ledger::record::{DispatchRecord, RunEvents, RunRecord};

/// Rows are sent in pieces of about this size.
const PIECE_BYTES: usize = 64 * 1024;

/// The signature, no flags, and no extension of the header. What the format is: "Binary Format" in
/// <https://www.postgresql.org/docs/current/sql-copy.html>.
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// A row of -1 columns ends them.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

pub async fn copy_dispatches(
    connection: &mut PgConnection,
    records: &[&DispatchRecord<&str>],
) -> Result<(), sqlx::Error> {
    let statement = "COPY dispatches
            (id, key_id, outcome, agent_name, agent_revision, roster_revision, conversation_id, decision, input,
             created_at)
         FROM STDIN (FORMAT binary)";
    copy(connection, statement, records, |row, record| {
        row.put(record.id)?;
        row.put(record.key_id)?;
        row.put(&*record.outcome)?;
        row.put(record.agent_name)?;
        row.put(record.agent_revision)?;
        row.put(record.roster_revision)?;
        row.put(record.conversation_id)?;
        row.put(record.decision)?;
        row.put(record.input)?;
        row.put(record.created_at)
    })
    .await
}

pub async fn copy_runs(
    connection: &mut PgConnection,
    records: &[&RunRecord<&str>],
) -> Result<(), sqlx::Error> {
    let statement = "COPY runs
            (id, key_id, instance_id, dispatch_id, conversation_id, agent_name, agent_revision, agent_sha256, status,
             record, created_at, ended_at, idempotency_key, event_count, charges)
         FROM STDIN (FORMAT binary)";
    copy(connection, statement, records, |row, record| {
        row.put(record.id)?;
        row.put(record.key_id)?;
        row.put(record.instance_id)?;
        row.put(record.dispatch_id)?;
        row.put(record.conversation_id)?;
        row.put(record.agent_name)?;
        row.put(record.agent_revision)?;
        row.put(record.agent_sha256)?;
        row.put(&*record.status)?;
        row.put(record.record)?;
        row.put(record.created_at)?;
        row.put(record.ended_at)?;
        row.put(record.idempotency_key)?;
        row.put(record.event_count)?;
        row.put(record.charges.as_ref().map(json_text))
    })
    .await
}

pub async fn copy_run_events(
    connection: &mut PgConnection,
    records: &[&RunEvents<&str>],
) -> Result<(), sqlx::Error> {
    let statement = "COPY run_events (run_id, first_sequence, events) FROM STDIN (FORMAT binary)";
    copy(connection, statement, records, |row, record| {
        row.put(record.run_id)?;
        row.put(record.first_sequence)?;
        row.put(record.events)
    })
    .await
}

async fn copy<R>(
    connection: &mut PgConnection,
    statement: &'static str,
    records: &[&R],
    put: impl Fn(&mut Row, &R) -> Result<(), sqlx::Error>,
) -> Result<(), sqlx::Error> {
    if records.is_empty() {
        return Ok(());
    }
    let mut copying = connection.copy_in_raw(statement).await?;
    let mut row = Row::default();
    row.bytes.extend_from_slice(HEADER);
    for record in records {
        row.begin();
        put(&mut row, record)?;
        row.end();
        if row.bytes.len() >= PIECE_BYTES {
            copying.send(&**row.bytes).await?;
            row.bytes.clear();
        }
    }
    row.bytes.extend_from_slice(&TRAILER);
    copying.send(&**row.bytes).await?;
    copying.finish().await?;
    Ok(())
}

/// A row behind others that wait to be sent.
#[derive(Default)]
struct Row {
    bytes: PgArgumentBuffer,
    start: usize,
    columns: i16,
}

impl Row {
    fn begin(&mut self) {
        self.start = self.bytes.len();
        self.columns = 0;
        self.bytes.extend_from_slice(&[0; size_of::<i16>()]);
    }

    /// Adds the next column: a text, or what the column is of. JSON is a text.
    fn put<'v>(&mut self, value: impl Encode<'v, Postgres>) -> Result<(), sqlx::Error> {
        let length_at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; size_of::<i32>()]);
        let value_at = self.bytes.len();
        let length = match value.encode(&mut self.bytes).map_err(sqlx::Error::Encode)? {
            IsNull::Yes => -1,
            IsNull::No => i32::try_from(self.bytes.len() - value_at)
                .map_err(|error| sqlx::Error::Encode(error.into()))?,
        };
        self.bytes[length_at..value_at].copy_from_slice(&length.to_be_bytes());
        self.columns += 1;
        Ok(())
    }

    fn end(&mut self) {
        let columns = self.columns.to_be_bytes();
        self.bytes[self.start..self.start + columns.len()].copy_from_slice(&columns);
    }
}
