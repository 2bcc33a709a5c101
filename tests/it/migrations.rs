//! Migrations apply to a database with data in it, and apply once.

use rolecall::db::MIGRATOR;
use sqlx::{ConnectOptions, PgPool};

use crate::support::rolecall;

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

#[sqlx::test]
async fn a_database_of_another_version_is_told_as_such(pool: PgPool) {
    let url = pool.connect_options().to_url_lossy().to_string();
    let data = tempfile::tempdir().expect("a folder");
    let said_by = |verb: &str| {
        let mut command = rolecall();
        command.arg(verb).env("DATABASE_URL", &url).env("ROLECALL_DATA_DIR", data.path());
        let output = command.env("ROLECALL_LISTEN", "127.0.0.1:0").output().expect("it runs");
        assert!(!output.status.success(), "{verb}");
        String::from_utf8(output.stderr).expect("is UTF-8")
    };
    let known = MIGRATOR.iter().map(|migration| migration.version).max().expect("there are some");
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9001, 'of later', true, '', 0)",
    )
    .execute(&pool)
    .await
    .expect("is written");
    for verb in ["serve", "migrate"] {
        let said = said_by(verb);
        let words = ["newer version", "migration 9001", &format!("up to {known}"), "DATABASE_URL"];
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = 9001").execute(&pool).await.unwrap();
    sqlx::query("UPDATE _sqlx_migrations SET checksum = '' WHERE version = $1")
        .bind(known)
        .execute(&pool)
        .await
        .expect("is written");
    let said = said_by("serve");
    assert!(said.contains(&format!("another migration {known}")), "{said}");
}
