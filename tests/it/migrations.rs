//! Migrations apply to a database with data in it, and apply once.

use rolecall::db::MIGRATOR;
use sqlx::PgPool;

#[sqlx::test(migrations = false)]
async fn each_migration_meets_the_data_of_the_one_before(pool: PgPool) {
    for migration in MIGRATOR.iter() {
        sqlx::raw_sql(migration.sql.clone()).execute(&pool).await.expect("it applies");
        let seed = format!("tests/fixtures/migrations/{:04}.sql", migration.version);
        let seed = std::fs::read_to_string(&seed)
            .unwrap_or_else(|_| panic!("each migration comes with data for the next one: {seed}"));
        sqlx::raw_sql(sqlx::AssertSqlSafe(seed)).execute(&pool).await.expect("the data fits");
    }
}

#[sqlx::test(migrations = false)]
async fn migrating_twice_changes_nothing(pool: PgPool) {
    MIGRATOR.run(&pool).await.expect("the first time");
    MIGRATOR.run(&pool).await.expect("the second time");
    let roster_revision: i64 = sqlx::query_scalar("SELECT roster_revision FROM change_counters")
        .fetch_one(&pool)
        .await
        .expect("is there");
    assert_eq!(roster_revision, 0);
}
