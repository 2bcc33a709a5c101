//! Whoever leaves while a transaction begins leaves nothing behind on the connection.

use std::time::Duration;

use rolecall::db;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

#[sqlx::test]
async fn a_transaction_that_nobody_waits_for_is_over(pool: PgPool) {
    sqlx::query("CREATE TABLE kept (number integer)").execute(&pool).await.expect("is made");
    let options = (*pool.connect_options()).clone();
    let one = PgPoolOptions::new().max_connections(1).connect_with(options).await.expect("opens");
    for number in 0..200 {
        // The next one comes as soon as the connection is free, whatever is under way on it.
        let patience = Duration::from_micros(number * 5);
        let _ = tokio::time::timeout(patience, db::begin(&one)).await;
        let number = i32::try_from(number).expect("is small");
        let written = sqlx::query("INSERT INTO kept VALUES ($1)").bind(number).execute(&one).await;
        written.expect("is written");
        let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM kept")
            .fetch_one(&pool)
            .await
            .expect("is counted");
        assert_eq!(kept, i64::from(number) + 1, "others see it");
    }
}
