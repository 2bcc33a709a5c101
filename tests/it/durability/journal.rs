use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::PgPool;

use super::{CONFIGURATION, Told, answer_at_once, segments, settle};
use crate::support::{Deployment, Gate, Reply};

#[sqlx::test]
async fn a_record_that_was_cut_is_dropped_and_said_and_the_others_are_there(pool: PgPool) {
    let mut gate = Gate::open_to(&pool).await;
    let mut deployment = Deployment::start_at(&gate.url, CONFIGURATION).await;
    answer_at_once(&deployment);
    gate.shut();
    let told = Told::default();
    let until = Instant::now() + Duration::from_millis(300);
    told.ask(&deployment.service.caller.clone(), 4, until).await;
    deployment.service.kill();
    let last = segments(deployment.data_dir()).pop().expect("a journal");
    let mut file = std::fs::File::options().append(true).open(&last).expect("is opened");
    file.write_all(&[200, 0, 0, 0, 1, 2, 3, 4, 5, 6]).expect("is written");
    gate.open().await;
    deployment.start_again().await;
    told.assert_found(&deployment.service.caller).await;
    assert!(segments(deployment.data_dir()).iter().all(|segment| *segment != last));
    deployment.service.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(deployment.service.wait().await, Some(0));
    let log = deployment.service.whole_log();
    assert!(log.contains("no whole record, and is dropped"), "{log}");
}

#[sqlx::test]
async fn two_instances_may_share_a_data_directory(pool: PgPool) {
    let mut deployment = Deployment::start(&pool, CONFIGURATION).await;
    deployment.vendor.answers(|_| Reply::silence());
    let other = deployment.start_another().await;
    let body = json!({"agent": "code-reviewer", "input": "look", "background": true});
    let cut = deployment.service.caller.post("/v1/runs", body.clone()).await.body;
    let kept = other.caller.post("/v1/runs", body).await.body;
    deployment.vendor.wait_for_requests(2).await;
    // Whoever comes next finds the journal of the one that is gone, and leaves the other's alone.
    deployment.start_again().await;
    let find = async |run: &serde_json::Value| {
        let path = format!("/v1/runs/{}", run["id"].as_str().expect("an id"));
        other.caller.get(&path).await.body
    };
    assert_eq!(find(&cut).await["error"]["code"], "interrupted");
    assert_eq!(find(&kept).await["status"], "connecting");
}

#[sqlx::test]
async fn a_service_that_has_stopped_leaves_no_journal(pool: PgPool) {
    let mut deployment = Deployment::start(&pool, CONFIGURATION).await;
    answer_at_once(&deployment);
    let told = Told::default();
    let until = Instant::now() + Duration::from_millis(200);
    told.ask(&deployment.service.caller.clone(), 2, until).await;
    assert!(!segments(deployment.data_dir()).is_empty());
    assert!(deployment.service.stop());
    assert!(segments(deployment.data_dir()).is_empty());
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM journals")
        .fetch_one(&pool)
        .await
        .expect("is read");
    assert_eq!(left, 0);
    told.assert_whole(&pool).await;
}

#[sqlx::test]
async fn a_journal_of_another_version_waits_for_that_version(pool: PgPool) {
    let mut gate = Gate::open_to(&pool).await;
    let mut deployment = Deployment::start_at(&gate.url, CONFIGURATION).await;
    answer_at_once(&deployment);
    gate.shut();
    let told = Told::default();
    let until = Instant::now() + Duration::from_millis(300);
    told.ask(&deployment.service.caller.clone(), 2, until).await;
    deployment.service.kill();
    let left = segments(deployment.data_dir());
    let lock = left[0].with_file_name("lock");
    let format = std::fs::read(&lock).expect("is read");
    // As the first format had it.
    std::fs::write(&lock, "").expect("is written");
    gate.open().await;
    deployment.start_again().await;
    assert!(left.iter().all(|segment| segment.exists()), "what cannot be read is kept");
    deployment.service.kill();
    assert!(deployment.service.whole_log().contains("of another version of the service"));
    std::fs::write(&lock, format).expect("is written");
    deployment.start_again().await;
    assert!(left.iter().all(|segment| !segment.exists()));
    told.assert_found(&deployment.service.caller).await;
}

#[sqlx::test]
async fn a_journal_waits_for_the_database_that_it_belongs_to(pool: PgPool) {
    let mut gate = Gate::open_to(&pool).await;
    let mut deployment = Deployment::start_at(&gate.url, CONFIGURATION).await;
    answer_at_once(&deployment);
    gate.shut();
    let told = Told::default();
    let until = Instant::now() + Duration::from_millis(300);
    told.ask(&deployment.service.caller.clone(), 2, until).await;
    deployment.service.kill();
    let left = segments(deployment.data_dir());
    // Another database, which knows nothing of this instance.
    sqlx::query("ALTER TABLE journals RENAME TO journals_elsewhere")
        .execute(&pool)
        .await
        .expect("is done");
    sqlx::query("CREATE TABLE journals (LIKE journals_elsewhere INCLUDING ALL)")
        .execute(&pool)
        .await
        .expect("is done");
    gate.open().await;
    deployment.start_again().await;
    assert!(left.iter().all(|segment| segment.exists()), "what is not of this database is kept");
    deployment.service.kill();
    sqlx::query("INSERT INTO journals SELECT * FROM journals_elsewhere")
        .execute(&pool)
        .await
        .expect("is done");
    deployment.start_again().await;
    assert!(left.iter().all(|segment| !segment.exists()));
    told.assert_found(&deployment.service.caller).await;
}

/// How many rows there are of each kind, and how many runs were counted.
async fn count_rows(pool: &PgPool) -> [i64; 4] {
    let counts = [
        "SELECT count(*) FROM dispatches",
        "SELECT count(*) FROM runs",
        "SELECT count(*) FROM run_events",
        "SELECT sum(runs)::bigint FROM usage_by_day",
    ];
    let mut rows = [0; 4];
    for (rows, count) in rows.iter_mut().zip(counts) {
        *rows = sqlx::query_scalar(count).fetch_one(pool).await.expect("is read");
    }
    rows
}

#[sqlx::test]
async fn records_that_the_database_has_already_are_not_written_again(pool: PgPool) {
    let mut deployment = Deployment::start(&pool, CONFIGURATION).await;
    answer_at_once(&deployment);
    let told = Told::default();
    let caller = deployment.service.caller.clone();
    told.ask(&caller, 4, Instant::now() + Duration::from_millis(300)).await;
    settle(&caller).await;
    deployment.service.kill();
    let rows = count_rows(&pool).await;
    // As if the answer to the commit had never come.
    let forgotten = sqlx::query("UPDATE journals SET taken = 0").execute(&pool).await;
    assert_eq!(forgotten.expect("is done").rows_affected(), 1);
    deployment.start_again().await;
    assert_eq!(count_rows(&pool).await, rows);
    told.assert_found(&deployment.service.caller).await;
    told.assert_whole(&pool).await;
    deployment.service.kill();
    let log = deployment.service.whole_log();
    assert!(log.contains("the journal of an instance that is gone is written"), "{log}");
    assert!(!log.contains("is lost"), "{log}");
}
