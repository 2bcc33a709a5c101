//! The queries about records and instances.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::record::{DispatchRecord, Record, RunRecord};

pub(super) async fn write_batch(pool: &PgPool, batch: &[Record]) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    for record in batch {
        match record {
            Record::Dispatch(record) => insert_dispatch(&mut transaction, record).await?,
            Record::Run(record) => upsert_run(&mut transaction, record).await?,
            Record::End => {}
        }
    }
    transaction.commit().await
}

async fn insert_dispatch(
    connection: &mut PgConnection,
    record: &DispatchRecord,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO dispatches
            (id, key_id, outcome, agent_name, agent_revision, roster_revision, decision, input, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (id) DO NOTHING",
        record.id,
        record.key_id,
        record.outcome,
        record.agent_name,
        record.agent_revision,
        record.roster_revision,
        record.decision,
        record.input,
        record.created_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A run that has ended does not change any more.
async fn upsert_run(connection: &mut PgConnection, record: &RunRecord) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO runs
            (id, key_id, instance_id, dispatch_id, agent_name, agent_revision, agent_sha256, status,
             record, created_at, ended_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (id) DO UPDATE SET
            status = excluded.status, record = excluded.record, ended_at = excluded.ended_at
         WHERE runs.ended_at IS NULL",
        record.id,
        record.key_id,
        record.instance_id,
        record.dispatch_id,
        record.agent_name,
        record.agent_revision,
        record.agent_sha256,
        record.status,
        record.record,
        record.created_at,
        record.ended_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn find_dispatch(
    pool: &PgPool,
    id: Uuid,
) -> Result<Option<DispatchRecord>, sqlx::Error> {
    sqlx::query_as!(
        DispatchRecord,
        "SELECT id, key_id, outcome, agent_name, agent_revision, roster_revision, decision, input, created_at
         FROM dispatches WHERE id = $1",
        id
    )
    .fetch_optional(pool)
    .await
}

pub(super) async fn find_run(pool: &PgPool, id: Uuid) -> Result<Option<RunRecord>, sqlx::Error> {
    sqlx::query_as!(
        RunRecord,
        "SELECT id, key_id, instance_id, dispatch_id, agent_name, agent_revision, agent_sha256, status,
                record, created_at, ended_at
         FROM runs WHERE id = $1",
        id
    )
    .fetch_optional(pool)
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

pub(super) async fn sign_off(pool: &PgPool, instance_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM instances WHERE id = $1", instance_id).execute(pool).await?;
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
        r#"UPDATE runs SET status = 'failed', ended_at = now(),
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
