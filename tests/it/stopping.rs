//! A process that is told to stop, once or twice, or is killed, with runs under way.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Caller, Deployment, Events, Reply, TestApp, anthropic};

const CONFIGURATION: &str = "
providers:
  anthropic: {base_url: $VENDOR, api_key: a-key}
limits: {shutdown_grace_ms: 1500}
";

fn run(is_streaming: bool, is_background: bool) -> Value {
    json!({
        "agent": "code-reviewer", "input": "look", "stream": is_streaming, "background": is_background,
    })
}

/// A service whose provider has begun to answer and goes on for a while, or for ever.
async fn with_slow_vendor(pool: &PgPool, is_endless: bool) -> Deployment {
    let deployment = Deployment::start(pool, CONFIGURATION).await;
    deployment.vendor.answers(move |_| {
        let begun = [anthropic::start(), anthropic::text("Once ")];
        if is_endless {
            return Reply::events(&begun).then_silence();
        }
        let rest = [anthropic::text("upon a time"), anthropic::end()];
        Reply::slow_events(&[begun, rest].concat(), Duration::from_millis(200))
    });
    deployment
}

#[sqlx::test]
async fn runs_that_end_in_their_grace_end_well(pool: PgPool) {
    let mut deployment = with_slow_vendor(&pool, false).await;
    let caller = deployment.service.caller.clone();
    let mut events = caller.stream_run(run(true, false)).await;
    events.wait_for("text.delta").await;
    let background = caller.post("/v1/runs", run(false, true)).await;
    assert_eq!(background.status, 202);
    deployment.service.signal(Signal::SIGTERM);
    let end = events.wait_for("run.completed").await;
    assert_eq!(end["output"], "Once upon a time");
    assert_eq!(deployment.service.wait().await, Some(0));
    let statuses: Vec<String> =
        sqlx::query_scalar("SELECT status FROM runs").fetch_all(&pool).await.expect("is read");
    assert_eq!(statuses, ["completed"; 2]);
}

#[sqlx::test]
async fn requests_are_taken_until_whoever_sends_them_has_noticed(pool: PgPool) {
    let configuration = CONFIGURATION.replace("limits: {", "limits: {drain_ms: 1500, ");
    let mut deployment = Deployment::start(&pool, &configuration).await;
    let caller = deployment.service.caller.clone();
    let started = Instant::now();
    deployment.service.signal(Signal::SIGTERM);
    let not_ready = loop {
        let answer = caller.get("/readyz").await;
        if answer.status == 503 {
            break answer;
        }
        assert!(started.elapsed() < Duration::from_secs(1), "it is still ready");
    };
    assert_eq!(not_ready.body["status"], "stopping");
    assert_eq!(caller.dispatch("Review my diff").await.status, 200);
    assert_eq!(caller.unconnected().get("/livez").await.status, 200);
    assert_eq!(deployment.service.wait().await, Some(0));
    let took = started.elapsed();
    assert!((Duration::from_millis(1_500)..Duration::from_secs(6)).contains(&took), "{took:?}");
}

#[sqlx::test]
async fn runs_that_do_not_end_are_ended_and_told(pool: PgPool) {
    let mut deployment = with_slow_vendor(&pool, true).await;
    let caller = deployment.service.caller.clone();
    let mut events = caller.stream_run(run(true, false)).await;
    events.wait_for("text.delta").await;
    let waiting = tokio::spawn({
        let caller = caller.clone();
        async move { caller.post("/v1/runs", run(false, false)).await }
    });
    deployment.vendor.wait_for_requests(2).await;
    let started = Instant::now();
    deployment.service.signal(Signal::SIGTERM);
    let end = events.wait_for("run.failed").await;
    assert_eq!((&end["error"]["code"], &end["output"]), (&json!("interrupted"), &json!("Once ")));
    let refused = waiting.await.expect("does not panic");
    refused.problem(503, "unavailable");
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(refused.header("x-should-retry"), "", "another instance would answer");
    assert_eq!(deployment.service.wait().await, Some(0));
    let took = started.elapsed();
    assert!((Duration::from_millis(1_500)..Duration::from_secs(6)).contains(&took), "{took:?}");
}

#[sqlx::test]
async fn a_second_signal_ends_at_once(pool: PgPool) {
    let mut deployment = with_slow_vendor(&pool, true).await;
    let mut events = deployment.service.caller.stream_run(run(true, false)).await;
    events.wait_for("text.delta").await;
    let started = Instant::now();
    deployment.service.signal(Signal::SIGTERM);
    tokio::time::sleep(Duration::from_millis(200)).await;
    deployment.service.signal(Signal::SIGTERM);
    assert_eq!(deployment.service.wait().await, Some(130));
    assert!(started.elapsed() < Duration::from_millis(1_400));
}

/// The numbers and names of a run's events behind a number, to the end.
async fn follow(caller: &Caller, id: &str, last_event_id: u64) -> Vec<(u64, String)> {
    let told = caller.request(reqwest::Method::GET, &format!("/v1/runs/{id}/events"));
    let told = Events::read(told.header("last-event-id", last_event_id)).await.collect().await;
    told.into_iter().map(|(number, name, _)| (number, name)).collect()
}

#[sqlx::test]
async fn a_run_in_the_background_whose_instance_was_killed_is_told_to_have_failed(pool: PgPool) {
    let mut deployment = with_slow_vendor(&pool, true).await;
    let background = deployment.service.caller.post("/v1/runs", run(false, true)).await;
    let id = background.body["id"].as_str().expect("an id").to_owned();
    deployment.vendor.wait_for_requests(1).await;
    // What has happened is put on record every now and then.
    tokio::time::sleep(Duration::from_secs(1)).await;
    deployment.service.kill();
    // Another instance sees that its heart does not beat any more.
    sqlx::query("UPDATE instances SET heartbeat_at = now() - interval '1 minute'")
        .execute(&pool)
        .await
        .expect("is written");
    let app = TestApp::start(pool).await;
    let told = follow(&app.admin, &id, 0).await;
    let names: Vec<&str> = told.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["run.started", "agent.selected", "text.delta", "run.failed"]);
    let run = app.admin.get(&format!("/v1/runs/{id}")).await.body;
    assert_eq!((&run["error"]["code"], &run["output"]), (&json!("interrupted"), &json!("Once ")));
}

#[sqlx::test]
async fn who_comes_back_to_a_run_whose_instance_was_killed_hears_its_end(pool: PgPool) {
    let mut deployment = with_slow_vendor(&pool, true).await;
    let mut events = deployment.service.caller.stream_run(run(true, false)).await;
    events.wait_for("text.delta").await;
    let id = events.headers["x-rolecall-run"].to_str().expect("is text").to_owned();
    deployment.start_again().await;
    let caller = &deployment.service.caller;
    // Nothing of it is on record but that it was, and three events were told.
    let whole = follow(caller, &id, 0).await;
    let [(number, name)] = whole.as_slice() else { panic!("{whole:?}") };
    assert_eq!(name, "run.failed");
    for last_read in [1, 3, 42] {
        assert!(*number > last_read);
        assert_eq!(follow(caller, &id, last_read).await, whole);
    }
    assert!(follow(caller, &id, *number).await.is_empty(), "who has read the end is told no more");
}
