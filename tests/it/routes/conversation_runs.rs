//! Runs that go on with a stored conversation: what they are shown, what they leave, and that they follow each other.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rolecall::conversation::WhenBusy;
use rolecall::provider::{DialectName, Target};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::task::JoinHandle;

use crate::support::{
    Answer, AskedTool, Caller, Deployment, FakeProvider, FakeTool, FakeToolServer, Reply, TestApp,
    TestAppBuilder, Wire, anthropic,
};

const ANTHROPIC: Wire = Wire(DialectName::Anthropic);

fn app(pool: PgPool, provider: &FakeProvider) -> TestAppBuilder {
    TestApp::builder(pool).provider(provider, ANTHROPIC.0).without_retries()
}

async fn create(caller: &Caller, body: Value) -> String {
    let made = caller.post("/v1/conversations", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.body["id"].as_str().expect("an id").to_owned()
}

async fn say(caller: &Caller, id: &str, input: &str) -> Answer {
    caller.post("/v1/runs", json!({"input": input, "conversation_id": id})).await
}

/// The same, while the test goes on.
fn say_meanwhile(caller: &Caller, id: &str, input: &'static str) -> JoinHandle<Answer> {
    let (caller, id) = (caller.clone(), id.to_owned());
    tokio::spawn(async move { say(&caller, &id, input).await })
}

/// Who said what.
async fn told(caller: &Caller, id: &str) -> Vec<String> {
    let page = caller.get(&format!("/v1/conversations/{id}/messages")).await.body;
    let items = page["items"].as_array().expect("items");
    let short = |item: &Value| {
        let text = item["content"][0]["text"].as_str().unwrap_or_default();
        let calls = item["tool_calls"].as_array().map_or(0, Vec::len);
        let calls = if calls > 0 { format!("({calls} calls)") } else { String::new() };
        format!("{}: {text}{calls}", item["role"].as_str().expect("a role"))
    };
    items.iter().map(short).collect()
}

/// The messages that the provider was sent, in short.
fn sent(provider: &FakeProvider, place: usize) -> Vec<String> {
    let body = provider.received()[place].body.clone();
    let messages = body["messages"].as_array().expect("messages").clone();
    let text = |content: &Value| match content {
        Value::String(text) => text.clone(),
        parts => parts[0]["text"].as_str().unwrap_or("-").to_owned(),
    };
    let short = |message: &Value| {
        format!("{}: {}", message["role"].as_str().expect("a role"), text(&message["content"]))
    };
    messages.iter().map(short).collect()
}

const REVIEWER: &str = "code-reviewer";

#[sqlx::test]
async fn a_run_goes_on_where_the_one_before_ended(pool: PgPool) {
    for wire in Wire::ALL {
        let provider = FakeProvider::start().await;
        let app = TestApp::builder(pool.clone())
            .provider(&provider, wire.0)
            .default_model(&format!("{}/m", wire.name()))
            .start()
            .await;
        // Another instance finds what this one was told to have ended.
        let other = TestApp::builder(pool.clone())
            .provider(&provider, wire.0)
            .default_model(&format!("{}/m", wire.name()))
            .start()
            .await;
        let id = create(&app.admin, json!({"agent": REVIEWER})).await;
        provider.says(wire, "First.");
        let first = say(&app.admin, &id, "One").await;
        assert_eq!((first.status, &first.body["conversation_id"]), (200, &json!(id)));
        assert_eq!(told(&other.admin, &id).await, ["user: One", "assistant: First."], "{wire:?}");
        provider.says(wire, "Second.");
        let second = say(&other.admin, &id, "Two").await;
        assert_eq!(second.body["output"], "Second.", "{}", second.text);
        let body = provider.received()[1].body.to_string();
        let place = |text: &str| body.find(text).unwrap_or_else(|| panic!("{text} in {body}"));
        assert!(place("One") < place("First.") && place("First.") < place("Two"), "{wire:?}");
        let page = app.admin.get(&format!("/v1/conversations/{id}/messages")).await.body;
        let last = &page["items"][3];
        assert_eq!((&last["run_id"], &last["agent"]), (&second.body["id"], &json!(REVIEWER)));
        let found = app.admin.get(&format!("/v1/conversations/{id}")).await.body;
        assert_eq!((&found["message_count"], &found["agent"]), (&json!(4), &json!(REVIEWER)));
        let summary = app.admin.get("/v1/runs?limit=1").await.body;
        assert_eq!(summary["items"][0]["conversation_id"], json!(id));
        app.stop().await;
        other.stop().await;
    }
}

#[sqlx::test]
async fn a_prompt_shows_the_conversation_and_leaves_it_alone(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = app(pool, &provider).start().await;
    let id = create(&app.admin, json!({"agent": REVIEWER})).await;
    provider.says(ANTHROPIC, "First.");
    say(&app.admin, &id, "One").await;
    let body = json!({"input": "Two", "conversation_id": id});
    let prompt = app.admin.post("/v1/prompts", body).await.body;
    let messages = prompt["request"]["messages"].as_array().expect("messages");
    assert_eq!((messages.len(), &messages[2]["content"]), (3, &json!("Two")));
    assert_eq!((&prompt["agent"], &prompt["warnings"]), (&json!(REVIEWER), &json!([])));
    assert_eq!(told(&app.admin, &id).await.len(), 2);
}

#[sqlx::test]
async fn the_second_run_waits_for_the_first(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let (reply, pace) = Reply::paced();
    provider.replies(reply);
    let app = app(pool, &provider).start().await;
    let id = create(&app.admin, json!({"agent": REVIEWER})).await;
    let first = say_meanwhile(&app.admin, &id, "One");
    provider.wait_for_requests(1).await;
    let mut waiting = Vec::new();
    for input in ["Two", "Three"] {
        waiting.push(say_meanwhile(&app.admin, &id, input));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(provider.received().len(), 1, "nobody is asked meanwhile");
    provider.says(ANTHROPIC, "Second.");
    provider.says(ANTHROPIC, "Third.");
    for frame in ANTHROPIC.frames("m", &["First."]) {
        pace.send(&frame).await;
    }
    drop(pace);
    assert_eq!(first.await.expect("ends").status, 200);
    for run in waiting {
        assert_eq!(run.await.expect("ends").status, 200);
    }
    let order = [
        "user: One", "assistant: First.", "user: Two", "assistant: Second.", "user: Three",
        "assistant: Third.",
    ];
    assert_eq!(told(&app.admin, &id).await, order);
    assert_eq!(sent(&provider, 2), order[..5]);
}

#[sqlx::test]
async fn whoever_may_not_wait_or_waits_too_long_is_told(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let waits = app(pool.clone(), &provider)
        .configure(|config| config.conversation.stored.wait = Duration::from_millis(400))
        .start()
        .await;
    let refuses = app(pool, &provider)
        .configure(|config| config.conversation.stored.when_busy = WhenBusy::Refuse)
        .start()
        .await;
    let id = create(&waits.admin, json!({"agent": REVIEWER})).await;
    let (reply, pace) = Reply::paced();
    provider.replies(reply);
    let first = say_meanwhile(&waits.admin, &id, "One");
    provider.wait_for_requests(1).await;
    let began = Instant::now();
    say(&refuses.admin, &id, "Two").await.problem(409, "conflict");
    assert!(began.elapsed() < Duration::from_millis(400), "at once");
    let began = Instant::now();
    say(&waits.admin, &id, "Two").await.problem(409, "conflict");
    assert!(began.elapsed() >= Duration::from_millis(400), "after its time");
    for frame in ANTHROPIC.frames("m", &["First."]) {
        pace.send(&frame).await;
    }
    drop(pace);
    assert_eq!(first.await.expect("ends").status, 200);
    provider.says(ANTHROPIC, "Second.");
    assert_eq!(say(&refuses.admin, &id, "Two").await.status, 200, "it is free again");
}

#[sqlx::test]
async fn a_caller_who_leaves_keeps_nobody_waiting(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = app(pool.clone(), &provider).start().await;
    let id = create(&app.admin, json!({"agent": REVIEWER})).await;
    let (reply, _pace) = Reply::paced();
    provider.replies(reply);
    let under_way = say_meanwhile(&app.admin, &id, "One");
    provider.wait_for_requests(1).await;
    let waiting = say_meanwhile(&app.admin, &id, "Two");
    tokio::time::sleep(Duration::from_millis(200)).await;
    waiting.abort();
    under_way.abort();
    provider.says(ANTHROPIC, "Third.");
    assert_eq!(say(&app.admin, &id, "Three").await.status, 200);
    assert_eq!(told(&app.admin, &id).await, ["user: Three", "assistant: Third."]);
    let claims: i64 = sqlx::query_scalar("SELECT count(*) FROM conversation_claims")
        .fetch_one(&pool)
        .await
        .expect("is read");
    assert_eq!(claims, 0);
}

#[sqlx::test]
async fn a_run_that_fails_leaves_nothing(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = app(pool, &provider).start().await;
    let id = create(&app.admin, json!({"agent": REVIEWER})).await;
    provider.replies(Reply::json(500, &json!({})));
    assert_eq!(say(&app.admin, &id, "One").await.status, 502);
    let cut = &ANTHROPIC.frames("m", &["Half an"])[..2];
    provider.replies(Reply::events(cut));
    assert_eq!(say(&app.admin, &id, "Two").await.status, 502, "a cut answer");
    let refusal = ANTHROPIC.frames("m", &["I must not"]);
    let refusal: Vec<String> =
        refusal.iter().map(|frame| frame.replace("end_turn", "refusal")).collect();
    provider.replies(Reply::events(&refusal));
    let refused = say(&app.admin, &id, "Three").await;
    assert_eq!(refused.body["finish_reason"], "refusal", "{}", refused.text);
    assert_eq!(told(&app.admin, &id).await, Vec::<String>::new());
    provider.says(ANTHROPIC, "Done.");
    assert_eq!(say(&app.admin, &id, "Four").await.status, 200);
    assert_eq!(told(&app.admin, &id).await, ["user: Four", "assistant: Done."]);
}

#[sqlx::test]
async fn one_request_is_one_exchange_however_often_it_is_sent(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = app(pool, &provider).start().await;
    let id = create(&app.admin, json!({"agent": REVIEWER})).await;
    provider.says(ANTHROPIC, "First.");
    let body = json!({"input": "One", "conversation_id": id});
    let send = || {
        let request = app.admin.request(reqwest::Method::POST, "/v1/runs");
        Answer::read(request.header("idempotency-key", "k").json(&body))
    };
    let first = send().await;
    let again = send().await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    assert_eq!(told(&app.admin, &id).await.len(), 2);
}

#[sqlx::test]
async fn calls_and_results_are_kept_and_waited_for(pool: PgPool) {
    let tools = FakeToolServer::start(&[("find", FakeTool::says("found"))]).await;
    let provider = FakeProvider::start().await;
    let app = app(pool, &provider).tool_server("docs", &tools).start().await;
    app.wait_for_tools("test-engineer").await;
    let id = create(&app.admin, json!({"agent": "test-engineer"})).await;
    let ask = |id: &str| AskedTool::new(id, "mcp__docs__find", json!({"q": id}));
    let own = AskedTool::new("own", "read_file", json!({"path": "x"}));
    provider.asks_for_tools(ANTHROPIC, &[ask("a"), ask("b")]);
    provider.asks_for_tools(ANTHROPIC, &[ask("c"), own]);
    let run = |body: Value| {
        let mut body = body;
        body["conversation_id"] = json!(id);
        body["tools"] = json!([{"name": "read_file", "parameters": {"type": "object"}}]);
        app.admin.post("/v1/runs", body)
    };
    let waits = run(json!({"input": "Help me"})).await;
    assert_eq!(waits.body["finish_reason"], "tool_calls", "{}", waits.text);
    let kept = [
        "user: Help me", "assistant: (2 calls)", "tool: found", "tool: found",
        "assistant: (2 calls)", "tool: found",
    ];
    assert_eq!(told(&app.admin, &id).await, kept);

    let missing = run(json!({"input": "Well?"})).await;
    let problem = missing.problem(400, "invalid_request");
    assert!(problem["detail"].as_str().is_some_and(|text| text.contains("`own`")), "{problem}");
    let result = json!([{"role": "tool", "tool_call_id": "own", "content": "a file"}]);
    let other = run(json!({"messages": result, "agent": REVIEWER})).await;
    assert_eq!(other.problem(400, "invalid_request")["errors"][0]["pointer"], "/agent");
    let unknown = json!([{"role": "tool", "tool_call_id": "a", "content": "again"}]);
    run(json!({"messages": unknown})).await.problem(400, "invalid_request");

    // What is asked besides is clearly another agent's, and changes nothing.
    provider.says(ANTHROPIC, "Done.");
    let mut messages = result.as_array().expect("messages").clone();
    let clear = "Which index does this slow PostgreSQL query with a seq scan need?";
    messages.push(json!({"role": "user", "content": clear}));
    let done = run(json!({"messages": messages})).await;
    assert_eq!((done.status, &done.body["agent"]["name"]), (200, &json!("test-engineer")));
    let results = ANTHROPIC.results(&provider.received()[2].body);
    let ids: Vec<&str> = results.iter().map(|(id, ..)| id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c", "own"], "{results:?}");
    assert_eq!(told(&app.admin, &id).await.len(), 9);
}

fn thinking_call() -> Vec<String> {
    let own = AskedTool::new("own", "read_file", json!({"path": "x"}));
    let mut frames = ANTHROPIC.tool_frames("m", "", &[own]);
    let block = |kind: &str, mut data: Value| {
        data["type"] = json!(kind);
        data["index"] = json!(7);
        anthropic::frame(&data)
    };
    let signature = json!({"delta": {"type": "signature_delta", "signature": "c2ln"}});
    let begins = json!({"content_block": {"type": "thinking", "thinking": "Hm.", "signature": ""}});
    let thinking = [
        block("content_block_start", begins),
        block("content_block_delta", signature),
        block("content_block_stop", json!({})),
    ];
    frames.insert(1, thinking.concat());
    frames
}

#[sqlx::test]
async fn thinking_goes_back_to_its_own_agent_and_model_alone(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = app(pool, &provider)
        .alias("other", [Target::new("anthropic", "other-model")])
        .start()
        .await;
    let id = create(&app.admin, json!({"agent": REVIEWER})).await;
    let run = |body: Value| {
        let mut body = body;
        body["conversation_id"] = json!(id);
        body["tools"] = json!([{"name": "read_file", "parameters": {"type": "object"}}]);
        app.admin.post("/v1/runs", body)
    };
    provider.replies(Reply::events(&thinking_call()));
    assert_eq!(run(json!({"input": "Help me"})).await.status, 200);
    let result = json!([{"role": "tool", "tool_call_id": "own", "content": "a file"}]);
    provider.says(ANTHROPIC, "Done.");
    assert_eq!(run(json!({"messages": result})).await.status, 200);
    provider.says(ANTHROPIC, "By another model.");
    assert_eq!(run(json!({"input": "Go on", "model": "other"})).await.status, 200);
    provider.says(ANTHROPIC, "By another agent.");
    assert_eq!(run(json!({"input": "Go on", "agent": "test-engineer"})).await.status, 200);
    let has_thought = |place: usize| provider.received()[place].body.to_string().contains("c2ln");
    assert_eq!([has_thought(1), has_thought(2), has_thought(3)], [true, false, false]);
    let page = app.admin.get(&format!("/v1/conversations/{id}/messages")).await;
    assert!(!page.text.contains("c2ln"), "callers are not shown it");
}

#[sqlx::test]
async fn the_oldest_exchanges_leave_a_conversation_that_is_too_long(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = app(pool, &provider)
        .default_model("anthropic/unknown-model")
        .alias("small", [Target { context_tokens: Some(8_000), ..Target::new("anthropic", "s") }])
        .configure(|config| config.conversation.stored.context_tokens = 12_000)
        .start()
        .await;
    let id = create(&app.admin, json!({"agent": "test-engineer"})).await;
    let run = |number: usize, model: &str| {
        let input = format!("{number} {}", "tell me more of that ".repeat(400));
        let body = json!({
            "input": input, "conversation_id": id, "max_tokens": 100, "model": model,
        });
        app.admin.post("/v1/runs", body)
    };
    for number in 0..4 {
        provider.says(ANTHROPIC, "Yes.");
        let whole = run(number, "anthropic/unknown-model").await;
        assert_eq!((whole.status, &whole.body["warnings"]), (200, &json!([])), "{}", whole.text);
    }
    provider.says(ANTHROPIC, "Yes.");
    let short = run(4, "small").await.body;
    assert_eq!(short["warnings"], json!(["conversation_shortened"]));
    let shown = sent(&provider, 4);
    assert!(shown.len() < 9 && shown.last().is_some_and(|last| last.starts_with("user: 4")));
    assert!(shown[0].starts_with("user: ") && !shown[0].starts_with("user: 0"), "whole exchanges");
    assert_eq!(told(&app.admin, &id).await.len(), 10, "nothing is lost");
    let body = json!({"input": "5", "conversation_id": id, "max_tokens": 100, "model": "small"});
    let prompt = app.admin.post("/v1/prompts", body).await.body;
    assert_eq!(prompt["warnings"], json!(["conversation_shortened"]));
}

#[sqlx::test]
async fn a_conversation_keeps_its_agent_until_another_is_clearly_meant(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = app(pool, &provider).start().await;
    let id = create(&app.admin, json!({})).await;
    let run = async |input: &str| {
        provider.says(ANTHROPIC, "Yes.");
        let body = json!({"input": input, "conversation_id": id, "stream": true});
        let events = app.admin.stream_run(body).await.collect().await;
        (events[1].2.clone(), events.last().expect("an end").2.clone())
    };
    let (selected, first) =
        run("I need an API route in Next.js for user login with JWT and refresh tokens").await;
    assert_eq!(first["agent"]["name"], "nextjs-backend-engineer", "{first}");
    assert_eq!((&selected["handed_over"], &first["handed_over"]), (&json!(null), &json!(null)));
    // The last two would be other agents' if nothing had been said before.
    let follow_ups =
        ["Yes, do that.", "Now make it shorter", "Is that secure?", "Add comments and docs"];
    for follow_up in follow_ups {
        let (_, kept) = run(follow_up).await;
        assert_eq!(kept["agent"]["name"], "nextjs-backend-engineer", "{follow_up}: {kept}");
        let path = format!("/v1/dispatches/{}", kept["dispatch_id"].as_str().expect("an id"));
        let decision = app.admin.get(&path).await.body;
        assert_eq!(
            (&decision["strategy"], &decision["confidence"], &decision["conversation_id"]),
            (&json!("sticky"), &json!(1.0), &json!(id)),
        );
        assert_eq!(decision["ranked"][0]["agent"], "nextjs-backend-engineer");
    }
    let clear = "Here is the EXPLAIN ANALYZE of our PostgreSQL query: a seq scan on 40 million rows. Which index?";
    let pick = json!({"input": clear, "conversation_id": id});
    let pick = app.admin.post("/v1/dispatch", pick).await.body;
    assert_eq!(pick["agent"]["name"], "postgres-database-engineer", "{pick}");
    assert_eq!(pick["handed_over"]["reason"], "clear_request");
    let found = app.admin.get(&format!("/v1/conversations/{id}")).await.body;
    assert_eq!(found["agent"], "nextjs-backend-engineer", "a pick changes nothing");

    let (selected, moved) = run(clear).await;
    let handed_over = json!({"from": "nextjs-backend-engineer", "reason": "clear_request"});
    assert_eq!((&selected["handed_over"], &moved["handed_over"]), (&handed_over, &handed_over));
    assert_eq!(moved["agent"]["name"], "postgres-database-engineer");
    let path = format!("/v1/runs/{}", moved["id"].as_str().expect("an id"));
    assert_eq!(app.admin.get(&path).await.body["handed_over"], handed_over);
    let (_, stays) = run("Thanks. Anything else?").await;
    assert_eq!(stays["agent"]["name"], "postgres-database-engineer");

    provider.says(ANTHROPIC, "Yes.");
    let body = json!({"input": "Go on", "conversation_id": id, "agent": REVIEWER});
    let named = app.admin.post("/v1/runs", body).await.body;
    assert_eq!(named["handed_over"]["reason"], "named");
    let disabled = app.admin.post(&format!("/admin/v1/agents/{REVIEWER}/disable"), json!({})).await;
    assert_eq!(disabled.status, 200, "{}", disabled.text);
    let (_, other) = run("Go on with the API route").await;
    let reason = json!({"from": REVIEWER, "reason": "agent_unavailable"});
    assert_eq!(other["handed_over"], reason, "{other}");
    assert_eq!(other["agent"]["name"], "nextjs-backend-engineer", "whose it was at its beginning");
}

#[sqlx::test]
async fn runs_of_two_instances_follow_each_other(pool: PgPool) {
    let provider = FakeProvider::start().await;
    provider.answers(|request| {
        let messages = request.body["messages"].as_array().map_or(0, Vec::len);
        let frames = ANTHROPIC.frames("m", &[&format!("after {messages}")]);
        Reply::events(&frames).after(Duration::from_millis(10))
    });
    let one = app(pool.clone(), &provider).start().await;
    let two = app(pool.clone(), &provider).start().await;
    let id = create(&one.admin, json!({"agent": REVIEWER})).await;
    let runs = (0..24).map(|number| {
        let caller = [&one.admin, &two.admin][number % 2];
        say(caller, &id, "More")
    });
    for run in join_all(runs.collect::<Vec<_>>()).await {
        assert_eq!(run.status, 200, "{}", run.text);
    }
    let told = told(&one.admin, &id).await;
    // Each was shown all that came before it.
    let expected: Vec<String> = (0..24)
        .flat_map(|number| ["user: More".into(), format!("assistant: after {}", 2 * number + 1)])
        .collect();
    assert_eq!(told, expected);
    one.stop().await;
    two.stop().await;
    let claims: i64 = sqlx::query_scalar("SELECT count(*) FROM conversation_claims")
        .fetch_one(&pool)
        .await
        .expect("is read");
    assert_eq!(claims, 0);
}

#[sqlx::test]
async fn a_killed_instance_gives_its_conversation_back(pool: PgPool) {
    let yaml = "providers:\n  anthropic: {dialect: anthropic, base_url: '$VENDOR', api_key: k}\n";
    let mut victim = Deployment::start(&pool, yaml).await;
    let provider = FakeProvider::start().await;
    let survivor = app(pool.clone(), &provider).start().await;
    let id = create(&survivor.admin, json!({"agent": REVIEWER})).await;
    let (reply, _pace) = Reply::paced();
    victim.vendor.replies(reply);
    let caller = victim.service.caller.clone();
    let body = json!({"input": "One", "conversation_id": id, "background": true});
    let cut = caller.post("/v1/runs", body).await;
    assert_eq!(cut.status, 202, "{}", cut.text);
    victim.vendor.wait_for_requests(1).await;
    let path = format!("/v1/runs/{}", cut.body["id"].as_str().expect("an id"));
    while survivor.admin.get(&path).await.status != 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let waiting = say_meanwhile(&survivor.admin, &id, "Two");
    victim.service.kill();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(provider.received().is_empty(), "its lease has not lapsed");
    // As time would do it.
    sqlx::query(
        "UPDATE instances SET heartbeat_at = now() - interval '1 hour'
         WHERE id = (SELECT instance_id FROM conversation_claims ORDER BY number LIMIT 1)",
    )
    .execute(&pool)
    .await
    .expect("is written");
    provider.says(ANTHROPIC, "Second.");
    let third = app(pool.clone(), &provider).start().await;
    assert_eq!(waiting.await.expect("ends").status, 200);
    assert_eq!(told(&third.admin, &id).await, ["user: Two", "assistant: Second."]);
    let failed = third.admin.get(&path).await.body;
    assert_eq!(
        (&failed["status"], &failed["error"]["code"]),
        (&json!("failed"), &json!("interrupted"))
    );
}

#[sqlx::test]
async fn a_run_that_has_lost_its_conversation_adds_nothing(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = app(pool.clone(), &provider).start().await;
    let id = create(&app.admin, json!({"agent": REVIEWER})).await;
    let (reply, pace) = Reply::paced();
    provider.replies(reply);
    let run = say_meanwhile(&app.admin, &id, "One");
    provider.wait_for_requests(1).await;
    // As another instance does with one that has been silent for too long.
    sqlx::query("DELETE FROM conversation_claims").execute(&pool).await.expect("is written");
    for frame in ANTHROPIC.frames("m", &["First."]) {
        pace.send(&frame).await;
    }
    drop(pace);
    run.await.expect("ends").problem(503, "unavailable");
    assert_eq!(told(&app.admin, &id).await, Vec::<String>::new());
}
