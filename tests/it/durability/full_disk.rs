use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::PgPool;
use tokio::time::timeout;

use super::CONFIGURATION;
use crate::support::{Caller, Deployment, Events, Pace, Reply, anthropic};

/// Some dozens of decisions.
const DISK_KILOBYTES: u32 = 64;

/// A service with a full disk, and a run that began before it was: its events, and its vendor's pace.
async fn with_full_disk(pool: &PgPool) -> (Deployment, Events, Pace) {
    let yaml = format!("{CONFIGURATION}limits: {{shutdown_grace_ms: 500}}\n");
    let deployment = Deployment::start_on_small_disk(pool, &yaml, DISK_KILOBYTES).await;
    let (reply, pace) = Reply::paced();
    deployment.vendor.replies(reply);
    let caller = deployment.service.caller.clone();
    let body = json!({"agent": "code-reviewer", "input": "look", "stream": true});
    let sending = async { pace.send(&(anthropic::start() + &anthropic::text("Once "))).await };
    let (mut events, ()) = tokio::join!(caller.stream_run(body), sending);
    events.wait_for("text.delta").await;
    fill_disk(&caller).await;
    (deployment, events, pace)
}

async fn fill_disk(caller: &Caller) {
    for _ in 0..1_000 {
        let answer = caller.dispatch("review my pull request").await;
        if answer.status != 200 {
            answer.problem(503, "unavailable");
            return;
        }
    }
    panic!("a small disk is full soon");
}

#[sqlx::test]
async fn a_full_disk_does_not_hold_up_a_stop(pool: PgPool) {
    let (mut deployment, _events, pace) = with_full_disk(&pool).await;
    // The run has ended, and nobody can be told.
    pace.send(&anthropic::end()).await;
    drop(pace);
    let asked = Instant::now();
    deployment.service.signal(nix::sys::signal::Signal::SIGTERM);
    let code = timeout(Duration::from_secs(40), deployment.service.wait()).await;
    assert_eq!(code.expect("it ends"), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    // What was on the disk is kept, and the run's end was told to nobody.
    deployment.start_again().await;
    let runs = deployment.service.caller.get("/v1/runs").await.body;
    assert_eq!(runs["items"][0]["error"]["code"], "interrupted", "{runs}");
}

#[sqlx::test]
async fn what_is_not_on_a_full_disk_is_not_waited_for(pool: PgPool) {
    let (deployment, _events, pace) = with_full_disk(&pool).await;
    let caller = deployment.service.caller.clone();
    // The newest state of the run is in memory alone.
    pace.send(&anthropic::end()).await;
    drop(pace);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let listing = timeout(Duration::from_secs(5), caller.get("/v1/runs"));
    let listed = listing.await.expect("it is answered");
    listed.problem(503, "unavailable");
    assert!(!listed.header("retry-after").is_empty());
    assert_eq!(caller.get("/readyz").await.body["records"]["has_room"], false);
}
