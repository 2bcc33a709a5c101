//! The statements that write records.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

use super::copy::{copy_dispatches, copy_run_events, copy_runs};
use super::{Record, Taken};
use crate::db;
use crate::ledger::nul::json_text;
use crate::ledger::record::{DispatchRecord, RunRecord};
use crate::ledger::usage::spending;
use crate::ledger::usage::store::{self as usage, Counting};
use crate::ledger::{column, forgotten};

/// A statement takes texts up to about this size.
const STATEMENT_BYTES: usize = 256 * 1024;

/// Writes all of them or none, and with them up to where the journal is written. Decisions and events must be new: a unique
/// violation says that one is not. Texts that were deleted before are left out.
pub async fn write_batch(
    pool: &PgPool,
    records: &[Record<'_>],
    taken: Option<Taken>,
) -> Result<(), sqlx::Error> {
    let (mut dispatches, mut run_events) = (Vec::new(), Vec::new());
    // The last record of a run is the one that counts.
    let mut runs = BTreeMap::new();
    for record in records {
        match record {
            Record::Dispatch(record) => dispatches.push(record),
            Record::Run(record) => {
                runs.insert(record.id, record);
            }
            Record::RunEvents(record) => run_events.push(record),
        }
    }
    let runs: Vec<&RunRecord<&str>> = runs.into_values().collect();
    let mut transaction = db::begin(pool).await?;
    let stored_ids = stored_ids(&runs, &dispatches);
    forgotten::lock(&mut transaction, &stored_ids).await?;
    copy_dispatches(&mut transaction, &dispatches).await?;
    let ended = write_runs(&mut transaction, &runs).await?;
    copy_run_events(&mut transaction, &run_events).await?;
    // Events mostly come with their run, which tells its conversation.
    let events_alone = run_events.iter().map(|events| events.run_id);
    let events_alone: Vec<Uuid> =
        events_alone.filter(|id| runs.iter().all(|run| run.id != *id)).collect();
    forgotten::forget_again(&mut transaction, &stored_ids, &events_alone).await?;
    if let Some(taken) = taken {
        set_taken(&mut transaction, taken).await?;
    }
    spending::add_records(&mut transaction, &ended).await?;
    // Last, because other instances wait for the rows of sums until the commit.
    usage::count_records(&mut transaction, &ended).await?;
    // Each connection of the pool would come to hold the largest statement that it has sent.
    transaction.shrink_buffers();
    transaction.commit().await
}

/// The conversations that the records are of, and the runs in them.
fn stored_ids(runs: &[&RunRecord<&str>], dispatches: &[&DispatchRecord<&str>]) -> Vec<Uuid> {
    let of_runs = runs.iter().filter_map(|run| Some([run.conversation_id?, run.id]));
    let of_dispatches = dispatches.iter().filter_map(|dispatch| dispatch.conversation_id);
    of_runs.flatten().chain(of_dispatches).collect()
}

/// Returns those that have ended with this.
async fn write_runs<'a>(
    connection: &mut PgConnection,
    records: &[&'a RunRecord<&'a str>],
) -> Result<Vec<&'a RunRecord<&'a str>>, sqlx::Error> {
    let on_record = find_on_record(connection, records).await?;
    let (begun, new): (Vec<_>, Vec<_>) =
        records.iter().copied().partition(|record| on_record.contains_key(&record.id));
    copy_runs(connection, &new).await?;
    // Rare: none is mistaken from now on.
    let is_mistaken =
        |record: &&&RunRecord<&str>| record.event_count.is_some() && on_record[&record.id];
    let mistaken: Vec<Uuid> = begun.iter().filter(is_mistaken).map(|record| record.id).collect();
    usage::count_rows(connection, &mistaken, Counting::Out).await?;
    let mut changed = HashSet::new();
    for begun in pieces(&begun, |record| record.record.len()) {
        changed.extend(update_runs(connection, begun).await?);
    }
    let begun = begun.into_iter().filter(|record| changed.contains(&record.id));
    Ok(new.into_iter().chain(begun).filter(|record| record.ended_at.is_some()).collect())
}

/// All records, in pieces that are none of them much larger than a statement may be.
fn pieces<'a, T>(
    records: &'a [&'a T],
    length: impl Fn(&T) -> usize,
) -> impl Iterator<Item = &'a [&'a T]> {
    let mut bytes = 0;
    records.chunk_by(move |one, _| {
        bytes += length(one);
        let has_room = bytes < STATEMENT_BYTES;
        if !has_room {
            bytes = 0;
        }
        has_room
    })
}

async fn set_taken(connection: &mut PgConnection, taken: Taken) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE journals SET taken = $2 WHERE instance_id = $1",
        taken.instance_id,
        i64::try_from(taken.position).unwrap_or(i64::MAX),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Those of the runs that PostgreSQL has, and whether each was taken to have ended.
async fn find_on_record(
    connection: &mut PgConnection,
    records: &[&RunRecord<&str>],
) -> Result<HashMap<Uuid, bool>, sqlx::Error> {
    let found = sqlx::query!(
        r#"SELECT id, ended_at IS NOT NULL AND event_count IS NULL AS "is_taken_to_have_ended!"
           FROM runs WHERE id = ANY($1) ORDER BY id FOR UPDATE"#,
        &column(records, |record| record.id)
    )
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().map(|run| (run.id, run.is_taken_to_have_ended)).collect())
}

/// A run that has ended does not change any more, unless it was only taken to have: its instance was silent for long, and
/// knows better. It does not get its idempotency key back, which others may have by now.
/// Returns those that have changed.
async fn update_runs(
    connection: &mut PgConnection,
    records: &[&RunRecord<&str>],
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "UPDATE runs SET
            status = new.status, record = new.record::json, ended_at = new.ended_at,
            idempotency_key = CASE WHEN runs.ended_at IS NULL THEN new.idempotency_key END,
            event_count = new.event_count, charges = new.charges::json
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::integer[], $7::text[])
            AS new (id, status, record, ended_at, idempotency_key, event_count, charges)
         WHERE runs.id = new.id
            AND (runs.ended_at IS NULL OR (runs.event_count IS NULL AND new.event_count IS NOT NULL))
         RETURNING runs.id",
        &column(records, |record| record.id),
        &column(records, |record| &*record.status) as &[&str],
        &column(records, |record| record.record) as &[&str],
        &column(records, |record| record.ended_at) as &[Option<DateTime<Utc>>],
        &column(records, |record| record.idempotency_key) as &[Option<&str>],
        &column(records, |record| record.event_count) as &[Option<i32>],
        &column(records, |record| record.charges.as_ref().map(json_text)) as &[Option<String>],
    )
    .fetch_all(connection)
    .await
}
