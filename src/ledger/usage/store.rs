//! The queries about what runs have used.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{UsageFilter, UsageSum};

/// Whether ended runs are counted, or were counted wrongly and are taken out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    In,
    Out,
}

/// Counts runs as they stand. Rows are locked in one order, so that instances do not lock each other out.
pub async fn count(
    connection: &mut PgConnection,
    run_ids: &[Uuid],
    counting: Counting,
) -> Result<(), sqlx::Error> {
    if run_ids.is_empty() {
        return Ok(());
    }
    let sign: i64 = if counting == Counting::In { 1 } else { -1 };
    sqlx::query!(
        "INSERT INTO usage_by_day AS sums
            (day, agent_name, agent_revision, key_id, model, status, runs, unpriced, input_tokens, output_tokens,
             cached_input_tokens, cache_write_input_tokens, cost_usd)
         SELECT day, agent_name, agent_revision, key_id, model, status, $2::bigint * sum(runs), $2 * sum(unpriced),
            $2::bigint * sum(input_tokens), $2 * sum(output_tokens), $2 * sum(cached_input_tokens),
            $2::bigint * sum(cache_write_input_tokens), $2 * sum(cost_usd)
         FROM run_charges WHERE run_id = ANY($1)
         GROUP BY day, agent_name, agent_revision, key_id, model, status
         ORDER BY day, agent_name, agent_revision, key_id, model, status
         ON CONFLICT ON CONSTRAINT usage_by_day_pkey DO UPDATE SET
            runs = sums.runs + excluded.runs, unpriced = sums.unpriced + excluded.unpriced,
            input_tokens = sums.input_tokens + excluded.input_tokens,
            output_tokens = sums.output_tokens + excluded.output_tokens,
            cached_input_tokens = sums.cached_input_tokens + excluded.cached_input_tokens,
            cache_write_input_tokens = sums.cache_write_input_tokens + excluded.cache_write_input_tokens,
            cost_usd = sums.cost_usd + excluded.cost_usd",
        run_ids,
        sign,
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
