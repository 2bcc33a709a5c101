//! The queries that remove old records.

use sqlx::PgPool;

use crate::db;

/// The advisory lock of who removes old records; the number is arbitrary and must stay.
const LOCK: i64 = 0x6f6c_6420_7265_636f;

const BATCH_ROWS: i64 = 1_000;

/// Removes some of each kind, and returns how many; 0 as well if another instance is at it.
pub async fn remove_batch(pool: &PgPool, days: i32) -> Result<u64, sqlx::Error> {
    let mut transaction = db::begin(pool).await?;
    let is_ours =
        sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock($1) AS "is_ours!""#, LOCK)
            .fetch_one(&mut *transaction)
            .await?;
    if !is_ours {
        return Ok(0);
    }
    let runs = sqlx::query!(
        "WITH old AS (
            SELECT id FROM runs WHERE ended_at < now() - make_interval(days => $1) LIMIT $2
         ), events AS (
            DELETE FROM run_events USING old WHERE run_id = old.id
         )
         DELETE FROM runs USING old WHERE runs.id = old.id",
        days,
        BATCH_ROWS,
    )
    .execute(&mut *transaction)
    .await?;
    let dispatches = sqlx::query!(
        "DELETE FROM dispatches WHERE id IN (
            SELECT id FROM dispatches WHERE created_at < now() - make_interval(days => $1) LIMIT $2
         )",
        days,
        BATCH_ROWS,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(runs.rows_affected() + dispatches.rows_affected())
}
