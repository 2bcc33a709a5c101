use std::time::{Duration, Instant};

use rolecall::provider::DialectName;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{
    Answer, Caller, Events, FakeProvider, Refusal, Reply, TestApp, Wire, anthropic,
};

fn body(input: &str) -> Value {
    json!({"agent": "code-reviewer", "input": input})
}

async fn run(caller: &Caller, key: &str, body: &Value) -> Answer {
    let request = caller.request(reqwest::Method::POST, "/v1/runs");
    Answer::read(request.header("idempotency-key", key).json(body)).await
}

/// Asks until the run of the key is known to have ended: what one instance has done reaches another a little later.
async fn run_when_free(caller: &Caller, key: &str, body: &Value) -> Answer {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = run(caller, key, body).await;
        if answer.status != 409 {
            return answer;
        }
        answer.problem(409, "conflict");
        assert!(Instant::now() < until, "the key stays taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn with_provider(pool: PgPool) -> (FakeProvider, TestApp) {
    let provider = FakeProvider::start().await;
    let app = TestApp::builder(pool)
        .provider(&provider, DialectName::Anthropic)
        .without_retries()
        .start()
        .await;
    (provider, app)
}

#[sqlx::test]
async fn the_same_key_and_body_are_the_same_run(pool: PgPool) {
    let (provider, app) = with_provider(pool.clone()).await;
    provider.replies(Reply::json(200, &anthropic::message("Done.")));
    let first = run(&app.admin, "order-7", &body("look")).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let other = TestApp::start(pool).await;
    for app in [&app, &other] {
        let again = run_when_free(&app.admin, "order-7", &body("look")).await;
        assert_eq!((again.status, &again.body), (200, &first.body));
        assert_eq!(again.header("x-rolecall-run"), first.header("x-rolecall-run"));
    }
    assert_eq!(provider.received().len(), 1, "the provider is asked once");

    let request = app.admin.request(reqwest::Method::POST, "/v1/runs");
    let request = request.header("idempotency-key", "order-7").json(&body("look at that"));
    Answer::read(request).await.problem(422, "idempotency_key_reused");
}

#[sqlx::test]
async fn a_stream_is_told_again(pool: PgPool) {
    let (provider, app) = with_provider(pool).await;
    provider.replies(Reply::events(&[
        anthropic::start(),
        anthropic::text("Done."),
        anthropic::end(),
    ]));
    let mut body = body("look");
    body["stream"] = json!(true);
    let mut told = Vec::new();
    for _ in 0..2 {
        let request = app.admin.request(reqwest::Method::POST, "/v1/runs");
        let events = Events::read(request.header("idempotency-key", "s").json(&body)).await;
        told.push(events.collect().await);
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(provider.received().len(), 1);
}

#[sqlx::test]
async fn keys_belong_to_callers(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (one, other) = (app.caller(&["run"]).await, app.caller(&["run"]).await);
    let ids = [run(&one, "k", &body("a")).await, run(&other, "k", &body("b")).await]
        .map(|answer| answer.body["id"].clone());
    assert!(ids[0].is_string() && ids[1].is_string() && ids[0] != ids[1]);
}

#[sqlx::test]
async fn a_run_that_is_under_way_is_not_made_twice(pool: PgPool) {
    let (provider, app) = with_provider(pool.clone()).await;
    provider.answers(|_| Reply::silence());
    let mut body = body("look");
    body["background"] = json!(true);
    let first = run(&app.admin, "k", &body).await;
    assert_eq!(first.status, 202);
    provider.wait_for_requests(1).await;
    let other = TestApp::start(pool).await;
    for app in [&app, &other] {
        let again = run(&app.admin, "k", &body).await;
        assert_eq!(again.problem(409, "conflict")["run_id"], first.body["id"]);
    }
    assert_eq!(provider.received().len(), 1);
}

#[sqlx::test]
async fn of_many_at_once_one_runs(pool: PgPool) {
    let (provider, app) = with_provider(pool.clone()).await;
    let other = TestApp::builder(pool).provider(&provider, DialectName::Anthropic).start().await;
    provider.answers(|_| {
        Reply::json(200, &anthropic::message("Done.")).after(std::time::Duration::from_millis(300))
    });
    let calls = (0..20).map(|number| {
        let caller = if number % 2 == 0 { &app.admin } else { &other.admin };
        let caller = caller.clone();
        tokio::spawn(async move { run(&caller, "k", &body("look")).await })
    });
    let mut statuses = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        statuses.push(call.await.expect("does not panic").status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200);
    assert!(statuses[1..].iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
    assert_eq!(provider.received().len(), 1);
}

#[sqlx::test]
async fn a_failure_of_the_request_is_told_again_and_one_of_the_moment_is_not(pool: PgPool) {
    let (provider, app) = with_provider(pool).await;
    let wire = Wire(DialectName::Anthropic);
    for (key, refusal, status, requests) in
        [("bad", Refusal::BadRequest, 400, 1), ("busy", Refusal::RateLimited, 429, 2)]
    {
        let before = provider.received().len();
        let (provider_status, words) = wire.refusal(refusal, "no");
        provider.answers(move |_| Reply::json(provider_status, &words));
        let mut runs = Vec::new();
        for _ in 0..2 {
            runs.push(run(&app.admin, key, &body("look")).await);
        }
        assert!(runs.iter().all(|run| run.status == status), "{key}");
        assert_eq!(provider.received().len() - before, requests, "{key}");
        assert_eq!(runs[0].body["run_id"] == runs[1].body["run_id"], requests == 1, "{key}");
    }
}

#[sqlx::test]
async fn a_key_that_is_given_up_is_free_at_once(pool: PgPool) {
    let (provider, app) = with_provider(pool).await;
    let (status, words) = Wire(DialectName::Anthropic).refusal(Refusal::RateLimited, "no");
    provider.answers(move |_| Reply::json(status, &words));
    for _ in 0..30 {
        assert_eq!(run(&app.admin, "k", &body("look")).await.status, 429);
    }
}

#[sqlx::test]
async fn a_caller_whose_connection_broke_may_ask_again(pool: PgPool) {
    let (provider, app) = with_provider(pool).await;
    provider.replies(Reply::silence());
    let left = tokio::spawn({
        let caller = app.admin.clone();
        async move { run(&caller, "k", &body("look")).await.status }
    });
    provider.wait_for_requests(1).await;
    left.abort();
    provider.wait_until_over(1).await;
    provider.replies(Reply::json(200, &anthropic::message("Done.")));
    // The end of the first is put on record in a moment.
    let mut again = run(&app.admin, "k", &body("look")).await;
    for _ in 0..100 {
        if again.status != 409 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        again = run(&app.admin, "k", &body("look")).await;
    }
    assert_eq!((again.status, &again.body["output"]), (200, &json!("Done.")));
}

#[sqlx::test]
async fn a_caller_who_leaves_while_the_key_is_claimed_may_ask_again(pool: PgPool) {
    let (provider, app) = with_provider(pool.clone()).await;
    provider.replies(Reply::json(200, &anthropic::message("Done.")));
    // Runs can be read, and none can be added.
    let mut lock = pool.acquire().await.expect("a connection").detach();
    sqlx::raw_sql("BEGIN; LOCK TABLE runs IN SHARE MODE").execute(&mut lock).await.expect("locks");
    let request = app.admin.request(reqwest::Method::POST, "/v1/runs");
    let request = request.header("idempotency-key", "k").json(&body("look"));
    let left = request.timeout(Duration::from_millis(300)).send().await;
    assert!(left.is_err_and(|error| error.is_timeout()));
    drop(lock);
    let again = run_when_free(&app.admin, "k", &body("look")).await;
    assert_eq!((again.status, &again.body["output"]), (200, &json!("Done.")));
    let runs = app.admin.get("/v1/runs").await.body;
    let statuses: Vec<&Value> =
        runs["items"].as_array().expect("runs").iter().map(|run| &run["status"]).collect();
    assert_eq!(statuses, ["completed", "cancelled"]);
    app.stop().await;
}

#[sqlx::test]
async fn a_key_that_is_none_is_refused(pool: PgPool) {
    let app = TestApp::start(pool).await;
    for key in ["", "with space", &"k".repeat(256)] {
        run(&app.admin, key, &body("look")).await.problem(400, "invalid_request");
    }
}
