//! The queries about keys.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::NewKey;
use super::key::{ApiKey, KeyOrigin, NewSecret, Scope};
use super::limits::{KeyLimits, KeyLimitsChange};
use super::trail;
use crate::audit::{self, Author};
use crate::db;

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
    limits: Value,
}

/// Asks for keys that are found by a condition, or that are changed by a statement.
macro_rules! query_keys {
    (found by $condition:tt $(, $argument:expr)* $(,)?) => {
        query_keys!(["", "SELECT"], [" FROM api_keys ", $condition] $(, $argument)*)
    };
    (changed by $statement:tt $(, $argument:expr)* $(,)?) => {
        query_keys!([$statement, " RETURNING"], ["", ""] $(, $argument)*)
    };
    ([$statement:tt, $verb:tt], [$from:tt, $condition:tt] $(, $argument:expr)*) => {
        sqlx::query_as!(
            Row,
            $statement
                + $verb
                + " id, public_id, secret_hash, name, scopes, agents, origin, expires_at, created_at, limits"
                + $from
                + $condition
            $(, $argument)*
        )
    };
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
            limits: read_limits(row.id, row.limits),
            secret_hash: row.secret_hash,
        }
    }
}

/// A later version's further limits are passed over.
fn read_limits(id: Uuid, limits: Value) -> KeyLimits {
    serde_json::from_value(limits).unwrap_or_else(|error| {
        tracing::error!(key.id = %id, %error, "the limits of a key cannot be read");
        KeyLimits::default()
    })
}

pub(super) async fn find_keys_revision(pool: &PgPool) -> Result<i64, sqlx::Error> {
    // One more than the counter, so that an empty snapshot (0) is always stale.
    sqlx::query_scalar!(r#"SELECT keys_revision + 1 AS "revision!" FROM change_counters"#)
        .fetch_one(pool)
        .await
}

pub(super) async fn list_active(pool: &PgPool) -> Result<Vec<ApiKey>, sqlx::Error> {
    let rows = query_keys!(found by "WHERE revoked_at IS NULL").fetch_all(pool).await?;
    Ok(rows.into_iter().map(ApiKey::from).collect())
}

pub(super) async fn list_page(
    pool: &PgPool,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<ApiKey>, sqlx::Error> {
    let rows = query_keys!(found by
        "WHERE revoked_at IS NULL AND ($1::uuid IS NULL OR id > $1)
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
    author: &Author,
) -> Result<ApiKey, sqlx::Error> {
    let mut transaction = db::begin(pool).await?;
    let scopes: Vec<String> = key.scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    let row = query_keys!(changed by
        "INSERT INTO api_keys (id, public_id, secret_hash, name, scopes, agents, origin, expires_at, limits)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        Uuid::now_v7(),
        secret.public_id,
        secret.hash,
        key.name,
        &scopes,
        key.agents.as_deref(),
        origin.as_str(),
        key.expires_at,
        json!(key.limits),
    )
    .fetch_one(&mut *transaction)
    .await?;
    let key = ApiKey::from(row);
    audit::record(&mut transaction, author, &[trail::created(&key)]).await?;
    count_change(&mut transaction).await?;
    transaction.commit().await?;
    Ok(key)
}

/// Revokes what the environment gave before, if it gives another key now.
pub(super) async fn replace_environment_key(
    pool: &PgPool,
    secret_hash: [u8; 32],
    author: &Author,
) -> Result<(), sqlx::Error> {
    let mut transaction = db::begin(pool).await?;
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
    let revoked = query_keys!(changed by
        "UPDATE api_keys SET revoked_at = now() WHERE origin = 'environment' AND revoked_at IS NULL"
    )
    .fetch_all(&mut *transaction)
    .await?;
    let id = Uuid::now_v7();
    let made = query_keys!(changed by
        "INSERT INTO api_keys (id, public_id, secret_hash, name, scopes, origin)
         VALUES ($1, $2, $3, 'ROLECALL_ADMIN_KEY', '{admin}', 'environment')",
        id,
        // No key that is presented can name it: public ids of made keys are shorter.
        id.to_string(),
        &secret_hash[..],
    )
    .fetch_one(&mut *transaction)
    .await?;
    let mut entries: Vec<_> =
        revoked.into_iter().map(|row| trail::revoked(&ApiKey::from(row))).collect();
    entries.push(trail::created(&ApiKey::from(made)));
    audit::record(&mut transaction, author, &entries).await?;
    count_change(&mut transaction).await?;
    transaction.commit().await
}

/// Changes the limits of a key; `None` if there is none with that id.
pub(super) async fn change_limits(
    pool: &PgPool,
    id: Uuid,
    change: KeyLimitsChange,
    author: &Author,
) -> Result<Option<ApiKey>, sqlx::Error> {
    let mut transaction = db::begin(pool).await?;
    let found = query_keys!(found by "WHERE id = $1 AND revoked_at IS NULL FOR UPDATE", id)
        .fetch_optional(&mut *transaction)
        .await?;
    let Some(row) = found else {
        transaction.rollback().await?;
        return Ok(None);
    };
    let mut key = ApiKey::from(row);
    let before = std::mem::take(&mut key.limits);
    key.limits = change.apply(&before);
    if key.limits == before {
        transaction.rollback().await?;
        return Ok(Some(key));
    }
    sqlx::query!("UPDATE api_keys SET limits = $2 WHERE id = $1", id, json!(key.limits))
        .execute(&mut *transaction)
        .await?;
    let entry = trail::limits_changed(&key, &before);
    audit::record(&mut transaction, author, &[entry]).await?;
    count_change(&mut transaction).await?;
    transaction.commit().await?;
    Ok(Some(key))
}

/// Ends a key. False if there is none with that id.
pub(super) async fn revoke(pool: &PgPool, id: Uuid, author: &Author) -> Result<bool, sqlx::Error> {
    let mut transaction = db::begin(pool).await?;
    let row = query_keys!(changed by
        "UPDATE api_keys SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL",
        id
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(row) = row else {
        transaction.rollback().await?;
        return Ok(false);
    };
    let entry = trail::revoked(&ApiKey::from(row));
    audit::record(&mut transaction, author, &[entry]).await?;
    count_change(&mut transaction).await?;
    transaction.commit().await?;
    Ok(true)
}

async fn count_change(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE change_counters SET keys_revision = keys_revision + 1")
        .execute(connection)
        .await?;
    Ok(())
}
