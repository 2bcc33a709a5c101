//! The audit's queries.

use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Filter;
use super::entry::{Author, Entry, NewEntry};

/// Writes entries in the caller's transaction, all at once: a sync may have changed thousands of agents.
pub async fn record(
    connection: &mut PgConnection,
    author: &Author,
    entries: &[NewEntry],
) -> Result<(), sqlx::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = entries.iter().map(|_| Uuid::now_v7()).collect();
    let actions: Vec<String> =
        entries.iter().map(|entry| entry.action.as_str().to_owned()).collect();
    let subjects: Vec<String> = entries.iter().map(|entry| entry.subject.clone()).collect();
    let details: Vec<Value> = entries.iter().map(|entry| entry.detail.clone()).collect();
    sqlx::query!(
        "INSERT INTO audit_entries (id, author, key_id, action, subject, detail)
         SELECT id, $1, $2, action, subject, detail
         FROM UNNEST($3::uuid[], $4::text[], $5::text[], $6::jsonb[])
            AS entries (id, action, subject, detail)",
        author.name,
        author.key_id,
        &ids,
        &actions,
        &subjects,
        &details,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn list(
    pool: &PgPool,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Entry>, sqlx::Error> {
    sqlx::query_as!(
        Entry,
        "SELECT id, author, key_id, action, subject, detail, created_at
         FROM audit_entries
         WHERE ($1::uuid IS NULL OR id < $1) AND ($2::text IS NULL OR subject = $2)
            AND ($3::text IS NULL OR action = $3)
         ORDER BY id DESC LIMIT $4",
        before,
        filter.subject.as_deref(),
        filter.action.as_deref(),
        limit
    )
    .fetch_all(pool)
    .await
}
