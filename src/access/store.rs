//! The queries about keys.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::NewKey;
use super::key::{ApiKey, KeyOrigin, NewSecret, Scope};

struct Row {
    id: Uuid,
    public_id: String,
    secret_hash: Vec<u8>,
    name: String,
    scopes: Vec<String>,
    agents: Option<Vec<String>>,
    origin: String,
    expires_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<Row> for ApiKey {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            public_id: row.public_id,
            name: row.name,
            scopes: row.scopes.iter().filter_map(|scope| Scope::parse(scope)).collect(),
            agents: row.agents,
            origin: KeyOrigin::from_column(&row.origin),
            expires_at: row.expires_at,
            created_at: row.created_at,
            secret_hash: row.secret_hash,
        }
    }
}

pub(super) async fn find_keys_revision(pool: &PgPool) -> Result<i64, sqlx::Error> {
    // One more than the counter, so that an empty snapshot (0) is always stale.
    sqlx::query_scalar!(r#"SELECT keys_revision + 1 AS "revision!" FROM change_counters"#)
        .fetch_one(pool)
        .await
}

pub(super) async fn list_active(pool: &PgPool) -> Result<Vec<ApiKey>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, public_id, secret_hash, name, scopes, agents, origin, expires_at, created_at
         FROM api_keys WHERE revoked_at IS NULL"
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(ApiKey::from).collect())
}

pub(super) async fn list_page(
    pool: &PgPool,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<ApiKey>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, public_id, secret_hash, name, scopes, agents, origin, expires_at, created_at
         FROM api_keys WHERE revoked_at IS NULL AND ($1::uuid IS NULL OR id > $1)
         ORDER BY id LIMIT $2",
        after,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(ApiKey::from).collect())
}

pub(super) async fn insert(
    pool: &PgPool,
    key: &NewKey,
    secret: &NewSecret,
    origin: KeyOrigin,
) -> Result<ApiKey, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let scopes: Vec<String> = key.scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    let row = sqlx::query_as!(
        Row,
        "INSERT INTO api_keys (id, public_id, secret_hash, name, scopes, agents, origin, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         RETURNING id, public_id, secret_hash, name, scopes, agents, origin, expires_at, created_at",
        Uuid::now_v7(),
        secret.public_id,
        secret.hash,
        key.name,
        &scopes,
        key.agents.as_deref(),
        origin.as_str(),
        key.expires_at,
    )
    .fetch_one(&mut *transaction)
    .await?;
    count_change(&mut transaction).await?;
    transaction.commit().await?;
    Ok(row.into())
}

/// Revokes what the environment gave before, if it gives another key now.
pub(super) async fn replace_environment_key(
    pool: &PgPool,
    secret_hash: [u8; 32],
) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("LOCK TABLE api_keys IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await?;
    let is_stored = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM api_keys
           WHERE origin = 'environment' AND revoked_at IS NULL AND secret_hash = $1) AS "exists!""#,
        &secret_hash[..]
    )
    .fetch_one(&mut *transaction)
    .await?;
    if is_stored {
        return transaction.rollback().await;
    }
    sqlx::query!(
        "UPDATE api_keys SET revoked_at = now() WHERE origin = 'environment' AND revoked_at IS NULL"
    )
    .execute(&mut *transaction)
    .await?;
    let id = Uuid::now_v7();
    sqlx::query!(
        "INSERT INTO api_keys (id, public_id, secret_hash, name, scopes, origin)
         VALUES ($1, $2, $3, 'ROLECALL_ADMIN_KEY', '{admin}', 'environment')",
        id,
        // No key that is presented can name it: public ids of made keys are shorter.
        id.to_string(),
        &secret_hash[..],
    )
    .execute(&mut *transaction)
    .await?;
    count_change(&mut transaction).await?;
    transaction.commit().await
}

pub(super) async fn revoke(pool: &PgPool, id: Uuid) -> Result<bool, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let result = sqlx::query!(
        "UPDATE api_keys SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL",
        id
    )
    .execute(&mut *transaction)
    .await?;
    count_change(&mut transaction).await?;
    transaction.commit().await?;
    Ok(result.rows_affected() > 0)
}

async fn count_change(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE change_counters SET keys_revision = keys_revision + 1")
        .execute(connection)
        .await?;
    Ok(())
}
