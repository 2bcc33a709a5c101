//! The queries about what keys have spent.

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

/// Writes the sums of an instance. A sum never shrinks, in whatever order they are written.
pub(super) async fn write(
    pool: &PgPool,
    instance_id: Uuid,
    sums: &[(Uuid, NaiveDate, Money)],
) -> Result<(), sqlx::Error> {
    let key_ids: Vec<Uuid> = sums.iter().map(|(key_id, ..)| *key_id).collect();
    let days: Vec<NaiveDate> = sums.iter().map(|(_, day, _)| *day).collect();
    let nanos: Vec<i64> =
        sums.iter().map(|(.., spent)| i64::try_from(spent.nanos()).unwrap_or(i64::MAX)).collect();
    sqlx::query!(
        "INSERT INTO key_spending (key_id, day, instance_id, nano_usd)
         SELECT key_id, day, $4, nano_usd FROM unnest($1::uuid[], $2::date[], $3::bigint[])
             AS sums (key_id, day, nano_usd)
         ON CONFLICT (key_id, day, instance_id) DO UPDATE
         SET nano_usd = GREATEST(key_spending.nano_usd, EXCLUDED.nano_usd), updated_at = now()",
        &key_ids,
        &days,
        &nanos,
        instance_id
    )
    .execute(pool)
    .await?;
    Ok(())
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
