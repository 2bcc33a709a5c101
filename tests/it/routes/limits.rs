//! Limits and budgets of keys.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use rolecall::provider::{DialectName, Target};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{
    AgentFolder, Answer, AskedTool, Caller, FakeProvider, FakeTool, FakeToolServer, INPUT_TOKENS,
    OUTPUT_TOKENS, Reply, TestApp, TestAppBuilder, Wire, agent_file, openai,
};

const OPENAI: Wire = Wire(DialectName::Openai);

/// What an answer of the vendor costs on the model `priced`.
const ANSWER_USD: f64 = 0.02;

/// The service with one agent, on a model whose answers cost [`ANSWER_USD`].
fn app(pool: PgPool, provider: &FakeProvider) -> (TestAppBuilder, AgentFolder) {
    let folder = AgentFolder::new();
    folder.write("helper.md", agent_file("helper", "Helps"));
    #[expect(clippy::cast_precision_loss, reason = "a handful of tokens")]
    let output_price = ANSWER_USD / OUTPUT_TOKENS as f64 * 1e6;
    let target = Target {
        input_price: Some(0.0),
        output_price: Some(output_price),
        ..Target::new("openai", "m")
    };
    let app = TestApp::builder(pool).provider(provider, OPENAI.0).agents(&folder);
    (app.alias("priced", [target]).default_model("openai/unpriced"), folder)
}

async fn answering() -> FakeProvider {
    let provider = FakeProvider::start().await;
    provider.answers(|_| Reply::events(&OPENAI.frames("served", &["Well."])));
    provider
}

async fn limited(app: &TestApp, limits: Value) -> Caller {
    app.caller_for(json!({"name": "limited", "scopes": ["run"], "limits": limits})).await
}

/// A run that may cost no more than it does.
fn priced() -> Value {
    json!({"agent": "helper", "model": "priced", "input": "x", "max_tokens": OUTPUT_TOKENS})
}

async fn find_key(app: &TestApp, name: &str) -> Value {
    let keys = app.admin.get("/admin/v1/keys").await.body;
    let found = keys["items"].as_array().into_iter().flatten().find(|key| key["name"] == name);
    found.expect("the key is listed").clone()
}

async fn spent(app: &TestApp) -> f64 {
    find_key(app, "limited").await["spent"]["usd_today"].as_f64().expect("a number")
}

fn is_close(told: &Value, expected: f64) -> bool {
    told.as_f64().is_some_and(|told| (told - expected).abs() < 1e-6)
}

fn retry_after(answer: &Answer) -> u64 {
    answer.header("retry-after").parse().expect("a number of seconds")
}

#[sqlx::test]
async fn requests_beyond_the_limit_are_429_wherever_they_go(pool: PgPool) {
    let provider = answering().await;
    let (app, _folder) = app(pool, &provider);
    let app = app.start().await;
    let caller = limited(&app, json!({"requests_per_minute": 4})).await;
    let run = json!({"agent": "helper", "input": "x"});
    let chat = json!({"model": "helper", "messages": [{"role": "user", "content": "x"}]});
    let answers = [
        caller.post("/v1/dispatch", json!({"input": "x"})).await,
        caller.post("/v1/prompts", run.clone()).await,
        caller.post("/v1/runs", run.clone()).await,
        caller.post("/v1/chat/completions", chat.clone()).await,
    ];
    for (answer, remaining) in answers.iter().zip(["3", "2", "1", "0"]) {
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.header("x-ratelimit-limit-requests"), "4");
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), remaining);
        assert!(answer.header("x-ratelimit-reset-requests").ends_with('s'));
        assert_eq!(answer.header("x-ratelimit-limit-tokens"), "", "there is no such limit");
    }
    for path in ["/v1/dispatch", "/v1/prompts", "/v1/runs"] {
        let refused = caller.post(path, run.clone()).await;
        refused.problem(429, "rate_limited");
        // A fourth of a minute for each request, less what has passed.
        assert!((10..=15).contains(&retry_after(&refused)), "{}", refused.header("retry-after"));
        assert_eq!(refused.header("x-ratelimit-remaining-requests"), "0");
        assert_eq!(refused.header("x-should-retry"), "", "it is worth another try");
    }
    let refused = caller.post("/v1/chat/completions", chat).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.body["error"]["code"], "rate_limit_exceeded");
    assert_eq!(provider.received().len(), 2, "what is refused asks no model");
    // To look is free, and so is everybody else.
    assert_eq!(caller.get("/v1/agents").await.status, 200);
    assert_eq!(
        app.admin.post("/v1/runs", run.clone()).await.header("x-ratelimit-limit-requests"),
        ""
    );

    let path =
        format!("/admin/v1/keys/{}", find_key(&app, "limited").await["id"].as_str().unwrap());
    let change = json!({"limits": {"requests_per_minute": "unlimited"}});
    let changed = Answer::read(app.admin.request(Method::PATCH, &path).json(&change)).await;
    assert_eq!(changed.body["limits"]["requests_per_minute"], "unlimited");
    assert_eq!(caller.post("/v1/runs", run).await.status, 200);
}

#[sqlx::test]
async fn anthropic_s_clients_find_their_own_headers(pool: PgPool) {
    let provider = answering().await;
    let (app, _folder) = app(pool, &provider);
    let app = app.start().await;
    let limits = json!({"requests_per_minute": 2, "tokens_per_minute": 1000});
    let caller = limited(&app, limits).await;
    let body = json!({"model": "helper", "max_tokens": 50, "messages": [{"role": "user", "content": "x"}]});
    let answer = caller.post("/v1/messages", body.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("anthropic-ratelimit-requests-limit"), "2");
    assert_eq!(answer.header("anthropic-ratelimit-requests-remaining"), "1");
    let left: u64 =
        answer.header("anthropic-ratelimit-tokens-remaining").parse().expect("a number");
    assert!((981..=1000).contains(&left), "what was reserved and not used is there: {left}");
    let reset = answer.header("anthropic-ratelimit-requests-reset");
    let reset = chrono::DateTime::parse_from_rfc3339(reset).expect("a time");
    let seconds = (reset.to_utc() - chrono::Utc::now()).num_seconds();
    assert!((28..=30).contains(&seconds), "{seconds}");
    assert_eq!(answer.header("x-ratelimit-limit-requests"), "");
    caller.post("/v1/messages", body.clone()).await;
    let refused = caller.post("/v1/messages", body).await;
    assert_eq!((refused.status, &refused.body["error"]["type"]), (429, &json!("rate_limit_error")));
    assert!(retry_after(&refused) > 0);
}

#[sqlx::test]
async fn tokens_are_reserved_and_what_was_not_used_is_given_back(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let (app, _folder) = app(pool, &provider);
    let app = app.start().await;
    let caller = limited(&app, json!({"tokens_per_minute": 1000})).await;
    let body =
        |stream| json!({"agent": "helper", "input": "x", "max_tokens": 900, "stream": stream});
    let (reply, pace) = Reply::paced();
    provider.replies(reply);
    let mut events = tokio::spawn({
        let (caller, body) = (caller.clone(), body(true));
        async move { caller.stream_run(body).await }
    });
    provider.wait_for_requests(1).await;
    let refused = caller.post("/v1/runs", body(false)).await;
    let detail = refused.problem(429, "rate_limited")["detail"].as_str().expect("a text");
    assert!(detail.contains("tokens_per_minute"), "{detail}");
    assert!(retry_after(&refused) > 30);
    for frame in OPENAI.frames("served", &["Well."]) {
        pace.send(&frame).await;
    }
    drop(pace);
    let events = (&mut events).await.expect("does not panic").collect().await;
    assert_eq!(events.last().expect("some").1, "run.completed");
    provider.says(OPENAI, "Well.");
    let answer = caller.post("/v1/runs", body(false)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let left: u64 = answer.header("x-ratelimit-remaining-tokens").parse().expect("a number");
    let used = 2 * (INPUT_TOKENS + OUTPUT_TOKENS);
    assert!((1000 - used..=1000).contains(&left), "{left}");
    // More than a minute's worth is let through once nothing is missing, and waited for behind it.
    let huge = json!({"agent": "helper", "input": "x", "max_tokens": 5000});
    tokio::time::sleep(Duration::from_secs(3)).await;
    provider.says(OPENAI, "Well.");
    assert_eq!(caller.post("/v1/runs", huge).await.status, 200);
}

#[sqlx::test]
async fn places_come_back_whatever_ends_a_run(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let (app, _folder) = app(pool, &provider);
    let app = app.without_retries().configure(|config| config.provider.breaker.failures = 1_000);
    let app = app.start().await;
    let caller = limited(&app, json!({"concurrent_runs": 5})).await;
    let body = |stream| json!({"agent": "helper", "input": "x", "stream": stream});
    let begun = |mut events: crate::support::Events| async move {
        assert_eq!(events.status, 200);
        events.wait_for("text.delta").await;
        events
    };
    for round in 0..4 {
        let mut streams = Vec::new();
        for _ in 0..5 {
            provider.replies(Reply::events(&[openai::text("Well.")]).then_silence());
            streams.push(begun(caller.stream_run(body(true)).await).await);
        }
        let refused = caller.post("/v1/runs", body(false)).await;
        refused.problem(429, "rate_limited");
        assert_eq!(refused.header("retry-after"), "1");
        // By its caller who leaves, by a wish, and by both.
        if round % 2 == 0 {
            for run in
                app.admin.get("/v1/runs?status=streaming").await.body["items"].as_array().unwrap()
            {
                let path = format!("/v1/runs/{}/cancel", run["id"].as_str().unwrap());
                assert_eq!(caller.post(&path, json!({})).await.status, 200);
            }
        }
        drop(streams);
        provider.wait_until_over(5 * (round + 1)).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // A hundred faults, and refusals before a run began, leave all five places.
    for _ in 0..34 {
        provider.replies(Reply::reset());
        assert_eq!(caller.post("/v1/runs", body(false)).await.status, 502);
        let unknown = json!({"agent": "nobody", "input": "x"});
        assert_eq!(caller.post("/v1/runs", unknown).await.status, 404);
        provider.replies(Reply::events(&[]).then_cut());
        assert_eq!(caller.post("/v1/runs", body(false)).await.status, 502);
    }
    provider.answers(|_| {
        Reply::events(&OPENAI.frames("served", &["Well."])).after(Duration::from_millis(300))
    });
    let all = join_all((0..8).map(|_| caller.post("/v1/runs", body(false)))).await;
    let mut statuses: Vec<u16> = all.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
}

#[sqlx::test]
async fn a_budget_is_never_overdrawn_by_many_at_once(pool: PgPool) {
    let provider = FakeProvider::start().await;
    provider.answers(|_| {
        Reply::events(&OPENAI.frames("served", &["Well."])).after(Duration::from_millis(20))
    });
    let (app, _folder) = app(pool, &provider);
    let app = app.start().await;
    let caller = limited(&app, json!({"usd_per_day": 1.0})).await;
    let first = join_all((0..200).map(|_| caller.post("/v1/runs", priced()))).await;
    let refused = first.iter().find(|answer| answer.status != 200).expect("not all fit");
    refused.problem(429, "budget_exceeded");
    // What others have reserved is there again soon.
    assert_eq!((refused.header("x-should-retry"), retry_after(refused)), ("", 1));
    let mut completed = first.iter().filter(|answer| answer.status == 200).count();
    assert!(completed <= 50, "{completed}");
    // What was refused only because others were under way fits now, until nothing is left.
    for _ in 0..60 {
        completed += usize::from(caller.post("/v1/runs", priced()).await.status == 200);
    }
    assert_eq!(completed, 50);
    assert_eq!(provider.received().len(), 50);
    assert!((spent(&app).await - 1.0).abs() < 1e-9);
    let chat = json!({"model": "helper", "messages": [{"role": "user", "content": "x"}]});
    let refused = caller.post("/v1/chat/completions", chat).await;
    assert_eq!(
        (refused.status, &refused.body["error"]["code"]),
        (429, &json!("insufficient_quota"))
    );
    assert_eq!(refused.header("x-should-retry"), "false");
    assert!((1..=86_400).contains(&retry_after(&refused)));
}

#[sqlx::test]
async fn a_run_that_may_cost_more_than_is_left_is_refused_before_it_begins(pool: PgPool) {
    let provider = answering().await;
    let (app, _folder) = app(pool, &provider);
    let app = app.start().await;
    let caller = limited(&app, json!({"usd_per_month": 0.05})).await;
    let mut dear = priced();
    dear["max_tokens"] = json!(OUTPUT_TOKENS * 3);
    let refused = caller.post("/v1/runs", dear).await;
    let detail =
        refused.problem(429, "budget_exceeded")["detail"].as_str().expect("a text").to_owned();
    assert!(detail.contains("0.06 USD") && detail.contains("max_tokens"), "{detail}");
    assert_eq!(provider.received().len(), 0);
    assert_eq!(caller.post("/v1/runs", priced()).await.status, 200);
    assert!((spent(&app).await - ANSWER_USD).abs() < 1e-9);
}

#[sqlx::test]
async fn what_a_cut_run_has_used_is_settled_once(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let (app, _folder) = app(pool, &provider);
    let app = app.without_retries().start().await;
    let caller = limited(&app, json!({"usd_per_day": 10.0})).await;
    let mut body = priced();
    body["stream"] = json!(true);
    body["max_tokens"] = json!(1000);
    // Eight tokens' worth of an answer, of which nothing is counted by the vendor.
    let text = "x".repeat(32);
    let frames = [openai::text(&text)];
    provider.replies(Reply::events(&frames).then_cut());
    let events = caller.stream_run(body.clone()).await.collect().await;
    let (_, name, truncated) = events.last().expect("some");
    assert_eq!(name, "run.truncated");
    #[expect(clippy::cast_precision_loss, reason = "a handful of tokens")]
    let expected = ANSWER_USD / OUTPUT_TOKENS as f64 * 8.0;
    assert_eq!(truncated["usage"]["output_tokens"], 8);
    assert!(is_close(&truncated["cost_usd"], expected), "{truncated}");
    assert!((spent(&app).await - expected).abs() < 1e-6, "{}", spent(&app).await);
    provider.replies(Reply::events(&frames).then_silence());
    let mut events = caller.stream_run(body.clone()).await;
    events.wait_for("text.delta").await;
    drop(events);
    provider.wait_until_over(2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let runs = app.admin.get("/v1/runs?status=cancelled").await.body;
    assert!(is_close(&runs["items"][0]["cost_usd"], expected), "{runs}");
    assert!((spent(&app).await - 2.0 * expected).abs() < 1e-6, "{}", spent(&app).await);
    // An answer that is whole, and whose tokens the vendor does not tell.
    let untold =
        [openai::text(&text), openai::chunk_of("m", &json!({}), Some("stop")), openai::last()];
    provider.replies(Reply::events(&untold));
    body["stream"] = json!(false);
    let run = caller.post("/v1/runs", body).await.body;
    assert_eq!((&run["status"], &run["usage"]["output_tokens"]), (&json!("completed"), &json!(8)));
    let usage = app.admin.get("/admin/v1/usage").await.body;
    assert!(is_close(&usage["items"][0]["cost_usd"], 3.0 * expected), "{usage}");
    assert!((spent(&app).await - 3.0 * expected).abs() < 1e-6, "{}", spent(&app).await);
}

#[sqlx::test]
async fn an_answer_that_was_cut_is_asked_for_again_as_long_as_the_budget_has_room(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let text = "x".repeat(4 * usize::try_from(OUTPUT_TOKENS).expect("is small"));
    provider.answers(move |_| Reply::events(&[openai::text(&text)]).then_cut());
    let (app, _folder) = app(pool, &provider);
    let app = app.start().await;
    let caller = limited(&app, json!({"usd_per_day": 2.5 * ANSWER_USD})).await;
    let cut = caller.post("/v1/runs", priced()).await;
    let id = cut.problem(502, "provider_failed")["run_id"].as_str().expect("an id").to_owned();
    assert_eq!(provider.received().len(), 2);
    assert!((spent(&app).await - 2.0 * ANSWER_USD).abs() < 1e-9);
    let run = app.admin.get(&format!("/v1/runs/{id}")).await.body;
    assert_eq!(
        (&run["status"], &run["warnings"]),
        (&json!("truncated"), &json!(["budget_exceeded"]))
    );
    assert!(is_close(&run["cost_usd"], ANSWER_USD), "the answer that is not used is an attempt");
}

#[sqlx::test]
async fn a_run_that_is_cancelled_before_its_answer_costs_nothing(pool: PgPool) {
    let provider = FakeProvider::start().await;
    provider.replies(Reply::events(&[OPENAI.start("served")]).then_silence());
    let (app, _folder) = app(pool, &provider);
    let app = app.start().await;
    let mut body = priced();
    body["background"] = json!(true);
    let run = app.admin.post("/v1/runs", body).await.body;
    provider.wait_for_requests(1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let path = format!("/v1/runs/{}/cancel", run["id"].as_str().expect("an id"));
    app.admin.post(&path, json!({})).await;
    provider.wait_until_over(1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let usage = app.admin.get("/admin/v1/usage").await.body;
    let sum = &usage["items"][0];
    assert_eq!((&sum["runs"]["cancelled"], &sum["cost_usd"]), (&json!(1), &json!(0.0)));
}

#[sqlx::test]
async fn a_budget_ends_a_run_between_its_turns(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let tools = FakeToolServer::start(&[("look", FakeTool::says("found"))]).await;
    provider.answers(|_| {
        let call = AskedTool::new("a", "mcp__docs__look", json!({}));
        Reply::events(&OPENAI.tool_frames("served", "", &[call]))
    });
    let (app, _folder) = app(pool, &provider);
    let app = app.tool_server("docs", &tools).start().await;
    app.wait_for_tools("helper").await;
    let caller = limited(&app, json!({"usd_per_day": 0.07})).await;
    let run = caller.post("/v1/runs", priced()).await;
    assert_eq!(run.status, 200, "{}", run.text);
    assert_eq!(run.body["warnings"], json!(["budget_exceeded"]));
    assert_eq!(run.body["finish_reason"], "length");
    assert_eq!((provider.received().len(), tools.calls().len()), (3, 3));
    assert!((spent(&app).await - 0.06).abs() < 1e-9);
}

#[sqlx::test]
async fn a_price_that_is_not_known_is_not_counted_and_said(pool: PgPool) {
    let provider = answering().await;
    let (app, _folder) = app(pool, &provider);
    let app = app.start().await;
    let caller = limited(&app, json!({"usd_per_day": 0.001})).await;
    let run = json!({"agent": "helper", "input": "x"});
    let answer = caller.post("/v1/runs", run.clone()).await;
    assert_eq!((answer.status, &answer.body["warnings"]), (200, &json!(["price_unknown"])));
    let without = app.admin.post("/v1/runs", run).await;
    assert_eq!(without.body["warnings"], json!([]), "nobody asks for the price");
}

#[sqlx::test]
async fn spending_survives_a_restart_and_reaches_other_instances(pool: PgPool) {
    let provider = answering().await;
    let start = async || {
        let (app, folder) = app(pool.clone(), &provider);
        (app.start().await, folder)
    };
    let (one, _one_folder) = start().await;
    let (other, _other_folder) = start().await;
    let caller = limited(&one, json!({"usd_per_day": 0.05})).await;
    for _ in 0..2 {
        assert_eq!(caller.post("/v1/runs", priced()).await.status, 200);
    }
    let mut waited = 0;
    while spent(&other).await < 0.039 {
        waited += 1;
        assert!(waited < 40, "the other instance hears of it within 4 s");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    one.stop().await;
    let (again, _again_folder) = start().await;
    assert!((spent(&again).await - 0.04).abs() < 1e-9);
    let key = find_key(&again, "limited").await;
    assert_eq!(key["spent"]["usd_this_month"], key["spent"]["usd_today"]);
    let rows: i64 = sqlx::query_scalar("SELECT sum(nano_usd)::bigint FROM key_spending")
        .fetch_one(&pool)
        .await
        .expect("is read");
    assert_eq!(rows, 40_000_000);
}

#[sqlx::test]
async fn limits_hold_without_the_database(pool: PgPool) {
    let provider = answering().await;
    let (app, _folder) = app(pool.clone(), &provider);
    let app = app.start().await;
    let caller = limited(&app, json!({"usd_per_day": 0.05, "requests_per_minute": 50})).await;
    pool.close().await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(caller.post("/v1/runs", priced()).await.status);
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
}

#[sqlx::test]
async fn limits_are_shown_changed_and_audited(pool: PgPool) {
    let provider = answering().await;
    let (app, _folder) = app(pool, &provider);
    let app = app
        .configure(|config| {
            config.limits.for_all.requests_per_minute = Some(100);
            config.limits.for_all.usd_per_day = Some(3.0);
        })
        .start()
        .await;
    limited(&app, json!({"requests_per_minute": 5, "usd_per_day": "unlimited"})).await;
    let key = find_key(&app, "limited").await;
    let limits = json!({"requests_per_minute": 5, "tokens_per_minute": null, "concurrent_runs": null,
                        "usd_per_day": "unlimited", "usd_per_month": null});
    assert_eq!(key["limits"], limits);
    let applied = json!({"requests_per_minute": 5, "tokens_per_minute": null, "concurrent_runs": null,
                         "usd_per_day": null, "usd_per_month": null});
    assert_eq!(key["applied_limits"], applied);
    let path = format!("/admin/v1/keys/{}", key["id"].as_str().expect("an id"));
    let patch =
        async |body: Value| Answer::read(app.admin.request(Method::PATCH, &path).json(&body)).await;
    let change = json!({"limits": {"requests_per_minute": null, "concurrent_runs": 2}});
    let changed = patch(change.clone()).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(changed.body["applied_limits"]["requests_per_minute"], 100);
    assert_eq!(changed.body["limits"]["concurrent_runs"], 2);
    // The same again changes nothing, and is not put on record.
    patch(change).await;
    let audit = app.admin.get("/admin/v1/audit").await.body;
    let entries = audit["items"].as_array().expect("entries");
    let of_key: Vec<&Value> =
        entries.iter().filter(|entry| entry["subject"] == key["id"]).collect();
    let actions: Vec<&str> = of_key.iter().filter_map(|entry| entry["action"].as_str()).collect();
    assert_eq!(actions, ["key.update", "key.create"]);
    assert_eq!(of_key[0]["detail"]["limits"]["before"], limits);
    assert_eq!(of_key[1]["detail"]["limits"], limits);

    let bad = patch(json!({"limits": {"requests_per_minute": 0}})).await;
    let errors = &bad.problem(400, "invalid_request")["errors"];
    assert_eq!(errors[0]["pointer"], "/limits/requests_per_minute");
    patch(json!({"limits": {"usd_per_week": 1}})).await.problem(400, "invalid_request");
    let nobody = "/admin/v1/keys/00000000-0000-7000-8000-000000000000";
    let missing = app.admin.request(Method::PATCH, nobody).json(&json!({"limits": {}}));
    Answer::read(missing).await.problem(404, "key_not_found");
}
