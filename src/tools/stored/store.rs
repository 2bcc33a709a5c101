//! The queries about tool servers.

use sqlx::{PgConnection, PgPool};

use super::{NewServer, trail};
use crate::audit::{self, Action, Author};
use crate::db;

/// A server as it is stored.
#[derive(Debug)]
pub(super) struct Row {
    pub name: String,
    pub url: String,
    pub is_default: bool,
}

/// What became of a server that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    Created,
    Changed,
    Unchanged,
    /// There are as many as there can be.
    TooMany,
}

pub(super) async fn find_revision(pool: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!("SELECT tool_servers_revision FROM change_counters").fetch_one(pool).await
}

pub(super) async fn list(pool: &PgPool) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(Row, "SELECT name, url, is_default FROM tool_servers ORDER BY name")
        .fetch_all(pool)
        .await
}

/// Stores a server in place of the one of its name, unless there would be more than `most`.
pub(super) async fn put(
    pool: &PgPool,
    new: &NewServer,
    most: usize,
    author: &Author,
) -> Result<Put, sqlx::Error> {
    let mut transaction = db::begin(pool).await?;
    // First, so that changes come one after the other.
    count_change(&mut transaction).await?;
    let stored = sqlx::query_as!(Row, "SELECT name, url, is_default FROM tool_servers")
        .fetch_all(&mut *transaction)
        .await?;
    let before = stored.iter().find(|row| row.name.eq_ignore_ascii_case(&new.name));
    let put = match before {
        Some(row)
            if row.name == new.name && row.url == new.url && row.is_default == new.is_default =>
        {
            Put::Unchanged
        }
        Some(_) => Put::Changed,
        None if stored.len() >= most => Put::TooMany,
        None => Put::Created,
    };
    if matches!(put, Put::Unchanged | Put::TooMany) {
        transaction.rollback().await?;
        return Ok(put);
    }
    sqlx::query!(
        "INSERT INTO tool_servers (name, url, is_default) VALUES ($1, $2, $3)
         ON CONFLICT (lower(name)) DO UPDATE SET
            name = excluded.name, url = excluded.url, is_default = excluded.is_default, updated_at = now()",
        new.name,
        new.url,
        new.is_default,
    )
    .execute(&mut *transaction)
    .await?;
    let entry = trail::entry(Action::ToolServerPut, &new.name, &new.url, new.is_default);
    audit::record(&mut transaction, author, &[entry]).await?;
    transaction.commit().await?;
    Ok(put)
}

/// Removes a server. False if there is none of that name.
pub(super) async fn delete(
    pool: &PgPool,
    name: &str,
    author: &Author,
) -> Result<bool, sqlx::Error> {
    let mut transaction = db::begin(pool).await?;
    count_change(&mut transaction).await?;
    let removed = sqlx::query_as!(
        Row,
        "DELETE FROM tool_servers WHERE name = $1 RETURNING name, url, is_default",
        name
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(row) = removed else {
        transaction.rollback().await?;
        return Ok(false);
    };
    let entry = trail::entry(Action::ToolServerDelete, &row.name, &row.url, row.is_default);
    audit::record(&mut transaction, author, &[entry]).await?;
    transaction.commit().await?;
    Ok(true)
}

async fn count_change(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE change_counters SET tool_servers_revision = tool_servers_revision + 1")
        .execute(connection)
        .await?;
    Ok(())
}
