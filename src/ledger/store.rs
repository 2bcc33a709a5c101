//! The queries that find records, and those about single runs.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::record::{
    BY_CONVERSATION, BY_NAME, Charge, DecidedFilter, DecidedRequest, DispatchRecord, RunEvents,
    RunFilter, RunRecord,
};

/// Asks for runs, of which `$record` is what is read of their JSON. What is written and not read again is left out.
macro_rules! query_runs {
    ($record:tt, $behind:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            RunRecord,
            "SELECT id, key_id, instance_id, dispatch_id, conversation_id, agent_name, agent_revision, agent_sha256, status, "
                + $record
                + r#" AS "record!", created_at, ended_at, idempotency_key, request_sha256, event_count,
                NULL AS "charges: Json<Vec<Charge>>", NULL::bigint AS spent_nano_usd
                FROM runs "#
                + $behind
            $(, $argument)*
        )
    };
}

/// Texts of decided requests that are held at once.
const LIST_BYTES: usize = 64 * 1024 * 1024;

/// Writes a run that has an idempotency key, unless another run of the caller's has it. True if it was written.
pub(super) async fn claim_run(
    connection: &mut PgConnection,
    record: &RunRecord,
) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "INSERT INTO runs
            (id, key_id, instance_id, dispatch_id, conversation_id, agent_name, agent_revision, agent_sha256, status,
             record, created_at, idempotency_key, request_sha256)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::json, $11, $12, $13)
         ON CONFLICT DO NOTHING",
        record.id,
        record.key_id,
        record.instance_id,
        record.dispatch_id,
        record.conversation_id,
        record.agent_name,
        record.agent_revision,
        record.agent_sha256,
        &*record.status,
        record.record,
        record.created_at,
        record.idempotency_key,
        record.request_sha256,
    )
    .execute(connection)
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
    query_runs!("record::text", "WHERE id = $1", id).fetch_optional(pool).await
}

pub(super) async fn find_run_of_request(
    pool: &PgPool,
    key_id: Uuid,
    idempotency_key: &str,
) -> Result<Option<RunRecord>, sqlx::Error> {
    query_runs!(
        "record::text",
        "WHERE key_id = $1 AND idempotency_key = $2",
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
        return query_runs!(
            "(record::jsonb - 'output' - 'tool_calls' - 'turns')::text",
            "WHERE key_id = $1 AND id < $2 AND ($3::text IS NULL OR agent_name = $3)
                AND ($4::text IS NULL OR status = $4)
             ORDER BY id DESC LIMIT $5",
            key_id,
            before,
            filter.agent_name,
            filter.status,
            limit
        )
        .fetch_all(pool)
        .await;
    }
    query_runs!(
        "(record::jsonb - 'output' - 'tool_calls' - 'turns')::text",
        "WHERE id < $1 AND ($2::text IS NULL OR agent_name = $2) AND ($3::text IS NULL OR status = $3)
         ORDER BY id DESC LIMIT $4",
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
