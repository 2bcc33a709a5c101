//! The statements that write records.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

use super::{Record, Taken};
use crate::ledger::column;
use crate::ledger::nul::json_text;
use crate::ledger::record::{DispatchRecord, RunEvents, RunRecord};
use crate::ledger::usage::store::{self as usage, Counting};

/// A statement takes texts up to about this size.
const STATEMENT_BYTES: usize = 256 * 1024;

/// Writes all of them or none, and with them up to where the journal is written. Many records are few statements: each
/// takes an array for each column.
pub async fn write_batch(
    pool: &PgPool,
    records: &[Record],
    taken: Option<Taken>,
) -> Result<(), sqlx::Error> {
    let (mut dispatches, mut run_events) = (Vec::new(), Vec::new());
    // A statement changes a row once, and the last record of a run is the one that counts.
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
    let runs: Vec<&RunRecord> = runs.into_values().collect();
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    let length = |record: &DispatchRecord| {
        record.decision.len() + record.input.as_ref().map_or(0, String::len)
    };
    for dispatches in pieces(&dispatches, length) {
        insert_dispatches(&mut transaction, dispatches).await?;
    }
    let mistaken = list_mistaken(&mut transaction, &runs).await?;
    usage::count_rows(&mut transaction, &mistaken, Counting::Out).await?;
    let mut ended = HashSet::new();
    for runs in pieces(&runs, |record| record.record.len()) {
        ended.extend(upsert_runs(&mut transaction, runs).await?);
    }
    for run_events in pieces(&run_events, |record| record.events.len()) {
        insert_run_events(&mut transaction, run_events).await?;
    }
    if let Some(taken) = taken {
        set_taken(&mut transaction, taken).await?;
    }
    // Last, because other instances wait for the rows of sums until the commit.
    let ended = runs.into_iter().filter(|record| ended.contains(&record.id));
    usage::count_records(&mut transaction, ended).await?;
    transaction.commit().await?;
    // Each connection of the pool would come to hold the largest statement that it has sent.
    connection.shrink_buffers();
    Ok(())
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

async fn insert_dispatches(
    connection: &mut PgConnection,
    records: &[&DispatchRecord],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO dispatches
            (id, key_id, outcome, agent_name, agent_revision, roster_revision, conversation_id, decision, input,
             created_at)
         SELECT id, key_id, outcome, agent_name, agent_revision, roster_revision, conversation_id, decision::json,
             input, created_at
         FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::integer[], $6::bigint[], $7::uuid[],
             $8::text[], $9::text[], $10::timestamptz[]) AS new
            (id, key_id, outcome, agent_name, agent_revision, roster_revision, conversation_id, decision, input,
             created_at)
         ON CONFLICT (id) DO NOTHING",
        &column(records, |record| record.id),
        &column(records, |record| record.key_id),
        &column(records, |record| &*record.outcome) as &[&str],
        &column(records, |record| record.agent_name.as_deref()) as &[Option<&str>],
        &column(records, |record| record.agent_revision) as &[Option<i32>],
        &column(records, |record| record.roster_revision),
        &column(records, |record| record.conversation_id) as &[Option<Uuid>],
        &column(records, |record| &*record.decision) as &[&str],
        &column(records, |record| record.input.as_deref()) as &[Option<&str>],
        &column(records, |record| record.created_at),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A run that has ended does not change any more, unless it was only taken to have: its instance was silent for long, and
/// knows better. It does not get its idempotency key back, which others may have by now.
/// Returns those that have ended with this.
async fn upsert_runs(
    connection: &mut PgConnection,
    records: &[&RunRecord],
) -> Result<Vec<Uuid>, sqlx::Error> {
    let changed = sqlx::query_scalar!(
        "INSERT INTO runs
            (id, key_id, instance_id, dispatch_id, conversation_id, agent_name, agent_revision, agent_sha256, status,
             record, created_at, ended_at, idempotency_key, event_count, charges)
         SELECT id, key_id, instance_id, dispatch_id, conversation_id, agent_name, agent_revision, agent_sha256, status,
             record::json, created_at, ended_at, idempotency_key, event_count, charges::json
         FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::integer[], $8::text[],
             $9::text[], $10::text[], $11::timestamptz[], $12::timestamptz[], $13::text[], $14::integer[], $15::text[])
            AS new
            (id, key_id, instance_id, dispatch_id, conversation_id, agent_name, agent_revision, agent_sha256, status,
             record, created_at, ended_at, idempotency_key, event_count, charges)
         ON CONFLICT (id) DO UPDATE SET
            status = excluded.status, record = excluded.record, ended_at = excluded.ended_at,
            idempotency_key = CASE WHEN runs.ended_at IS NULL THEN excluded.idempotency_key END,
            event_count = excluded.event_count, charges = excluded.charges
         WHERE runs.ended_at IS NULL OR (runs.event_count IS NULL AND excluded.event_count IS NOT NULL)
         RETURNING CASE WHEN ended_at IS NOT NULL THEN id END AS ended",
        &column(records, |record| record.id),
        &column(records, |record| record.key_id),
        &column(records, |record| record.instance_id),
        &column(records, |record| record.dispatch_id),
        &column(records, |record| record.conversation_id) as &[Option<Uuid>],
        &column(records, |record| &*record.agent_name) as &[&str],
        &column(records, |record| record.agent_revision),
        &column(records, |record| &*record.agent_sha256) as &[&str],
        &column(records, |record| &*record.status) as &[&str],
        &column(records, |record| &*record.record) as &[&str],
        &column(records, |record| record.created_at),
        &column(records, |record| record.ended_at) as &[Option<DateTime<Utc>>],
        &column(records, |record| record.idempotency_key.as_deref()) as &[Option<&str>],
        &column(records, |record| record.event_count) as &[Option<i32>],
        &column(records, |record| record.charges.as_ref().map(json_text)) as &[Option<String>],
    )
    .fetch_all(connection)
    .await?;
    Ok(changed.into_iter().flatten().collect())
}

/// Those of the runs that end now and were taken to have ended before, which is rare. None is from now on.
async fn list_mistaken(
    connection: &mut PgConnection,
    records: &[&RunRecord],
) -> Result<Vec<Uuid>, sqlx::Error> {
    let ending = records.iter().filter(|record| record.event_count.is_some());
    let ids: Vec<Uuid> = ending.map(|record| record.id).collect();
    let found = sqlx::query!(
        r#"SELECT id, ended_at IS NOT NULL AND event_count IS NULL AS "is_mistaken!"
           FROM runs WHERE id = ANY($1) ORDER BY id FOR UPDATE"#,
        &ids
    )
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().filter(|run| run.is_mistaken).map(|run| run.id).collect())
}

async fn insert_run_events(
    connection: &mut PgConnection,
    records: &[&RunEvents],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO run_events (run_id, first_sequence, events)
         SELECT run_id, first_sequence, events::json
         FROM unnest($1::uuid[], $2::integer[], $3::text[]) AS new (run_id, first_sequence, events)
         ON CONFLICT (run_id, first_sequence) DO NOTHING",
        &column(records, |record| record.run_id),
        &column(records, |record| record.first_sequence),
        &column(records, |record| &*record.events) as &[&str],
    )
    .execute(connection)
    .await?;
    Ok(())
}
