//! The queries about feedback.

use sqlx::PgPool;
use uuid::Uuid;

use super::trail;
use super::{FeedbackEntry, Forgotten, NewFeedback};
use crate::audit::{self, Author};
use crate::db;
use crate::dispatch::corrections::{Correction, MAX_BYTES_IN_ALL, MAX_IN_ALL, MAX_OF_ONE};

/// How far the feedback has come.
pub(super) struct Revisions {
    pub feedback_revision: i64,
    /// The one with which some of it was last forgotten.
    pub feedback_forgotten: i64,
}

struct Row {
    dispatch_id: Uuid,
    agent_name: Option<String>,
    input: String,
}

impl From<Row> for Correction {
    fn from(row: Row) -> Self {
        Self { id: row.dispatch_id, text: row.input, agent: row.agent_name }
    }
}

pub(super) async fn find_revisions(pool: &PgPool) -> Result<Revisions, sqlx::Error> {
    sqlx::query_as!(Revisions, "SELECT feedback_revision, feedback_forgotten FROM change_counters")
        .fetch_one(pool)
        .await
}

/// What was said behind a revision, in order of arrival: the newest, as much as a snapshot holds.
pub(super) async fn list_newest(
    pool: &PgPool,
    behind: i64,
) -> Result<Vec<Correction>, sqlx::Error> {
    let bound = |most: usize| i64::try_from(most).unwrap_or(i64::MAX);
    let rows = sqlx::query_as!(
        Row,
        "SELECT dispatch_id, agent_name, input
         FROM (
            SELECT *, row_number() OVER newest_first AS place_in_all,
                sum(octet_length(input)) OVER newest_first AS bytes_in_all
            FROM (
                SELECT *, row_number() OVER (PARTITION BY agent_name ORDER BY revision DESC) AS place_of_one
                FROM feedback WHERE revision > $1
            ) AS placed
            WHERE place_of_one <= $2
            WINDOW newest_first AS (ORDER BY revision DESC)
         ) AS measured
         WHERE place_in_all <= $3 AND bytes_in_all <= $4
         ORDER BY revision",
        behind,
        bound(MAX_OF_ONE),
        bound(MAX_IN_ALL),
        bound(MAX_BYTES_IN_ALL),
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Correction::from).collect())
}

/// Counts and stores what was said of a decision, in place of what was said of it before. The counter's row stays
/// locked until both are committed, so that they become visible in order of revision.
pub(super) async fn upsert(pool: &PgPool, new: &NewFeedback<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        "WITH counted AS (
            UPDATE change_counters SET feedback_revision = feedback_revision + 1 RETURNING feedback_revision
         )
         INSERT INTO feedback (dispatch_id, revision, key_id, agent_name, input, confidence, first_agent)
         SELECT $1, feedback_revision, $2, $3, $4, $5, $6 FROM counted
         ON CONFLICT (dispatch_id) DO UPDATE SET
            revision = excluded.revision, key_id = excluded.key_id, agent_name = excluded.agent_name,
            input = excluded.input, confidence = excluded.confidence, first_agent = excluded.first_agent,
            created_at = excluded.created_at
         RETURNING revision",
        new.dispatch_id,
        new.key_id,
        new.agent,
        new.input,
        new.confidence,
        new.first_agent,
    )
    .fetch_one(pool)
    .await
}

/// What was said before a revision, newest first.
pub(super) async fn list_page(
    pool: &PgPool,
    agent: Option<&str>,
    before: i64,
    limit: i64,
) -> Result<Vec<FeedbackEntry>, sqlx::Error> {
    sqlx::query_as!(
        FeedbackEntry,
        "SELECT dispatch_id, revision, agent_name AS agent, input, confidence, first_agent, created_at
         FROM feedback
         WHERE revision < $1 AND ($2::text IS NULL OR agent_name = $2)
         ORDER BY revision DESC LIMIT $3",
        before,
        agent,
        limit
    )
    .fetch_all(pool)
    .await
}

pub(super) async fn count(pool: &PgPool, agent: Option<&str>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM feedback WHERE $1::text IS NULL OR agent_name = $1"#,
        agent
    )
    .fetch_one(pool)
    .await
}

/// Removes what was said. Where nothing was, nothing is counted and the audit hears of nothing.
pub(super) async fn delete(
    pool: &PgPool,
    agent: Option<&str>,
    author: &Author,
) -> Result<Forgotten, sqlx::Error> {
    let mut transaction = db::begin(pool).await?;
    // First, as with what is said: all who change the feedback wait for each other here.
    let revision = sqlx::query_scalar!(
        "UPDATE change_counters
         SET feedback_revision = feedback_revision + 1, feedback_forgotten = feedback_revision + 1
         RETURNING feedback_revision"
    )
    .fetch_one(&mut *transaction)
    .await?;
    let deleted =
        sqlx::query!("DELETE FROM feedback WHERE $1::text IS NULL OR agent_name = $1", agent)
            .execute(&mut *transaction)
            .await?;
    let count = deleted.rows_affected();
    if count == 0 {
        transaction.rollback().await?;
        return Ok(Forgotten { count, revision: revision - 1 });
    }
    audit::record(&mut transaction, author, &[trail::forgotten(agent, count)]).await?;
    transaction.commit().await?;
    Ok(Forgotten { count, revision })
}
