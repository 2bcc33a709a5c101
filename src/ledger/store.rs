//! The queries about records and instances.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

use super::journal::Kind;
use super::record::{
    BY_CONVERSATION, BY_NAME, DecidedFilter, DecidedRequest, DispatchRecord, RunEvents, RunFilter,
    RunRecord,
};
use super::writer::{Row, Taken};

/// A statement takes rows up to about this size.
const STATEMENT_BYTES: usize = 256 * 1024;

/// Texts of decided requests that are held at once.
const LIST_BYTES: usize = 64 * 1024 * 1024;

/// Writes all of them or none, and with them up to where the journal is written. Many records are few statements: each
/// takes a JSON array of rows.
pub(super) async fn write_batch(
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
    for rows in json_arrays(newest.into_values()) {
        upsert_runs(&mut transaction, &rows).await?;
    }
    for rows in json_arrays(of_kind(rows, Kind::RunEvents)) {
        insert_run_events(&mut transaction, &rows).await?;
    }
    if let Some(taken) = taken {
        set_taken(&mut transaction, taken).await?;
    }
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
        "INSERT INTO journals (instance_id, taken) VALUES ($1, $2)
         ON CONFLICT (instance_id) DO UPDATE SET taken = excluded.taken",
        taken.instance_id,
        i64::try_from(taken.position).unwrap_or(i64::MAX),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Up to where the journal of an instance is written.
pub(super) async fn find_taken(pool: &PgPool, instance_id: Uuid) -> Result<u64, sqlx::Error> {
    let taken =
        sqlx::query_scalar!("SELECT taken FROM journals WHERE instance_id = $1", instance_id)
            .fetch_optional(pool)
            .await?;
    Ok(taken.and_then(|taken| u64::try_from(taken).ok()).unwrap_or(0))
}

async fn insert_dispatches(connection: &mut PgConnection, rows: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO dispatches
            (id, key_id, outcome, agent_name, agent_revision, roster_revision, conversation_id, decision, input,
             created_at)
         SELECT id, key_id, outcome, agent_name, agent_revision, roster_revision, conversation_id, decision::jsonb,
             input, created_at
         FROM json_to_recordset($1::text::json) AS new
            (id uuid, key_id uuid, outcome text, agent_name text, agent_revision integer,
             roster_revision bigint, conversation_id uuid, decision text, input text, created_at timestamptz)
         ON CONFLICT (id) DO NOTHING",
        rows
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A run that has ended does not change any more, unless it was only taken to have: its instance was silent for long, and
/// knows better. It does not get its idempotency key back, which others may have by now.
async fn upsert_runs(connection: &mut PgConnection, rows: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO runs
            (id, key_id, instance_id, dispatch_id, conversation_id, agent_name, agent_revision, agent_sha256, status,
             record, created_at, ended_at, idempotency_key, event_count)
         SELECT id, key_id, instance_id, dispatch_id, conversation_id, agent_name, agent_revision, agent_sha256, status,
             record::jsonb, created_at, ended_at, idempotency_key, event_count
         FROM json_to_recordset($1::text::json) AS new
            (id uuid, key_id uuid, instance_id uuid, dispatch_id uuid, conversation_id uuid, agent_name text,
             agent_revision integer, agent_sha256 text, status text, record text, created_at timestamptz,
             ended_at timestamptz, idempotency_key text, event_count integer)
         ON CONFLICT (id) DO UPDATE SET
            status = excluded.status, record = excluded.record, ended_at = excluded.ended_at,
            idempotency_key = CASE WHEN runs.ended_at IS NULL THEN excluded.idempotency_key END,
            event_count = excluded.event_count
         WHERE runs.ended_at IS NULL OR (runs.event_count IS NULL AND excluded.event_count IS NOT NULL)",
        rows
    )
    .execute(connection)
    .await?;
    Ok(())
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

/// Writes a run that has an idempotency key, unless another run of the caller's has it. True if it was written.
pub(super) async fn claim_run(pool: &PgPool, record: &RunRecord) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "INSERT INTO runs
            (id, key_id, instance_id, dispatch_id, conversation_id, agent_name, agent_revision, agent_sha256, status,
             record, created_at, idempotency_key, request_sha256)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb, $11, $12, $13)
         ON CONFLICT DO NOTHING",
        record.id,
        record.key_id,
        record.instance_id,
        record.dispatch_id,
        record.conversation_id,
        record.agent_name,
        record.agent_revision,
        record.agent_sha256,
        record.status,
        record.record,
        record.created_at,
        record.idempotency_key,
        record.request_sha256,
    )
    .execute(pool)
    .await?;
    Ok(result.rows_affected() == 1)
}

pub(super) async fn find_dispatch(
    pool: &PgPool,
    id: Uuid,
) -> Result<Option<DispatchRecord>, sqlx::Error> {
    sqlx::query_as!(
        DispatchRecord,
        r#"SELECT id, key_id, outcome, agent_name, agent_revision, roster_revision, conversation_id,
                decision::text AS "decision!", input, created_at
         FROM dispatches WHERE id = $1"#,
        id
    )
    .fetch_optional(pool)
    .await
}

/// Newest first. Rows end where their texts become too many to hold.
pub(super) async fn list_decided_requests(
    pool: &PgPool,
    filter: &DecidedFilter,
    limit: i64,
) -> Result<Vec<DecidedRequest>, sqlx::Error> {
    let mut rows = sqlx::query_as!(
        DecidedRequest,
        r#"SELECT id, input AS "input!", outcome, agent_name, decision->>'strategy' AS "strategy!",
                (decision->>'confidence')::float8 AS "confidence!"
         FROM dispatches
         WHERE id >= $1 AND input IS NOT NULL AND decision->>'strategy' <> $2
            AND (conversation_id IS NULL OR decision->>'strategy' <> $3)
            AND ($4::timestamptz IS NULL OR created_at >= $4) AND ($5::text IS NULL OR agent_name = $5)
         ORDER BY id DESC LIMIT $6"#,
        filter.since.map_or(Uuid::nil(), earliest_id),
        BY_NAME,
        BY_CONVERSATION,
        filter.since,
        filter.agent_name,
        limit
    )
    .fetch(pool);
    let (mut requests, mut bytes) = (Vec::new(), 0);
    while let Some(request) = rows.try_next().await? {
        bytes += request.input.len();
        if bytes > LIST_BYTES {
            break;
        }
        requests.push(request);
    }
    Ok(requests)
}

/// An id that is older than every one of a decision of that time: ids begin with the time in milliseconds, and
/// are made some of those before the decision.
fn earliest_id(since: DateTime<Utc>) -> Uuid {
    const SOME: i64 = 60_000;
    let millis = u128::try_from(since.timestamp_millis() - SOME).unwrap_or(0);
    Uuid::from_u128(millis << 80)
}

pub(super) async fn find_run(pool: &PgPool, id: Uuid) -> Result<Option<RunRecord>, sqlx::Error> {
    sqlx::query_as!(
        RunRecord,
        r#"SELECT id, key_id, instance_id, dispatch_id, conversation_id, agent_name, agent_revision, agent_sha256, status,
                record::text AS "record!", created_at, ended_at, idempotency_key, request_sha256,
                event_count
         FROM runs WHERE id = $1"#,
        id
    )
    .fetch_optional(pool)
    .await
}

pub(super) async fn find_run_of_request(
    pool: &PgPool,
    key_id: Uuid,
    idempotency_key: &str,
) -> Result<Option<RunRecord>, sqlx::Error> {
    sqlx::query_as!(
        RunRecord,
        r#"SELECT id, key_id, instance_id, dispatch_id, conversation_id, agent_name, agent_revision, agent_sha256, status,
                record::text AS "record!", created_at, ended_at, idempotency_key, request_sha256,
                event_count
         FROM runs WHERE key_id = $1 AND idempotency_key = $2"#,
        key_id,
        idempotency_key
    )
    .fetch_optional(pool)
    .await
}

/// Newest first, older than `before`. Texts that old rows hold are left out.
pub(super) async fn list_runs(
    pool: &PgPool,
    filter: &RunFilter,
    before: Uuid,
    limit: i64,
) -> Result<Vec<RunRecord>, sqlx::Error> {
    // Two queries, so that each has its index.
    if let Some(key_id) = filter.key_id {
        return sqlx::query_as!(
            RunRecord,
            r#"SELECT id, key_id, instance_id, dispatch_id, conversation_id, agent_name, agent_revision, agent_sha256, status,
                    (record - 'output' - 'tool_calls' - 'turns')::text AS "record!", created_at, ended_at, idempotency_key,
                    request_sha256, event_count
             FROM runs
             WHERE key_id = $1 AND id < $2 AND ($3::text IS NULL OR agent_name = $3)
                AND ($4::text IS NULL OR status = $4)
             ORDER BY id DESC LIMIT $5"#,
            key_id,
            before,
            filter.agent_name,
            filter.status,
            limit
        )
        .fetch_all(pool)
        .await;
    }
    sqlx::query_as!(
        RunRecord,
        r#"SELECT id, key_id, instance_id, dispatch_id, conversation_id, agent_name, agent_revision, agent_sha256, status,
                (record - 'output' - 'tool_calls' - 'turns')::text AS "record!", created_at, ended_at, idempotency_key,
                request_sha256, event_count
         FROM runs
         WHERE id < $1 AND ($2::text IS NULL OR agent_name = $2) AND ($3::text IS NULL OR status = $3)
         ORDER BY id DESC LIMIT $4"#,
        before,
        filter.agent_name,
        filter.status,
        limit
    )
    .fetch_all(pool)
    .await
}

/// The pieces with events behind `after`, in order.
pub(super) async fn list_run_events(
    pool: &PgPool,
    run_id: Uuid,
    after: i32,
) -> Result<Vec<RunEvents>, sqlx::Error> {
    sqlx::query_as!(
        RunEvents,
        r#"SELECT run_id, first_sequence, events::text AS "events!" FROM run_events
         WHERE run_id = $1 AND first_sequence + json_array_length(events) > $2 + 1
         ORDER BY first_sequence"#,
        run_id,
        after
    )
    .fetch_all(pool)
    .await
}

/// Takes the texts out of the records of a conversation's runs and decisions. What remains are figures.
pub(super) async fn forget_texts(
    connection: &mut PgConnection,
    conversation_id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM run_events USING runs WHERE runs.id = run_id AND conversation_id = $1",
        conversation_id
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE runs SET record = (record - 'output' - 'tool_calls' - 'turns' - 'metadata')
            #- '{error,provider_message}'
         WHERE conversation_id = $1",
        conversation_id
    )
    .execute(&mut *connection)
    .await?;
    // Reasons quote words of the request.
    sqlx::query!(
        "UPDATE dispatches SET input = NULL, decision = jsonb_set(decision, '{ranked}', '[]')
         WHERE conversation_id = $1",
        conversation_id
    )
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// Asks the instance that runs it to end a run, and wakes it.
pub(super) async fn request_cancel(pool: &PgPool, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH cancelled AS (
            UPDATE runs SET cancel_requested_at = now() WHERE id = $1 AND ended_at IS NULL RETURNING id
         )
         SELECT pg_notify('rolecall_changes', 'cancel') FROM cancelled",
        id
    )
    .fetch_optional(pool)
    .await?;
    Ok(())
}

/// Runs of this instance that another one was asked to cancel.
pub(super) async fn list_cancel_requests(
    pool: &PgPool,
    instance_id: Uuid,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT id FROM runs
         WHERE instance_id = $1 AND ended_at IS NULL AND cancel_requested_at IS NOT NULL",
        instance_id
    )
    .fetch_all(pool)
    .await
}

pub(super) async fn beat(pool: &PgPool, instance_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO instances (id) VALUES ($1)
         ON CONFLICT (id) DO UPDATE SET heartbeat_at = now()",
        instance_id
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Forgets an instance that has written all of its journal.
pub(super) async fn sign_off(pool: &PgPool, instance_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH signed_off AS (DELETE FROM instances WHERE id = $1)
         DELETE FROM journals WHERE instance_id = $1",
        instance_id
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Fails the unfinished runs of instances that are gone, and forgets those instances. Returns how many runs.
pub(super) async fn interrupt_lapsed(
    pool: &PgPool,
    own_id: Uuid,
    lease: Duration,
) -> Result<u64, sqlx::Error> {
    let lease_seconds = lease.as_secs_f64();
    let mut transaction = pool.begin().await?;
    sqlx::query!(
        "DELETE FROM instances WHERE id <> $1 AND heartbeat_at <= now() - make_interval(secs => $2)",
        own_id,
        lease_seconds
    )
    .execute(&mut *transaction)
    .await?;
    let result = sqlx::query!(
        r#"UPDATE runs SET status = 'failed', ended_at = now(), idempotency_key = NULL,
               record = record || jsonb_build_object('status', 'failed', 'ended_at', now(), 'error',
                   jsonb_build_object('code', 'interrupted',
                       'detail', 'the service was stopped while the run was under way'))
           WHERE ended_at IS NULL AND NOT EXISTS (SELECT FROM instances WHERE instances.id = instance_id)"#
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(result.rows_affected())
}
