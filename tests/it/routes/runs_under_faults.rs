use std::time::Duration;

use rolecall::provider::DialectName;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{FakeProvider, Reply, TestApp, TestAppBuilder, Wire, anthropic, openai};

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
    let silence = |detail: &Value| {
        detail.as_str().expect("a text").replace("the provider was silent for 150 ms ", "")
    };
    let problem = answer.problem(504, "provider_timeout");
    assert_eq!(silence(&problem["detail"]), "before its response headers");

    let (reply, _pace) = Reply::paced();
    provider.replies(reply);
    let answer = app.admin.post("/v1/runs", run_of_a_named_agent(true)).await;
    let problem = answer.problem(504, "provider_timeout");
    assert_eq!(silence(&problem["detail"]), "before its first token");

    let (reply, pace) = Reply::paced();
    provider.replies(reply);
    pace.send(&anthropic::start()).await;
    pace.send(&anthropic::text("Hm")).await;
    let events = app.admin.stream_run(run_of_a_named_agent(true)).await;
    let (_, name, run) = events.collect().await.pop().expect("has an end");
    assert_eq!((name.as_str(), &run["error"]["code"]), ("run.failed", &json!("provider_timeout")));
    assert_eq!(silence(&run["error"]["detail"]), "between two pieces of its answer");
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

/// Where a run stands when its caller leaves.
#[derive(Clone, Copy, Debug)]
enum Phase {
    BeforeHeaders,
    BeforeTheFirstToken,
    InTheMiddle,
    /// The caller waits for the whole answer, of which there is a part.
    NotStreaming,
}

/// How soon a provider has to notice that nobody waits for its answer any more.
const SOON: Duration = Duration::from_millis(100);

/// Lets a run come to a phase and its caller leave, and says how long the provider wrote on for nobody.
async fn leave(app: &TestApp, provider: &FakeProvider, phase: Phase, number: usize) -> Duration {
    let (reply, pace) = if matches!(phase, Phase::BeforeHeaders) {
        (Reply::silence(), None)
    } else {
        let (reply, pace) = Reply::paced();
        (reply, Some(pace))
    };
    provider.replies(reply);
    let is_streaming = !matches!(phase, Phase::NotStreaming);
    let caller = app.admin.clone();
    let (told, mut content) = tokio::sync::mpsc::channel::<()>(1);
    let waiting = tokio::spawn(async move {
        if !is_streaming {
            caller.post("/v1/runs", run_of_a_named_agent(false)).await;
            return;
        }
        let mut events = caller.stream_run(run_of_a_named_agent(true)).await;
        events.wait_for("text.delta").await;
        told.send(()).await.expect("is waited for");
        std::future::pending::<()>().await;
    });
    provider.wait_for_requests(number).await;
    if let Some(pace) = &pace {
        pace.send(&anthropic::start()).await;
        if !matches!(phase, Phase::BeforeTheFirstToken) {
            pace.send(&anthropic::text("Once upon")).await;
        }
    }
    match phase {
        Phase::InTheMiddle => content.recv().await.expect("there is content"),
        // What was sent arrives.
        _ => tokio::time::sleep(Duration::from_millis(30)).await,
    }
    waiting.abort();
    provider.wait_until_over(number).await
}

#[sqlx::test]
async fn a_caller_who_leaves_ends_the_provider_call_at_once_in_every_phase(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = with_provider(pool.clone(), &provider).start().await;
    let mut number = 0;
    let phases =
        [Phase::BeforeHeaders, Phase::BeforeTheFirstToken, Phase::InTheMiddle, Phase::NotStreaming];
    for phase in phases {
        let mut took = Vec::new();
        for _ in 0..5 {
            number += 1;
            took.push(leave(&app, &provider, phase, number).await);
        }
        took.sort_unstable();
        println!("{phase:?}: the provider notices within {:?}, {:?} at most", took[2], took[4]);
        // The machine may be busy with other tests for a moment.
        assert!(took[2] < SOON, "{phase:?}: {took:?}");
    }
    app.stop().await;
    let statuses: Vec<String> =
        sqlx::query_scalar("SELECT status FROM runs").fetch_all(&pool).await.expect("is read");
    assert_eq!(statuses, ["cancelled"; 20]);
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

/// Begins a run whose caller does not read; the provider writes more than the buffers between the two hold, and on
/// until the run ends or has been written so many pieces.
async fn begin_unread(
    app: &TestApp,
    provider: &FakeProvider,
    pieces: usize,
) -> (reqwest::Response, tokio::task::JoinHandle<()>) {
    let (reply, pace) = Reply::paced();
    provider.replies(reply);
    let request = app.admin.request(reqwest::Method::POST, "/v1/runs");
    let sending = tokio::spawn(async move {
        pace.send(&anthropic::start()).await;
        let piece = anthropic::text(&"x".repeat(10_000));
        for _ in 0..pieces {
            if !pace.is_read(&piece).await {
                return;
            }
        }
        pace.send(&anthropic::end()).await;
    });
    (request.json(&run_of_a_named_agent(true)).send().await.expect("answers"), sending)
}

#[sqlx::test]
async fn a_caller_who_does_not_read_holds_up_no_run(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = with_provider(pool.clone(), &provider).start().await;
    let (unread, sending) = begin_unread(&app, &provider, 2_000).await;
    let wrote = tokio::time::timeout(Duration::from_secs(30), sending).await;
    wrote.expect("all is read in time").expect("does not panic");
    assert_eq!(recorded_status(&pool).await, "completed");
    // All of it is still there for whoever reads late.
    let told = crate::support::Events::of(unread).collect().await;
    let texts = told.iter().filter(|(_, name, _)| name == "text.delta");
    let characters: usize =
        texts.map(|(_, _, data)| data["text"].as_str().map_or(0, str::len)).sum();
    assert_eq!(characters, 20_000_000);
    assert_eq!(told.last().map(|(_, name, _)| name.as_str()), Some("run.completed"));
}

#[sqlx::test]
async fn a_caller_who_does_not_read_holds_up_no_cancel(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = with_provider(pool.clone(), &provider).start().await;
    let (unread, sending) = begin_unread(&app, &provider, usize::MAX).await;
    let run = unread.headers()["x-rolecall-run"].to_str().expect("is text").to_owned();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let cancelled = app.admin.post(&format!("/v1/runs/{run}/cancel"), json!({})).await;
    assert_eq!(cancelled.body["status"], "cancelled", "{}", cancelled.text);
    sending.await.expect("does not panic");
}

#[sqlx::test]
async fn a_caller_who_does_not_read_holds_up_no_stop(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = with_provider(pool.clone(), &provider)
        .configure(|config| config.shutdown_grace = Duration::from_millis(100))
        .start()
        .await;
    let (unread, sending) = begin_unread(&app, &provider, usize::MAX).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let stop = tokio::time::timeout(Duration::from_secs(30), app.stop()).await;
    assert!(stop.is_ok(), "the service stops");
    drop(unread);
    sending.await.expect("does not panic");
    assert_eq!(recorded_status(&pool).await, "failed");
}

#[sqlx::test]
async fn frames_and_characters_may_be_split_anywhere(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let mut builder = TestApp::builder(pool);
    for wire in Wire::ALL {
        builder = builder.provider(&provider, wire.0);
    }
    let app = builder.start().await;
    for wire in Wire::ALL {
        for size in [1, 7] {
            provider
                .replies(Reply::dribble(&wire.frames("m", &["Ein Wört", "chen, ", "🦀."]), size));
            let mut body = run_of_a_named_agent(true);
            body["model"] = json!(format!("{}/m", wire.name()));
            let (_, name, run) =
                app.admin.stream_run(body).await.collect().await.pop().expect("has an end");
            assert_eq!(
                (name.as_str(), &run["output"]),
                ("run.completed", &json!("Ein Wörtchen, 🦀."))
            );
        }
    }
}

#[sqlx::test]
async fn a_connection_that_is_reset_in_an_answer_is_a_cut(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let frames = [anthropic::start(), anthropic::text("Half")];
    provider.replies(Reply::events(&frames).then_reset());
    let app = with_provider(pool, &provider).start().await;
    let events = app.admin.stream_run(run_of_a_named_agent(true)).await;
    let (_, name, run) = events.collect().await.pop().expect("has an end");
    assert_eq!((name.as_str(), &run["error"]["code"]), ("run.truncated", &json!("truncated")));
}

#[sqlx::test]
async fn no_clock_ends_an_answer_that_moves(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = with_provider(pool, &provider)
        .configure(|config| {
            let short = Duration::from_millis(500);
            config.provider.clocks.response_header = short;
            config.provider.clocks.first_token = short;
            config.provider.clocks.idle = short;
        })
        .start()
        .await;
    let frames = Wire(DialectName::Anthropic).frames("m", &["a"; 20]);
    for is_streaming in [true, false] {
        provider.replies(Reply::slow_events(&frames, Duration::from_millis(100)));
        let mut body = run_of_a_named_agent(is_streaming);
        body["background"] = json!(false);
        let run = if is_streaming {
            app.admin.stream_run(body).await.wait_for("run.completed").await
        } else {
            app.admin.post("/v1/runs", body).await.body
        };
        assert_eq!(run["output"], "a".repeat(20));
        assert!(run["attempts"][0]["ms"].as_u64().expect("a number") > 1_500);
    }
}

#[sqlx::test]
async fn a_tool_call_that_takes_long_to_write_is_a_sign_of_life(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = with_provider(pool, &provider)
        .configure(|config| config.provider.clocks.first_token = Duration::from_millis(500))
        .start()
        .await;
    let block = |data: Value| anthropic::frame(&data);
    let mut frames = vec![
        block(
            json!({"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 1}}}),
        ),
        block(json!({
            "type": "content_block_start", "index": 0,
            "content_block": {"type": "tool_use", "id": "t", "name": "write", "input": {}},
        })),
    ];
    let mut piece = |json: &str| {
        frames.push(block(json!({
            "type": "content_block_delta", "index": 0,
            "delta": {"type": "input_json_delta", "partial_json": json},
        })));
    };
    piece("{\"text\": \"");
    (0..10).for_each(|_| piece("word "));
    piece("\"}");
    frames.extend([
        block(json!({"type": "content_block_stop", "index": 0})),
        block(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}})),
        anthropic::last(),
    ]);
    provider.replies(Reply::slow_events(&frames, Duration::from_millis(100)));
    let run =
        app.admin.stream_run(run_of_a_named_agent(true)).await.wait_for("run.completed").await;
    assert_eq!(run["tool_calls"][0]["arguments"]["text"], "word ".repeat(10));
}

#[sqlx::test]
async fn an_error_that_is_reported_behind_the_finish_reason_counts(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = TestApp::builder(pool).provider(&provider, DialectName::Gemini).start().await;
    let (_, error) = Wire(DialectName::Gemini).refusal(crate::support::Refusal::Overloaded, "busy");
    let frames = [
        crate::support::gemini::text("I"),
        crate::support::gemini::end(),
        error.to_string() + "\n\n",
    ];
    provider.replies(Reply::events(&frames));
    let events = app.admin.stream_run(run_of_a_named_agent(true)).await;
    let (_, name, run) = events.collect().await.pop().expect("has an end");
    assert_eq!(
        (name.as_str(), &run["error"]["code"]),
        ("run.failed", &json!("provider_overloaded"))
    );
}
