//! The queries about what keys have spent. It is written by the ledger, with the runs.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::chat::Money;

/// What one instance has spent for a key in a day.
pub(super) struct Row {
    pub key_id: Uuid,
    pub day: NaiveDate,
    pub instance_id: Uuid,
    pub spent: Money,
    pub updated_at: DateTime<Utc>,
}

/// What other instances have written since a moment, of the days from `first_day` on.
pub(super) async fn list(
    pool: &PgPool,
    instance_id: Uuid,
    first_day: NaiveDate,
    since: Option<DateTime<Utc>>,
) -> Result<Vec<Row>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT key_id, day, instance_id, nano_usd, updated_at FROM key_spending
         WHERE day >= $1 AND instance_id <> $2 AND ($3::timestamptz IS NULL OR updated_at >= $3)",
        first_day,
        instance_id,
        since
    )
    .fetch_all(pool)
    .await?;
    let row = rows.into_iter().map(|row| Row {
        key_id: row.key_id,
        day: row.day,
        instance_id: row.instance_id,
        spent: Money::from_nanos(u64::try_from(row.nano_usd).unwrap_or(0)),
        updated_at: row.updated_at,
    });
    Ok(row.collect())
}

/// Removes what no budget counts any more. Two months are kept for whoever wants to look.
pub(super) async fn delete_old(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM key_spending WHERE day < current_date - 62").execute(pool).await?;
    Ok(())
}
