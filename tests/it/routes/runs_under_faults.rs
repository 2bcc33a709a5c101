use std::time::Duration;

use rolecall::provider::DialectName;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{FakeProvider, Reply, TestApp, TestAppBuilder, anthropic, openai};

fn with_provider(pool: PgPool, provider: &FakeProvider) -> TestAppBuilder {
    TestApp::builder(pool).provider(provider, DialectName::Anthropic).without_retries()
}

fn run_of_a_named_agent(is_streaming: bool) -> Value {
    json!({"agent": "code-reviewer", "input": "look at this", "stream": is_streaming})
}

/// The status of the only run on record, once it has one.
async fn recorded_status(pool: &PgPool) -> String {
    for _ in 0..100 {
        let status: Option<String> =
            sqlx::query_scalar("SELECT status FROM runs WHERE ended_at IS NOT NULL")
                .fetch_optional(pool)
                .await
                .expect("is read");
        if let Some(status) = status {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the run does not end");
}

#[sqlx::test]
async fn errors_before_the_answer_have_their_own_status(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = with_provider(pool, &provider).start().await;
    let too_long = anthropic::error("invalid_request_error", "prompt is too long: 300000 tokens");
    let bad = anthropic::error("invalid_request_error", "tools.0.name: bad");
    let other = anthropic::error("x", "internal detail");
    for (status, body, expected, code) in [
        (429, &other, 429, "rate_limited"),
        (400, &too_long, 400, "context_length_exceeded"),
        (400, &bad, 400, "invalid_request"),
        (401, &other, 502, "provider_failed"),
        (500, &other, 502, "provider_failed"),
        (503, &other, 503, "provider_overloaded"),
        (529, &other, 503, "provider_overloaded"),
    ] {
        for is_streaming in [false, true] {
            provider.replies(Reply::json(status, body).with_header("retry-after", "7"));
            let answer = app.admin.post("/v1/runs", run_of_a_named_agent(is_streaming)).await;
            let problem = answer.problem(expected, code);
            assert!(!problem.to_string().contains("internal detail"));
            if matches!(expected, 429 | 503) {
                assert_eq!(answer.header("retry-after"), "7");
            }
            assert_eq!(answer.header("x-rolecall-run"), problem["run_id"]);
        }
    }
}

#[sqlx::test]
async fn an_error_behind_a_good_start_is_not_a_200(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let overloaded = anthropic::frame(&anthropic::error("overloaded_error", "busy"));
    provider.replies(Reply::events(&[anthropic::start(), overloaded]));
    let app = with_provider(pool, &provider).start().await;
    let answer = app.admin.post("/v1/runs", run_of_a_named_agent(true)).await;
    answer.problem(503, "provider_overloaded");
}

#[sqlx::test]
async fn an_error_behind_content_is_the_streams_last_event(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let overloaded = anthropic::frame(&anthropic::error("overloaded_error", "busy"));
    provider.replies(Reply::events(&[anthropic::start(), anthropic::text("Hm"), overloaded]));
    let app = with_provider(pool, &provider).start().await;
    let events = app.admin.stream_run(run_of_a_named_agent(true)).await;
    assert_eq!(events.status, 200);
    let (_, name, run) = events.collect().await.pop().expect("has an end");
    assert_eq!(name, "run.failed");
    assert_eq!(run["error"]["code"], "provider_overloaded");
    assert_eq!(run["output"], "Hm");
}

#[sqlx::test]
async fn a_cut_answer_is_never_a_clean_one(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = with_provider(pool, &provider).provider(&provider, DialectName::Openai).start().await;
    let anthropic_cut = || Reply::events(&[anthropic::start(), anthropic::text("Half")]);
    let openai_cut = || Reply::events(&[openai::text("Half")]);
    let cuts: [(&str, &dyn Fn() -> Reply); 2] =
        [("sonnet", &anthropic_cut), ("gpt-test", &openai_cut)];
    for (model, cut) in cuts {
        provider.replies(cut());
        let mut body = run_of_a_named_agent(true);
        body["model"] = json!(model);
        let (_, name, run) =
            app.admin.stream_run(body.clone()).await.collect().await.pop().expect("has an end");
        assert_eq!((name.as_str(), &run["status"]), ("run.truncated", &json!("truncated")));
        assert_eq!(run["output"], "Half");

        provider.replies(cut());
        body["stream"] = json!(false);
        let answer = app.admin.post("/v1/runs", body).await;
        let problem = answer.problem(502, "provider_failed");
        let path = format!("/v1/runs/{}", problem["run_id"].as_str().expect("an id"));
        assert_eq!(app.admin.get(&path).await.body["status"], "truncated");
    }
}

#[sqlx::test]
async fn a_provider_that_cannot_be_reached_is_a_502(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = with_provider(pool, &provider)
        .configure(|config| {
            config.provider.providers[0].base_url = "http://127.0.0.1:9".parse().expect("a URL");
        })
        .start()
        .await;
    app.admin.post("/v1/runs", run_of_a_named_agent(false)).await.problem(502, "provider_failed");
}

#[sqlx::test]
async fn each_clock_ends_a_silence(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let short = Duration::from_millis(150);
    let app = with_provider(pool, &provider)
        .configure(|config| {
            config.provider.clocks.response_header = short;
            config.provider.clocks.first_token = short;
            config.provider.clocks.idle = short;
        })
        .start()
        .await;
    provider.replies(Reply::silence());
    let answer = app.admin.post("/v1/runs", run_of_a_named_agent(true)).await;
    answer.problem(504, "provider_timeout");

    let (reply, _pace) = Reply::paced();
    provider.replies(reply);
    let answer = app.admin.post("/v1/runs", run_of_a_named_agent(true)).await;
    answer.problem(504, "provider_timeout");

    let (reply, pace) = Reply::paced();
    provider.replies(reply);
    pace.send(&anthropic::start()).await;
    pace.send(&anthropic::text("Hm")).await;
    let events = app.admin.stream_run(run_of_a_named_agent(true)).await;
    let (_, name, run) = events.collect().await.pop().expect("has an end");
    assert_eq!((name.as_str(), &run["error"]["code"]), ("run.failed", &json!("provider_timeout")));
}

#[sqlx::test]
async fn a_run_has_a_longest_time(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let (reply, _pace) = Reply::paced();
    provider.replies(reply);
    let app = with_provider(pool, &provider)
        .configure(|config| config.conversation.run_timeout = Duration::from_millis(200))
        .start()
        .await;
    let answer = app.admin.post("/v1/runs", run_of_a_named_agent(false)).await;
    answer.problem(504, "provider_timeout");
}

#[sqlx::test]
async fn silence_is_held_and_then_kept_alive(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let (reply, pace) = Reply::paced();
    provider.replies(reply);
    let app = with_provider(pool, &provider)
        .configure(|config| {
            config.http.hold = Duration::from_millis(100);
            config.http.keep_alive_interval = Duration::from_millis(50);
        })
        .start()
        .await;
    // Nothing has come from the provider, and yet the status is there once the hold is over.
    let request = app.admin.request(reqwest::Method::POST, "/v1/runs");
    let mut response =
        request.json(&run_of_a_named_agent(true)).send().await.expect("the service answers");
    assert_eq!(response.status(), 200);
    let mut text = String::new();
    while !text.contains(": keep-alive") {
        let piece = response.chunk().await.expect("goes on").expect("is not over");
        text.push_str(&String::from_utf8_lossy(&piece));
    }
    pace.send(&(anthropic::start() + &anthropic::text("At last") + &anthropic::end())).await;
    while !text.contains("run.completed") {
        let piece = response.chunk().await.expect("goes on").expect("is not over");
        text.push_str(&String::from_utf8_lossy(&piece));
    }
}

#[sqlx::test]
async fn a_connection_that_stays_open_does_not_hold_up_the_end(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = with_provider(pool, &provider)
        .provider(&provider, DialectName::Openai)
        .configure(|config| config.provider.clocks.idle = Duration::from_hours(1))
        .start()
        .await;
    let whole = [
        ("sonnet", anthropic::start() + &anthropic::text("All") + &anthropic::end()),
        ("gpt-test", openai::text("All") + &openai::end()),
    ];
    for (model, text) in whole {
        let (reply, pace) = Reply::paced();
        provider.replies(reply);
        pace.send(&text).await;
        let mut body = run_of_a_named_agent(true);
        body["model"] = json!(model);
        let (_, name, _) =
            app.admin.stream_run(body).await.collect().await.pop().expect("has an end");
        assert_eq!(name, "run.completed");
        drop(pace);
    }
}

#[sqlx::test]
async fn a_caller_who_leaves_ends_the_provider_call_before_headers(pool: PgPool) {
    let provider = FakeProvider::start().await;
    provider.replies(Reply::silence());
    let app = with_provider(pool.clone(), &provider).start().await;
    let run = tokio::spawn({
        let caller = app.admin.clone();
        async move { caller.post("/v1/runs", run_of_a_named_agent(false)).await.status }
    });
    provider.wait_for_requests(1).await;
    run.abort();
    assert!(provider.wait_until_over(1).await < Duration::from_secs(1));
    assert_eq!(recorded_status(&pool).await, "cancelled");
}

#[sqlx::test]
async fn a_caller_who_leaves_ends_the_provider_call_before_the_first_token(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let (reply, pace) = Reply::paced();
    provider.replies(reply);
    let app = with_provider(pool.clone(), &provider).start().await;
    let run = tokio::spawn({
        let caller = app.admin.clone();
        async move { caller.stream_run(run_of_a_named_agent(true)).await.status }
    });
    provider.wait_for_requests(1).await;
    pace.send(&anthropic::start()).await;
    run.abort();
    assert!(provider.wait_until_over(1).await < Duration::from_secs(1));
    assert_eq!(recorded_status(&pool).await, "cancelled");
}

#[sqlx::test]
async fn a_caller_who_leaves_ends_the_provider_call_in_the_middle(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let (reply, pace) = Reply::paced();
    provider.replies(reply);
    let app = with_provider(pool.clone(), &provider).start().await;
    pace.send(&(anthropic::start() + &anthropic::text("Once upon"))).await;
    let mut events = app.admin.stream_run(run_of_a_named_agent(true)).await;
    events.wait_for("text.delta").await;
    drop(events);
    assert!(provider.wait_until_over(1).await < Duration::from_secs(1));
    assert_eq!(recorded_status(&pool).await, "cancelled");
}

#[sqlx::test]
async fn a_stop_lets_streams_end_and_then_ends_them(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let (reply, pace) = Reply::paced();
    provider.replies(reply);
    let app = with_provider(pool.clone(), &provider)
        .configure(|config| config.shutdown_grace = Duration::from_millis(200))
        .start()
        .await;
    pace.send(&(anthropic::start() + &anthropic::text("Once upon"))).await;
    let mut events = app.admin.stream_run(run_of_a_named_agent(true)).await;
    events.wait_for("text.delta").await;
    let stop = tokio::spawn(app.stop());
    let (_, name, run) = events.collect().await.pop().expect("has an end");
    assert_eq!((name.as_str(), &run["error"]["code"]), ("run.failed", &json!("interrupted")));
    stop.await.expect("stops");
    assert_eq!(recorded_status(&pool).await, "failed");
}

#[sqlx::test]
async fn a_caller_who_does_not_read_holds_up_no_stop(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let (reply, pace) = Reply::paced();
    provider.replies(reply);
    let app = with_provider(pool.clone(), &provider)
        .configure(|config| config.shutdown_grace = Duration::from_millis(100))
        .start()
        .await;
    let request = app.admin.request(reqwest::Method::POST, "/v1/runs");
    let sending = tokio::spawn(async move {
        pace.send(&anthropic::start()).await;
        // More than the buffers between here and the caller hold.
        let piece = anthropic::text(&"x".repeat(10_000));
        while pace.is_read(&piece).await {}
    });
    let unread = request.json(&run_of_a_named_agent(true)).send().await.expect("answers");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let stop = tokio::time::timeout(Duration::from_secs(30), app.stop()).await;
    assert!(stop.is_ok(), "the service stops");
    drop(unread);
    sending.await.expect("does not panic");
    assert_eq!(recorded_status(&pool).await, "failed");
}
