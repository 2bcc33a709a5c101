//! Transactions whose beginning may be given up.

use sqlx::{PgPool, Postgres, Transaction};

/// Begins a transaction. Whoever waits for it may leave.
///
/// With the pool's own `begin`, whoever leaves between the statement and its answer leaves the connection in a transaction
/// that nobody ends: what others write over it later is lost. A task of its own gets to the answer, and to the end of the
/// transaction if nobody wants it. <https://github.com/launchbadge/sqlx/issues/4393>
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let pool = pool.clone();
    #[expect(clippy::disallowed_methods, reason = "this is the function that is used instead")]
    let beginning = tokio::spawn(async move { pool.begin().await });
    // The task can only be missing if the runtime stops.
    beginning.await.unwrap_or(Err(sqlx::Error::PoolClosed))
}
