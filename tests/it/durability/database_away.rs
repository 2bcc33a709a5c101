use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::PgPool;

use super::{CONFIGURATION, Told, answer_at_once, settle};
use crate::support::{Caller, Deployment, Gate};

#[sqlx::test]
async fn nobody_waits_for_a_database_that_is_away_and_nothing_is_missing_afterwards(pool: PgPool) {
    let mut gate = Gate::open_to(&pool).await;
    let deployment = Deployment::start_at(&gate.url, CONFIGURATION).await;
    answer_at_once(&deployment);
    let caller = deployment.service.caller.clone();
    gate.shut();
    let told = Told::default();
    told.ask(&caller, 8, Instant::now() + Duration::from_secs(3)).await;
    println!(
        "{} answers while the database was away, the slowest after {:?}",
        told.count(),
        told.slowest()
    );
    assert!(told.count() > 50, "{}: the service goes on", told.count());
    assert!(told.slowest() < Duration::from_secs(2), "{:?}: nobody waits", told.slowest());
    let ready = caller.get("/readyz").await.body;
    assert_eq!(ready["status"], "degraded");
    assert!(ready["records"]["waiting"].as_u64().is_some_and(|waiting| waiting > 50), "{ready}");
    // Before the database is back, and behind it.
    told.assert_found(&caller).await;
    gate.open().await;
    settle(&caller).await;
    told.assert_found(&caller).await;
    told.assert_whole(&pool).await;
}

/// Asks for the health until it says so, and returns after how long that was. No answer waits for the database.
async fn wait_for_status(caller: &Caller, status: &str) -> Duration {
    let started = Instant::now();
    loop {
        let asked = Instant::now();
        let ready = caller.get("/readyz").await;
        assert!(asked.elapsed() < Duration::from_millis(1_500), "{:?}", asked.elapsed());
        assert_eq!(ready.status, 200);
        if ready.body["status"] == status {
            return started.elapsed();
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{}", ready.text);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[sqlx::test]
async fn the_health_is_told_at_once_and_as_it_is(pool: PgPool) {
    let mut gate = Gate::open_to(&pool).await;
    let deployment = Deployment::start_at(&gate.url, CONFIGURATION).await;
    let caller = deployment.service.caller.clone();
    wait_for_status(&caller, "ready").await;
    gate.shut();
    let noticed = wait_for_status(&caller, "degraded").await;
    assert!(noticed < Duration::from_secs(3), "{noticed:?}");
    gate.open().await;
    let noticed = wait_for_status(&caller, "ready").await;
    assert!(noticed < Duration::from_secs(3), "{noticed:?}");
}

#[sqlx::test]
async fn an_answer_that_would_be_stored_waits_two_seconds_for_the_database(pool: PgPool) {
    let gate = Gate::open_to(&pool).await;
    let deployment = Deployment::start_at(&gate.url, CONFIGURATION).await;
    answer_at_once(&deployment);
    let caller = deployment.service.caller.clone();
    gate.shut();
    let body = json!({"model": "code-reviewer", "input": "look"});
    let asked = Instant::now();
    let response = caller.post("/v1/responses", body).await;
    assert_eq!((response.status, &response.body["status"]), (200, &json!("completed")));
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
}

#[sqlx::test]
async fn what_was_told_is_found_though_the_service_is_killed_while_the_database_is_away(
    pool: PgPool,
) {
    let mut gate = Gate::open_to(&pool).await;
    let mut deployment = Deployment::start_at(&gate.url, CONFIGURATION).await;
    answer_at_once(&deployment);
    let caller = deployment.service.caller.clone();
    let told = Told::default();
    told.ask(&caller, 4, Instant::now() + Duration::from_millis(300)).await;
    gate.shut();
    told.ask(&caller, 4, Instant::now() + Duration::from_secs(1)).await;
    deployment.service.kill();
    gate.open().await;
    deployment.start_again().await;
    told.assert_found(&deployment.service.caller).await;
    told.assert_whole(&pool).await;
}

#[sqlx::test]
async fn a_journal_that_is_full_takes_nothing_new_until_the_database_has_taken_some(pool: PgPool) {
    let mut gate = Gate::open_to(&pool).await;
    let configuration = format!("{CONFIGURATION}storage: {{journal_bytes: 65536}}\n");
    let deployment = Deployment::start_at(&gate.url, &configuration).await;
    answer_at_once(&deployment);
    let caller = deployment.service.caller.clone();
    gate.shut();
    let run = json!({"agent": "code-reviewer", "input": "look", "model": "anthropic/m"});
    let mut ends = Vec::new();
    let refused = loop {
        let answer = caller.post("/v1/runs", run.clone()).await;
        if answer.status != 200 {
            break answer;
        }
        ends.push(answer.body["id"].as_str().expect("an id").to_owned());
        assert!(ends.len() < 500, "a small journal is full soon");
    };
    refused.problem(503, "unavailable");
    assert!(!refused.header("retry-after").is_empty());
    caller.dispatch("review my pull request").await.problem(503, "unavailable");
    assert_eq!(caller.get("/readyz").await.body["records"]["has_room"], false);
    gate.open().await;
    settle(&caller).await;
    for id in ends {
        assert_eq!(caller.get(&format!("/v1/runs/{id}")).await.body["status"], "completed");
    }
    // What is taken is removed with the next heartbeat.
    for _ in 0..300 {
        if caller.post("/v1/runs", run.clone()).await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing is taken any more");
}
