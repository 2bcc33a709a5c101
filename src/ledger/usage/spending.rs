//! What runs have cost their keys, in the sums that budgets are held to. `limits` reads them.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::ledger::column;
use crate::ledger::record::RunRecord;

/// Adds what runs that end with these records have cost.
pub async fn add_records(
    connection: &mut PgConnection,
    ended: &[&RunRecord<&str>],
) -> Result<(), sqlx::Error> {
    let mut sums: BTreeMap<(Uuid, NaiveDate, Uuid), i64> = BTreeMap::new();
    for record in ended {
        let (Some(ended_at), Some(spent)) = (record.ended_at, record.spent_nano_usd) else {
            continue;
        };
        if spent > 0 {
            let group = (record.key_id, ended_at.date_naive(), record.instance_id);
            let sum = sums.entry(group).or_default();
            *sum = sum.saturating_add(spent);
        }
    }
    if sums.is_empty() {
        return Ok(());
    }
    let (groups, sums): (Vec<_>, Vec<i64>) = sums.iter().unzip();
    sqlx::query!(
        "INSERT INTO key_spending (key_id, day, instance_id, nano_usd)
         SELECT * FROM unnest($1::uuid[], $2::date[], $3::uuid[], $4::bigint[])
         ON CONFLICT (key_id, day, instance_id) DO UPDATE
         SET nano_usd = key_spending.nano_usd + EXCLUDED.nano_usd, updated_at = now()",
        &column(&groups, |(key_id, ..)| *key_id),
        &column(&groups, |(_, day, _)| *day),
        &column(&groups, |(.., instance_id)| *instance_id),
        &sums,
    )
    .execute(connection)
    .await?;
    Ok(())
}
