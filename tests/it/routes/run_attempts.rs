use std::time::{Duration, Instant};

use rolecall::provider::{DialectName, Target};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{
    Deployment, FakeProvider, Refusal, Reply, TestApp, TestAppBuilder, Wire, anthropic,
};

const WIRE: Wire = Wire(DialectName::Anthropic);

/// A service whose alias `fast` has two models of one provider.
async fn with_two_targets(pool: PgPool) -> (FakeProvider, TestAppBuilder) {
    let provider = FakeProvider::start().await;
    let builder = TestApp::builder(pool)
        .provider(&provider, DialectName::Anthropic)
        .alias("fast", [Target::new("anthropic", "first"), Target::new("anthropic", "second")]);
    (provider, builder)
}

fn run_with(model: &str) -> Value {
    json!({"agent": "code-reviewer", "input": "look", "model": model})
}

fn refusal(refusal: Refusal) -> Reply {
    let (status, body) = WIRE.refusal(refusal, "some words");
    Reply::json(status, &body)
}

fn outcomes(run: &Value) -> Vec<String> {
    let attempts = run["attempts"].as_array().expect("a list");
    attempts
        .iter()
        .map(|attempt| format!("{} {}", attempt["model"], attempt["outcome"]).replace('"', ""))
        .collect()
}

#[sqlx::test]
async fn what_may_help_is_tried_and_told(pool: PgPool) {
    let (provider, builder) = with_two_targets(pool).await;
    let app = builder.start().await;
    for reply in [
        refusal(Refusal::Overloaded),
        refusal(Refusal::Failed),
        Reply::json(200, &WIRE.message("second-served", "Done.")),
    ] {
        provider.replies(reply);
    }
    let answer = app.admin.post("/v1/runs", run_with("fast")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(outcomes(&answer.body), ["first overloaded", "first failed", "second ok"]);
    assert_eq!(answer.header("x-rolecall-attempts"), "3");
    assert_eq!(answer.header("x-rolecall-model"), "anthropic/second-served");
    assert_eq!(
        answer.body["model"],
        json!({"requested": "fast", "resolved": "anthropic/second-served", "rule": "alias"})
    );
    let path = format!("/v1/runs/{}", answer.body["id"].as_str().expect("an id"));
    assert_eq!(app.admin.get(&path).await.body["attempts"], answer.body["attempts"]);
}

#[sqlx::test]
async fn a_stream_tries_again_until_it_has_content(pool: PgPool) {
    let (provider, builder) = with_two_targets(pool).await;
    let app = builder.start().await;
    let overloaded = anthropic::frame(&anthropic::error("overloaded_error", "busy"));
    provider.replies(Reply::events(&[anthropic::start(), overloaded]));
    provider.replies(Reply::events(&WIRE.frames("first-served", &["Done."])));
    let mut body = run_with("fast");
    body["stream"] = json!(true);
    let events = app.admin.stream_run(body).await;
    assert_eq!(
        (events.status, &events.headers["x-rolecall-attempts"]),
        (200, &"2".parse().expect("a value"))
    );
    let (_, name, run) = events.collect().await.pop().expect("has an end");
    assert_eq!(name, "run.completed");
    assert_eq!(outcomes(&run), ["first overloaded", "first ok"]);
}

/// The beginning of an answer whose model thinks.
fn thinking() -> Vec<String> {
    let block = json!({"type": "thinking", "thinking": "", "signature": ""});
    let delta = json!({"type": "thinking_delta", "thinking": "Hm."});
    vec![
        anthropic::start(),
        anthropic::frame(
            &json!({"type": "content_block_start", "index": 1, "content_block": block}),
        ),
        anthropic::frame(&json!({"type": "content_block_delta", "index": 1, "delta": delta})),
    ]
}

#[sqlx::test]
async fn thinking_that_no_caller_is_shown_is_thought_again(pool: PgPool) {
    let (provider, builder) = with_two_targets(pool).await;
    let short = |config: &mut rolecall::config::Config| {
        config.provider.clocks.idle = Duration::from_millis(200);
    };
    let app = builder.configure(short).start().await;
    let overloaded = anthropic::frame(&anthropic::error("overloaded_error", "busy"));
    for (reply, attempts) in [
        (Reply::events(&thinking()).then_cut(), ["first truncated", "first ok"]),
        (Reply::events(&[thinking(), vec![overloaded]].concat()), ["first overloaded", "first ok"]),
        (Reply::events(&thinking()).then_silence(), ["first silent", "second ok"]),
    ] {
        provider.replies(reply);
        provider.says(WIRE, "Done.");
        let mut body = run_with("fast");
        body["stream"] = json!(true);
        let run = app.admin.stream_run(body).await.wait_for("run.completed").await;
        assert_eq!(
            (outcomes(&run), &run["output"]),
            (attempts.map(String::from).into(), &json!("Done."))
        );
    }
}

#[sqlx::test]
async fn thinking_that_a_caller_is_shown_is_not_thought_again(pool: PgPool) {
    let (provider, builder) = with_two_targets(pool).await;
    let app = builder.start().await;
    provider.replies(Reply::events(&thinking()).then_cut());
    let body = json!({
        "model": "fast", "stream": true,
        "messages": [{"role": "user", "content": "Review this pull request for bugs"}],
    });
    let answer = app.admin.post("/v1/chat/completions", body).await;
    assert!(answer.text.contains("Hm.") && answer.text.contains("error"), "{}", answer.text);
    assert_eq!(provider.received().len(), 1);
}

#[sqlx::test]
async fn the_provider_says_when_to_try_again(pool: PgPool) {
    let (provider, builder) = with_two_targets(pool).await;
    let app = builder.start().await;
    provider.replies(refusal(Refusal::RateLimited).with_header("retry-after", "1"));
    provider.replies(Reply::json(200, &WIRE.message("m", "Done.")));
    let answer = app.admin.post("/v1/runs", run_with("fast")).await;
    assert_eq!(outcomes(&answer.body), ["first rate_limited", "first ok"]);
    let asked = provider.asked_at("first");
    assert!(asked[1] - asked[0] >= Duration::from_secs(1));

    // It is not waited for longer than the budget allows.
    provider.replies(refusal(Refusal::RateLimited).with_header("retry-after", "31"));
    provider.replies(Reply::json(200, &WIRE.message("m", "Done.")));
    let started = Instant::now();
    let answer = app.admin.post("/v1/runs", run_with("fast")).await;
    assert_eq!(outcomes(&answer.body), ["first rate_limited", "second ok"]);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[sqlx::test]
async fn attempts_are_told_while_more_are_under_way(pool: PgPool) {
    let (provider, builder) = with_two_targets(pool).await;
    let hold = |config: &mut rolecall::config::Config| config.http.hold = Duration::from_secs(1);
    let app = builder.configure(hold).start().await;
    for _ in 0..2 {
        provider.replies(refusal(Refusal::RateLimited).with_header("retry-after-ms", "50"));
    }
    provider.replies(Reply::silence());
    let mut body = run_with("fast");
    body["stream"] = json!(true);
    let events = app.admin.stream_run(body).await;
    assert_eq!(events.headers["x-rolecall-attempts"], "3");
    let id = events.headers["x-rolecall-run"].to_str().expect("is text");
    let run = app.admin.get(&format!("/v1/runs/{id}")).await.body;
    assert_eq!(outcomes(&run), ["first rate_limited", "first rate_limited"]);
}

#[sqlx::test]
async fn the_log_says_how_many_requests_were_sent(pool: PgPool) {
    let providers = "providers: {anthropic: {base_url: $VENDOR, api_key: a-key}}\n";
    let yaml = format!("{providers}limits: {{retry_attempts: 2}}\n");
    let mut deployment = Deployment::start(&pool, &yaml).await;
    deployment.vendor.answers(|_| refusal(Refusal::Failed));
    let answer = deployment.service.caller.post("/v1/runs", run_with("sonnet")).await;
    answer.problem(502, "provider_failed");
    assert!(deployment.service.stop());
    let log = deployment.service.whole_log();
    let failure = log.lines().find(|line| line.contains(" the provider failed run.id"));
    assert!(failure.is_some_and(|line| line.contains(" run.requests=2 ")), "{log}");
}

#[sqlx::test]
async fn a_limit_that_lasts_is_told_with_its_time(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = TestApp::builder(pool).provider(&provider, DialectName::Anthropic).start().await;
    provider.answers(|_| refusal(Refusal::RateLimited).with_header("retry-after", "60"));
    let answer = app.admin.post("/v1/runs", run_with("sonnet")).await;
    answer.problem(429, "rate_limited");
    assert_eq!((answer.header("retry-after"), answer.header("x-should-retry")), ("60", "false"));
    assert_eq!(provider.received().len(), 1);
}

#[sqlx::test]
async fn what_cannot_help_is_not_tried(pool: PgPool) {
    let (provider, builder) = with_two_targets(pool).await;
    let app = builder.start().await;
    for (kind, status, code) in [
        (Refusal::BadRequest, 400, "invalid_request"),
        (Refusal::ContextTooLong, 400, "context_length_exceeded"),
        (Refusal::ContentFiltered, 400, "content_filtered"),
    ] {
        let before = provider.received().len();
        provider.replies(refusal(kind));
        let answer = app.admin.post("/v1/runs", run_with("fast")).await;
        let problem = answer.problem(status, code);
        assert!(problem["detail"].as_str().expect("a text").contains("some words"), "{problem}");
        assert_eq!(answer.header("x-should-retry"), "");
        assert_eq!(provider.received().len(), before + 1, "{code}");
    }
}

#[sqlx::test]
async fn a_longer_context_is_tried_where_it_is_known_to_be_longer(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let sized = |model: &str, tokens| Target {
        context_tokens: Some(tokens),
        ..Target::new("anthropic", model)
    };
    let targets = [sized("small", 8_000), sized("as-small", 8_000), sized("large", 200_000)];
    let app = TestApp::builder(pool)
        .provider(&provider, DialectName::Anthropic)
        .alias("fast", targets)
        .start()
        .await;
    provider.replies(refusal(Refusal::ContextTooLong));
    provider.replies(Reply::json(200, &WIRE.message("large", "Done.")));
    let answer = app.admin.post("/v1/runs", run_with("fast")).await;
    assert_eq!(outcomes(&answer.body), ["small context_length_exceeded", "large ok"]);
}

#[sqlx::test]
async fn a_refused_key_is_the_operators_trouble(pool: PgPool) {
    let (provider, builder) = with_two_targets(pool).await;
    let app = builder.start().await;
    provider.answers(|_| refusal(Refusal::BadKey));
    let answer = app.admin.post("/v1/runs", run_with("fast")).await;
    let problem = answer.problem(502, "provider_failed");
    assert!(!problem.to_string().contains("some words"));
    assert_eq!(provider.received().len(), 2, "each target once");
}

#[sqlx::test]
async fn a_model_that_the_provider_does_not_have_is_the_fault_of_who_named_it(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = TestApp::builder(pool).provider(&provider, DialectName::Anthropic).start().await;
    for status in [404, 405] {
        provider.answers(move |_| {
            Reply::json(status, &anthropic::error("not_found_error", "no such model"))
        });
        let configured = json!({"agent": "code-reviewer", "input": "look"});
        let answer = app.admin.post("/v1/runs", configured).await;
        let problem = answer.problem(502, "provider_failed");
        assert!(!problem.to_string().contains("no such model"), "{problem}");
        let answer = app.admin.post("/v1/runs", run_with("anthropic/gone")).await;
        answer.problem(400, "invalid_request");
    }
}

#[sqlx::test]
async fn a_stand_in_that_cannot_stand_in_hides_nothing(pool: PgPool) {
    let (provider, builder) = with_two_targets(pool).await;
    let app = builder.start().await;
    provider.answers(|request| match request.model() {
        "first" => refusal(Refusal::Overloaded),
        _ => refusal(Refusal::BadRequest),
    });
    let answer = app.admin.post("/v1/runs", run_with("fast")).await;
    answer.problem(503, "provider_overloaded");
}

#[sqlx::test]
async fn the_words_of_an_error_are_not_waited_for_long(pool: PgPool) {
    let (provider, builder) = with_two_targets(pool).await;
    let app = builder.configure(|config| config.provider.retry.attempts = 2).start().await;
    let byte_by_byte = vec!["x".to_owned(); 20];
    provider.replies(Reply::slow_events(&byte_by_byte, Duration::from_secs(1)).with_status(500));
    provider.says(WIRE, "Done.");
    let started = Instant::now();
    let run = app.admin.post("/v1/runs", run_with("fast")).await.body;
    assert_eq!(outcomes(&run), ["first failed", "second ok"]);
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
}

#[sqlx::test]
async fn parameters_that_a_model_refuses_are_left_out_and_told(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = TestApp::builder(pool).provider(&provider, DialectName::Anthropic).start().await;
    provider.answers(|_| Reply::json(200, &WIRE.message("m", "Done.")));
    let mut body = run_with("claude-sonnet-5-5");
    body["temperature"] = json!(0.2);
    body["stop"] = json!(["END"]);
    body["max_tokens"] = json!(10_000_000);
    body["tools"] = json!([{"name": "look", "parameters": {"type": "object"}}]);
    body["tool_choice"] = json!({"name": "look"});
    let run = app.admin.post("/v1/runs", body.clone()).await.body;
    assert_eq!(
        run["warnings"],
        json!(["parameter_dropped:temperature", "parameter_dropped:tool_choice"])
    );
    let sent = &provider.received()[0].body;
    assert_eq!(sent["stop_sequences"], json!(["END"]));
    assert_eq!(
        (&sent["max_tokens"], sent.get("temperature"), sent.get("tool_choice")),
        (&json!(128_000), None, None)
    );
    let preview = app.admin.post("/v1/prompts", body.clone()).await.body;
    assert_eq!(preview["dropped_parameters"], json!(["temperature", "tool_choice"]));
    assert_eq!(&preview["request"], sent);

    body["model"] = json!("claude-haiku-4-5");
    let run = app.admin.post("/v1/runs", body).await.body;
    assert_eq!(run["warnings"], json!([]));
    let sent = &provider.received()[1].body;
    assert_eq!((&sent["temperature"], &sent["tool_choice"]["name"]), (&json!(0.2), &json!("look")));
}

#[sqlx::test]
async fn cache_breakpoints_of_the_caller_reach_the_provider(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = TestApp::builder(pool).provider(&provider, DialectName::Anthropic).start().await;
    provider.answers(|_| Reply::json(200, &WIRE.message("m", "Done.")));
    let lasting = json!({"type": "ephemeral", "ttl": "1h"});
    let part = json!({"type": "text", "text": "Long.", "cache_control": lasting});
    let tool = json!({"name": "look", "parameters": {}, "cache_control": lasting});
    let answer = app
        .admin
        .post("/v1/runs", json!({
            "agent": "code-reviewer", "tools": [tool],
            "messages": [{"role": "user", "content": [part, {"type": "text", "text": "Short."}]}],
        }))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let sent = &provider.received()[0].body;
    assert_eq!(sent["messages"][0]["content"][0], part);
    assert_eq!(sent["tools"][0]["cache_control"], lasting);
    // Ours stands between the two, and may last no shorter than what is behind it.
    assert_eq!(sent["system"][0]["cache_control"], lasting);
}

#[sqlx::test]
async fn a_target_that_fails_again_and_again_is_left_alone_and_probed(pool: PgPool) {
    let (provider, builder) = with_two_targets(pool).await;
    let app = builder
        .configure(|config| {
            config.provider.breaker.failures = 4;
            config.provider.breaker.open = Duration::from_secs(2);
        })
        .start()
        .await;
    let broken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_broken = std::sync::Arc::clone(&broken);
    provider.answers(move |request| match request.model() {
        "first" if is_broken.load(std::sync::atomic::Ordering::Relaxed) => {
            refusal(Refusal::Overloaded)
        }
        model => Reply::json(200, &WIRE.message(model, "Done.")),
    });
    for _ in 0..2 {
        let run = app.admin.post("/v1/runs", run_with("fast")).await.body;
        assert_eq!(outcomes(&run), ["first overloaded", "first overloaded", "second ok"]);
    }
    let answer = app.admin.post("/v1/runs", run_with("fast")).await;
    assert_eq!(outcomes(&answer.body), ["first breaker_open", "second ok"]);
    assert_eq!(answer.header("x-rolecall-attempts"), "1");
    let health = app.admin.get("/admin/v1/providers").await.body;
    let breaker = &health["items"][0]["breakers"][0];
    assert_eq!(
        (&breaker["model"], &breaker["state"], &breaker["failures"]),
        (&json!("first"), &json!("open"), &json!(4))
    );

    // Nobody else to ask: the caller is told when to come back.
    let refused = app.admin.post("/v1/runs", run_with("anthropic/first")).await;
    refused.problem(503, "provider_overloaded");
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(provider.asked_at("first").len(), 4);

    broken.store(false, std::sync::atomic::Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let run = app.admin.post("/v1/runs", run_with("fast")).await.body;
    assert_eq!(outcomes(&run), ["first ok"]);
    assert_eq!(app.admin.get("/admin/v1/providers").await.body["items"][0]["breakers"], json!([]));
}

#[sqlx::test]
async fn a_callers_fault_or_a_refused_key_opens_no_breaker(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = TestApp::builder(pool)
        .provider(&provider, DialectName::Anthropic)
        .configure(|config| config.provider.breaker.failures = 1)
        .without_retries()
        .start()
        .await;
    for kind in [
        Refusal::BadRequest,
        Refusal::BadKey,
        Refusal::ContextTooLong,
        Refusal::ContentFiltered,
        Refusal::RateLimited,
    ] {
        provider.replies(refusal(kind));
        assert!(app.admin.post("/v1/runs", run_with("sonnet")).await.status >= 400);
        provider.replies(Reply::json(200, &WIRE.message("m", "Done.")));
        assert_eq!(app.admin.post("/v1/runs", run_with("sonnet")).await.status, 200, "{kind:?}");
    }
}

#[sqlx::test]
async fn a_model_that_cannot_stream_is_asked_for_one_piece(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let target = Target { stream: false, ..Target::new("anthropic", "slow") };
    let app = TestApp::builder(pool)
        .provider(&provider, DialectName::Anthropic)
        .alias("fast", [target])
        .start()
        .await;
    provider.replies(Reply::json(200, &WIRE.message("slow", "Done.")));
    let mut body = run_with("fast");
    body["stream"] = json!(true);
    let mut events = app.admin.stream_run(body).await;
    assert_eq!(events.wait_for("text.delta").await, json!({"text": "Done."}));
    events.wait_for("run.completed").await;
    assert_eq!(provider.received()[0].body.get("stream"), None);
}

#[sqlx::test]
async fn a_call_that_the_model_could_not_write_is_asked_for_again(pool: PgPool) {
    let gemini = Wire(DialectName::Gemini);
    let provider = FakeProvider::start().await;
    let builder = TestApp::builder(pool).provider(&provider, gemini.0);
    let app = builder.default_model("gemini/first").start().await;
    let broken = json!({
        "candidates": [{"content": {}, "finishReason": "MALFORMED_FUNCTION_CALL", "index": 0}],
    });
    provider.replies(Reply::events(&[format!("data: {broken}\n\n")]));
    provider.says(gemini, "Done.");
    let answer =
        app.admin.post("/v1/runs", json!({"agent": "code-reviewer", "input": "look"})).await;
    assert_eq!(outcomes(&answer.body), ["first failed", "first ok"]);
    assert_eq!(answer.body["output"], "Done.");
    app.stop().await;
}
