use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::PgPool;

use super::{CONFIGURATION, Told, answer_at_once};
use crate::support::{Deployment, Reply, TestApp, anthropic};

const CALLERS: usize = 8;

/// Kills a service under load and starts it anew, round after round. Returns what was told in all.
pub async fn survive(pool: &PgPool, rounds: u64) -> usize {
    let mut deployment = Deployment::start(pool, CONFIGURATION).await;
    answer_at_once(&deployment);
    let mut count = 0;
    for round in 0..rounds {
        let told = Told::default();
        let caller = deployment.service.caller.clone();
        // Each round is cut at another moment.
        let cut = Duration::from_millis(200 + round * 37 % 300);
        let killing = async {
            tokio::time::sleep(cut).await;
            deployment.service.signal(nix::sys::signal::Signal::SIGKILL);
        };
        let until = Instant::now() + Duration::from_secs(10);
        tokio::join!(told.ask(&caller, CALLERS, until), killing);
        assert!(told.count() > 0, "something was told in {cut:?}");
        deployment.start_again().await;
        told.assert_found(&deployment.service.caller).await;
        told.assert_whole(pool).await;
        count += told.count();
    }
    count
}

#[sqlx::test]
async fn what_was_told_before_the_service_was_killed_is_found_once(pool: PgPool) {
    survive(&pool, 3).await;
}

#[sqlx::test]
async fn a_run_that_was_accepted_is_found_however_soon_its_service_is_killed(pool: PgPool) {
    let mut deployment = Deployment::start(&pool, CONFIGURATION).await;
    deployment.vendor.answers(|_| Reply::silence());
    let body = json!({"agent": "code-reviewer", "input": "look", "background": true});
    for _ in 0..3 {
        let accepted = deployment.service.caller.post("/v1/runs", body.clone()).await;
        deployment.service.kill();
        assert_eq!(accepted.status, 202, "{}", accepted.text);
        deployment.start_again().await;
        let path = format!("/v1/runs/{}", accepted.body["id"].as_str().expect("an id"));
        let run = deployment.service.caller.get(&path).await.body;
        assert_eq!(
            (&run["status"], &run["error"]["code"]),
            (&json!("failed"), &json!("interrupted"))
        );
    }
}

/// Waits until the database has a run, as other instances see it.
async fn wait_for_row(pool: &PgPool) {
    for _ in 0..200 {
        let runs: i64 = sqlx::query_scalar("SELECT count(*) FROM runs")
            .fetch_one(pool)
            .await
            .expect("is counted");
        if runs > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no run comes into the database");
}

#[sqlx::test]
async fn a_run_that_was_given_up_too_early_ends_as_its_instance_says(pool: PgPool) {
    let app = TestApp::builder(pool.clone());
    let vendor = crate::support::FakeProvider::start().await;
    let (reply, pace) = Reply::paced();
    vendor.replies(reply);
    let app = app.provider(&vendor, rolecall::provider::DialectName::Anthropic).start().await;
    let body = json!({"agent": "code-reviewer", "input": "look", "background": true});
    let accepted = app.admin.post("/v1/runs", body).await;
    let path = format!("/v1/runs/{}", accepted.body["id"].as_str().expect("an id"));
    pace.send(&(anthropic::start() + &anthropic::text("Still "))).await;
    vendor.wait_for_requests(1).await;
    wait_for_row(&pool).await;
    // Another instance has not heard of this one for long.
    sqlx::query("UPDATE instances SET heartbeat_at = now() - interval '1 minute'")
        .execute(&pool)
        .await
        .expect("is written");
    let other = TestApp::start(pool).await;
    assert_eq!(other.admin.get(&path).await.body["error"]["code"], "interrupted");
    pace.send(&(anthropic::text("here.") + &anthropic::end())).await;
    drop(pace);
    for _ in 0..200 {
        let run = other.admin.get(&path).await.body;
        if run["status"] == "completed" {
            assert_eq!((&run["output"], &run["error"]), (&json!("Still here."), &json!(null)));
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the run stays as it was taken to be");
}
