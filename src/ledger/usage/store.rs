//! The queries about what runs have used.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{UsageFilter, UsageSum};
use crate::chat::Money;
use crate::ledger::column;
use crate::ledger::record::{Charge, RunRecord};

/// The longest name of a model that has a sum of its own, in characters: callers may name models as they like, and an
/// index takes no name of any length.
const MODEL_LENGTH: usize = 200;

/// What a sum is of, in the order in which rows are locked: instances must not lock each other out.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group<'a> {
    day: NaiveDate,
    agent_name: &'a str,
    agent_revision: i32,
    key_id: Uuid,
    model: &'a str,
    status: &'a str,
}

#[derive(Debug, Default)]
struct Sum {
    runs: i64,
    unpriced: i64,
    input_tokens: i64,
    output_tokens: i64,
    cached_input_tokens: i64,
    cache_write_input_tokens: i64,
    nano_usd: i64,
}

impl Sum {
    fn add(&mut self, charge: &Charge) {
        self.unpriced += i64::from(charge.cost_usd.is_none());
        let cost = charge.cost_usd.map_or(Money::ZERO, Money::from_usd);
        for (sum, count) in [
            (&mut self.input_tokens, charge.input_tokens),
            (&mut self.output_tokens, charge.output_tokens),
            (&mut self.cached_input_tokens, charge.cached_input_tokens),
            (&mut self.cache_write_input_tokens, charge.cache_write_input_tokens),
            (&mut self.nano_usd, cost.nanos()),
        ] {
            *sum = sum.saturating_add_unsigned(count);
        }
    }
}

fn shortened(model: &str) -> &str {
    let end = model.char_indices().nth(MODEL_LENGTH).map_or(model.len(), |(end, _)| end);
    &model[..end]
}

/// Counts runs that end with these records.
pub async fn count_records(
    connection: &mut PgConnection,
    ended: &[&RunRecord<&str>],
) -> Result<(), sqlx::Error> {
    let mut sums: BTreeMap<Group<'_>, Sum> = BTreeMap::new();
    for record in ended {
        let Some(ended_at) = record.ended_at else { continue };
        for (place, charge) in record.charges.iter().flat_map(|charges| &charges.0).enumerate() {
            let sum = sums.entry(Group {
                day: ended_at.date_naive(),
                agent_name: record.agent_name,
                agent_revision: record.agent_revision,
                key_id: record.key_id,
                model: shortened(&charge.model),
                status: &record.status,
            });
            let sum = sum.or_default();
            sum.runs += i64::from(place == 0);
            sum.add(charge);
        }
    }
    add(connection, &sums).await
}

/// Whether ended runs are counted, or were counted wrongly and are taken out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    In,
    Out,
}

/// Counts runs as they stand.
pub async fn count_rows(
    connection: &mut PgConnection,
    run_ids: &[Uuid],
    counting: Counting,
) -> Result<(), sqlx::Error> {
    if run_ids.is_empty() {
        return Ok(());
    }
    let sign: i64 = if counting == Counting::In { 1 } else { -1 };
    let rows = sqlx::query!(
        r#"SELECT day AS "day!", agent_name AS "agent_name!", agent_revision AS "agent_revision!", key_id AS "key_id!",
            model AS "model!", status AS "status!", sum(runs) AS "runs!", sum(unpriced) AS "unpriced!",
            sum(input_tokens)::bigint AS "input_tokens!", sum(output_tokens)::bigint AS "output_tokens!",
            sum(cached_input_tokens)::bigint AS "cached_input_tokens!",
            sum(cache_write_input_tokens)::bigint AS "cache_write_input_tokens!",
            (sum(cost_usd) * 1000000000)::bigint AS "nano_usd!"
         FROM run_charges WHERE run_id = ANY($1)
         GROUP BY day, agent_name, agent_revision, key_id, model, status"#,
        run_ids,
    )
    .fetch_all(&mut *connection)
    .await?;
    let sums = rows.iter().map(|row| {
        let group = Group {
            day: row.day,
            agent_name: &row.agent_name,
            agent_revision: row.agent_revision,
            key_id: row.key_id,
            model: &row.model,
            status: &row.status,
        };
        let sum = Sum {
            runs: sign * row.runs,
            unpriced: sign * row.unpriced,
            input_tokens: sign * row.input_tokens,
            output_tokens: sign * row.output_tokens,
            cached_input_tokens: sign * row.cached_input_tokens,
            cache_write_input_tokens: sign * row.cache_write_input_tokens,
            nano_usd: sign * row.nano_usd,
        };
        (group, sum)
    });
    add(connection, &sums.collect()).await
}

async fn add(
    connection: &mut PgConnection,
    sums: &BTreeMap<Group<'_>, Sum>,
) -> Result<(), sqlx::Error> {
    if sums.is_empty() {
        return Ok(());
    }
    let (groups, sums): (Vec<_>, Vec<_>) = sums.iter().unzip();
    sqlx::query!(
        "INSERT INTO usage_by_day AS sums
            (day, agent_name, agent_revision, key_id, model, status, runs, unpriced, input_tokens, output_tokens,
             cached_input_tokens, cache_write_input_tokens, cost_usd)
         SELECT day, agent_name, agent_revision, key_id, model, status, runs, unpriced, input_tokens, output_tokens,
            cached_input_tokens, cache_write_input_tokens, nano_usd * 0.000000001
         FROM unnest($1::date[], $2::text[], $3::integer[], $4::uuid[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
            $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[]) AS new
            (day, agent_name, agent_revision, key_id, model, status, runs, unpriced, input_tokens, output_tokens,
             cached_input_tokens, cache_write_input_tokens, nano_usd)
         ON CONFLICT ON CONSTRAINT usage_by_day_pkey DO UPDATE SET
            runs = sums.runs + excluded.runs, unpriced = sums.unpriced + excluded.unpriced,
            input_tokens = sums.input_tokens + excluded.input_tokens,
            output_tokens = sums.output_tokens + excluded.output_tokens,
            cached_input_tokens = sums.cached_input_tokens + excluded.cached_input_tokens,
            cache_write_input_tokens = sums.cache_write_input_tokens + excluded.cache_write_input_tokens,
            cost_usd = sums.cost_usd + excluded.cost_usd",
        &column(&groups, |group| group.day),
        &column(&groups, |group| group.agent_name) as &[&str],
        &column(&groups, |group| group.agent_revision),
        &column(&groups, |group| group.key_id),
        &column(&groups, |group| group.model) as &[&str],
        &column(&groups, |group| group.status) as &[&str],
        &column(&sums, |sum| sum.runs),
        &column(&sums, |sum| sum.unpriced),
        &column(&sums, |sum| sum.input_tokens),
        &column(&sums, |sum| sum.output_tokens),
        &column(&sums, |sum| sum.cached_input_tokens),
        &column(&sums, |sum| sum.cache_write_input_tokens),
        &column(&sums, |sum| sum.nano_usd),
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn list(
    pool: &PgPool,
    filter: &UsageFilter,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<UsageSum>, sqlx::Error> {
    let groups = filter.groups;
    // The place is text whose bytes are in the order of the groups; as hexadecimal digits it stands in any URL.
    sqlx::query_as!(
        UsageSum,
        r#"SELECT place AS "place!", day, agent_name, agent_revision, key_id, model, runs AS "runs!",
            completed AS "completed!", failed AS "failed!", cancelled AS "cancelled!", truncated AS "truncated!",
            input_tokens AS "input_tokens!", output_tokens AS "output_tokens!",
            cached_input_tokens AS "cached_input_tokens!",
            cache_write_input_tokens AS "cache_write_input_tokens!", cost_usd
         FROM (
            SELECT *, encode(convert_to(concat_ws('|', day, agent_name, lpad(agent_revision::text, 10, '0'), key_id,
                model), 'UTF8'), 'hex') COLLATE "C" AS place
            FROM (
                SELECT CASE WHEN $3 THEN day END AS day, CASE WHEN $4 THEN agent_name END AS agent_name,
                    CASE WHEN $5 THEN agent_revision END AS agent_revision, CASE WHEN $6 THEN key_id END AS key_id,
                    CASE WHEN $7 THEN model END AS model, sum(runs)::bigint AS runs,
                    coalesce(sum(runs) FILTER (WHERE status = 'completed'), 0)::bigint AS completed,
                    coalesce(sum(runs) FILTER (WHERE status = 'failed'), 0)::bigint AS failed,
                    coalesce(sum(runs) FILTER (WHERE status = 'cancelled'), 0)::bigint AS cancelled,
                    coalesce(sum(runs) FILTER (WHERE status = 'truncated'), 0)::bigint AS truncated,
                    sum(input_tokens)::bigint AS input_tokens, sum(output_tokens)::bigint AS output_tokens,
                    sum(cached_input_tokens)::bigint AS cached_input_tokens,
                    sum(cache_write_input_tokens)::bigint AS cache_write_input_tokens,
                    CASE WHEN sum(unpriced) = 0 THEN sum(cost_usd)::float8 END AS cost_usd
                FROM usage_by_day
                WHERE ($1::date IS NULL OR day >= $1) AND ($2::date IS NULL OR day <= $2)
                GROUP BY 1, 2, 3, 4, 5
            ) AS grouped
         ) AS placed
         WHERE $8::text IS NULL OR place > $8 ORDER BY place LIMIT $9"#,
        filter.from,
        filter.to,
        groups.day,
        groups.agent,
        groups.revision,
        groups.key,
        groups.model,
        after,
        limit,
    )
    .fetch_all(pool)
    .await
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn names_of_models_end_at_a_character() {
        let long = "é".repeat(300);
        assert_eq!(shortened(&long), "é".repeat(200));
        assert_eq!(shortened("a/m"), "a/m");
    }
}
