//! The statements that write records.

use std::collections::BTreeMap;

use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

use super::{Row, Taken};
use crate::ledger::journal::Kind;
use crate::ledger::usage::store::{self as usage, Counting};

/// A statement takes rows up to about this size.
const STATEMENT_BYTES: usize = 64 * 1024;

/// Writes all of them or none, and with them up to where the journal is written. Many records are few statements: each
/// takes a JSON array of rows.
pub async fn write_batch(
    pool: &PgPool,
    rows: &[Row],
    taken: Option<Taken>,
) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    for rows in json_arrays(of_kind(rows, Kind::Dispatch)) {
        insert_dispatches(&mut transaction, &rows).await?;
    }
    // A statement changes a row once, and the last record of a run is the one that counts.
    let runs = rows.iter().filter(|row| row.label.kind == Kind::Run);
    let newest: BTreeMap<Uuid, &str> = runs.map(|row| (row.label.id, row.json.as_str())).collect();
    let ids: Vec<Uuid> = newest.keys().copied().collect();
    let has_mistaken = has_mistaken(&mut transaction, &ids).await?;
    let mut ended = Vec::new();
    for rows in json_arrays(newest.into_values()) {
        if has_mistaken {
            let mistaken = list_mistaken(&mut transaction, &rows).await?;
            usage::count(&mut transaction, &mistaken, Counting::Out).await?;
        }
        ended.extend(upsert_runs(&mut transaction, &rows).await?);
    }
    for rows in json_arrays(of_kind(rows, Kind::RunEvents)) {
        insert_run_events(&mut transaction, &rows).await?;
    }
    if let Some(taken) = taken {
        set_taken(&mut transaction, taken).await?;
    }
    // Last, because other instances wait for the rows of sums until the commit.
    usage::count(&mut transaction, &ended, Counting::In).await?;
    transaction.commit().await?;
    // Each connection of the pool would come to hold the largest statement that it has sent.
    connection.shrink_buffers();
    Ok(())
}

fn of_kind(rows: &[Row], kind: Kind) -> impl Iterator<Item = &str> {
    rows.iter().filter(move |row| row.label.kind == kind).map(|row| row.json.as_str())
}

/// JSON arrays of all rows, none of them much larger than a statement may be.
fn json_arrays<'a>(rows: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut arrays: Vec<String> = Vec::new();
    for row in rows {
        match arrays.last_mut() {
            Some(array) if array.len() + row.len() < STATEMENT_BYTES => {
                array.push(',');
                array.push_str(row);
            }
            _ => arrays.push(format!("[{row}")),
        }
    }
    for array in &mut arrays {
        array.push(']');
    }
    arrays
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

async fn insert_dispatches(connection: &mut PgConnection, rows: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO dispatches
            (id, key_id, outcome, agent_name, agent_revision, roster_revision, conversation_id, decision, input,
             created_at)
         SELECT id, key_id, outcome, agent_name, agent_revision, roster_revision, conversation_id, decision,
             input, created_at
         FROM json_to_recordset($1::text::json) AS new
            (id uuid, key_id uuid, outcome text, agent_name text, agent_revision integer,
             roster_revision bigint, conversation_id uuid, decision jsonb, input text, created_at timestamptz)
         ON CONFLICT (id) DO NOTHING",
        rows
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A run that has ended does not change any more, unless it was only taken to have: its instance was silent for long, and
/// knows better. It does not get its idempotency key back, which others may have by now.
/// Returns those that have ended with this.
async fn upsert_runs(connection: &mut PgConnection, rows: &str) -> Result<Vec<Uuid>, sqlx::Error> {
    let changed = sqlx::query_scalar!(
        "INSERT INTO runs
            (id, key_id, instance_id, dispatch_id, conversation_id, agent_name, agent_revision, agent_sha256, status,
             record, created_at, ended_at, idempotency_key, event_count, charges)
         SELECT id, key_id, instance_id, dispatch_id, conversation_id, agent_name, agent_revision, agent_sha256, status,
             record, created_at, ended_at, idempotency_key, event_count, charges
         FROM json_to_recordset($1::text::json) AS new
            (id uuid, key_id uuid, instance_id uuid, dispatch_id uuid, conversation_id uuid, agent_name text,
             agent_revision integer, agent_sha256 text, status text, record jsonb, created_at timestamptz,
             ended_at timestamptz, idempotency_key text, event_count integer, charges jsonb)
         ON CONFLICT (id) DO UPDATE SET
            status = excluded.status, record = excluded.record, ended_at = excluded.ended_at,
            idempotency_key = CASE WHEN runs.ended_at IS NULL THEN excluded.idempotency_key END,
            event_count = excluded.event_count, charges = excluded.charges
         WHERE runs.ended_at IS NULL OR (runs.event_count IS NULL AND excluded.event_count IS NOT NULL)
         RETURNING CASE WHEN ended_at IS NOT NULL THEN id END AS ended",
        rows
    )
    .fetch_all(connection)
    .await?;
    Ok(changed.into_iter().flatten().collect())
}

/// Whether any of the runs were taken to have ended, which is rare. None is from now on.
async fn has_mistaken(connection: &mut PgConnection, ids: &[Uuid]) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        r#"SELECT ended_at IS NOT NULL AND event_count IS NULL AS "is_mistaken!"
           FROM runs WHERE id = ANY($1) ORDER BY id FOR UPDATE"#,
        ids
    )
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().any(|is_mistaken| is_mistaken))
}

/// Those of the runs that end now and were taken to have ended before.
async fn list_mistaken(
    connection: &mut PgConnection,
    rows: &str,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT runs.id FROM json_to_recordset($1::text::json) AS new (id uuid, event_count integer)
         JOIN runs ON runs.id = new.id
         WHERE new.event_count IS NOT NULL AND runs.ended_at IS NOT NULL AND runs.event_count IS NULL
         FOR UPDATE OF runs",
        rows
    )
    .fetch_all(connection)
    .await
}

async fn insert_run_events(connection: &mut PgConnection, rows: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO run_events (run_id, first_sequence, events)
         SELECT run_id, first_sequence, events::json
         FROM json_to_recordset($1::text::json) AS new (run_id uuid, first_sequence integer, events text)
         ON CONFLICT (run_id, first_sequence) DO NOTHING",
        rows
    )
    .execute(connection)
    .await?;
    Ok(())
}
