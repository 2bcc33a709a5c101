//! The queries about instances and how far their journals are written.

use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

use crate::db;
use crate::ledger::usage::store::{self as usage, Counting};

/// Says that the journal of an instance belongs to this database.
pub async fn begin_journal(pool: &PgPool, instance_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("INSERT INTO journals (instance_id, taken) VALUES ($1, 0)", instance_id)
        .execute(pool)
        .await?;
    Ok(())
}

/// Up to where the journal of an instance is written; `None` if it belongs to another database.
pub async fn find_taken(pool: &PgPool, instance_id: Uuid) -> Result<Option<u64>, sqlx::Error> {
    let taken =
        sqlx::query_scalar!("SELECT taken FROM journals WHERE instance_id = $1", instance_id)
            .fetch_optional(pool)
            .await?;
    Ok(taken.map(|taken| u64::try_from(taken).unwrap_or(0)))
}

pub async fn beat(pool: &PgPool, instance_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO instances (id) VALUES ($1)
         ON CONFLICT (id) DO UPDATE SET heartbeat_at = now()",
        instance_id
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Forgets an instance that has written all of its journal, and which texts were deleted, as far as no other journal was
/// begun before.
pub async fn sign_off(pool: &PgPool, instance_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH signed_off AS (DELETE FROM instances WHERE id = $1),
         written AS (DELETE FROM journals WHERE instance_id = $1)
         DELETE FROM forgotten_texts WHERE NOT EXISTS (
            SELECT FROM journals WHERE instance_id <> $1 AND begun_at < forgotten_at)",
        instance_id
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Fails the unfinished runs of instances that are gone, and forgets those instances. Returns how many runs.
pub async fn interrupt_lapsed(
    pool: &PgPool,
    own_id: Uuid,
    lease: Duration,
) -> Result<usize, sqlx::Error> {
    let lease_seconds = lease.as_secs_f64();
    let mut transaction = db::begin(pool).await?;
    sqlx::query!(
        "DELETE FROM instances WHERE id <> $1 AND heartbeat_at <= now() - make_interval(secs => $2)",
        own_id,
        lease_seconds
    )
    .execute(&mut *transaction)
    .await?;
    // What such a run has used since its last turn is not known. It costs what the others have cost.
    let ended = sqlx::query_scalar!(
        r#"UPDATE runs SET status = 'failed', ended_at = now(), idempotency_key = NULL,
               record = (record::jsonb || jsonb_build_object('status', 'failed', 'ended_at', now(),
                   'cost_usd', known.cost_usd, 'error', jsonb_build_object('code', 'interrupted',
                       'detail', 'the service was stopped while the run was under way')))::json,
               charges = json_build_array(coalesce(record::jsonb -> 'usage', '{}') || jsonb_build_object(
                   'model', coalesce(record -> 'model' ->> 'resolved', 'unknown'), 'cost_usd', known.cost_usd))
           FROM (
               SELECT id, (
                   SELECT CASE WHEN count(*) = count(turn ->> 'cost_usd')
                       THEN coalesce(sum((turn ->> 'cost_usd')::numeric), 0) END
                   FROM json_array_elements(record -> 'turns') AS turn
               ) AS cost_usd
               FROM runs
               WHERE ended_at IS NULL AND NOT EXISTS (SELECT FROM instances WHERE instances.id = instance_id)
           ) AS known
           WHERE runs.id = known.id AND ended_at IS NULL
           RETURNING runs.id"#
    )
    .fetch_all(&mut *transaction)
    .await?;
    usage::count_rows(&mut transaction, &ended, Counting::In).await?;
    transaction.commit().await?;
    Ok(ended.len())
}
