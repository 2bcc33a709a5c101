//! Anthropic's Messages.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{ANTHROPIC, OPENAI, answered_late, app, app_with_both_tools, frames, helper};
use crate::support::{
    Answer, FakeProvider, FakeTool, FakeToolServer, Refusal, Reply, TestApp, Wire, anthropic,
};

const PATH: &str = "/v1/messages";

type Change = fn(&mut Value);

fn request(model: &str, text: &str) -> Value {
    json!({"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": text}]})
}

fn streamed(model: &str, text: &str) -> Value {
    let mut body = request(model, text);
    body["stream"] = json!(true);
    body
}

#[track_caller]
fn is_error<'a>(answer: &'a Answer, status: u16, kind: &str) -> &'a str {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.body["type"], "error");
    assert_eq!(answer.body["error"]["type"], kind, "{}", answer.text);
    assert_eq!(answer.body["request_id"], answer.header("request-id"));
    assert_eq!(answer.header("request-id"), answer.header("x-request-id"));
    answer.body["error"]["message"].as_str().expect("a message")
}

#[sqlx::test]
async fn errors_have_the_protocols_shape(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, ANTHROPIC, &folder).start().await;
    let post = async |change: Change| {
        let mut body = request("helper", "Hello");
        change(&mut body);
        app.admin.post(PATH, body).await
    };
    let missing =
        post(|body| drop(body.as_object_mut().map(|body| body.remove("max_tokens")))).await;
    assert_eq!(is_error(&missing, 400, "invalid_request_error"), "max_tokens: Field required");
    let bad: [(Change, &str); 6] = [
        (|body| body["messages"] = json!([]), "messages: "),
        (|body| body["messages"][0]["role"] = json!("owl"), "messages.0.role: "),
        (
            |body| body["messages"][0]["content"] = json!([{"type": "text"}]),
            "messages.0.content.0.text: ",
        ),
        (
            |body| body["messages"][0]["content"] = json!([{"type": "tool_result"}]),
            "messages.0.content.0.tool_use_id: ",
        ),
        (|body| body["tools"] = json!([{"input_schema": {}}]), "tools.0.name: "),
        (|body| body["tool_choice"] = json!({"type": "tool"}), "tool_choice.name: "),
    ];
    for (change, words) in bad {
        let answer = post(change).await;
        let message = is_error(&answer, 400, "invalid_request_error");
        assert!(message.starts_with(words), "{message}");
    }
    is_error(&post(|body| body["model"] = json!("nobody")).await, 404, "not_found_error");
    is_error(&post(|body| body["model"] = json!("auto")).await, 422, "invalid_request_error");
    let stranger = app.admin.with_key("rc_x_y").post(PATH, request("helper", "Hello")).await;
    is_error(&stranger, 401, "authentication_error");
    let reader = app.caller(&["read"]).await;
    is_error(&reader.post(PATH, request("helper", "x")).await, 403, "permission_error");
    assert!(provider.received().is_empty());
    app.stop().await;
}

#[sqlx::test]
async fn a_provider_is_quoted_about_the_request_itself(pool: PgPool) {
    for wire in [ANTHROPIC, OPENAI] {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).start().await;
        let words = "210000 tokens > 200000 maximum";
        let (status, body) = wire.refusal(Refusal::ContextTooLong, words);
        provider.replies(Reply::json(status, &body));
        let answer = app.admin.post(PATH, streamed("helper", "Hello")).await;
        // Clients recognise it by these words, at the beginning.
        let message = is_error(&answer, 400, "invalid_request_error");
        assert_eq!(message, format!("prompt is too long: {words}"));
        app.stop().await;
    }
}

#[sqlx::test]
async fn what_is_not_understood_reaches_a_provider_of_the_same_protocol(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, ANTHROPIC, &folder).start().await;
    let mut body = streamed("helper", "Hello");
    for number in 0..30 {
        body[format!("unknown_{number}")] = json!({"number": number, "null": null});
    }
    body["messages"][0]["content"] = json!([
        {"type": "document", "source": {"type": "file", "file_id": "f"}, "citations": {"enabled": true}},
    ]);
    body["tools"] = json!([{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]);
    let odd = r#"{"type":"notice", "verdict" : "fine"}"#;
    let block = json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}});
    let written = json!({"type": "input_json_delta", "partial_json": "{\"query\":\"x\"}"});
    let citation = json!({"type": "citations_delta", "citation": {"url": "https://x"}});
    let text = json!({"type": "text", "text": ""});
    let delta = |index: u64, delta: &Value| {
        anthropic::frame(&json!({"type": "content_block_delta", "index": index, "delta": delta}))
    };
    let events = [
        anthropic::start().split_inclusive("\n\n").next().expect("a start").to_owned(),
        format!("event: notice\ndata: {odd}\n\n"),
        anthropic::frame(
            &json!({"type": "content_block_start", "index": 0, "content_block": block}),
        ),
        delta(0, &written),
        anthropic::frame(&json!({"type": "content_block_stop", "index": 0})),
        anthropic::frame(
            &json!({"type": "content_block_start", "index": 1, "content_block": text}),
        ),
        delta(1, &json!({"type": "text_delta", "text": "Found."})),
        delta(1, &citation),
        anthropic::frame(&json!({"type": "content_block_stop", "index": 1})),
        anthropic::frame(&json!({
            "type": "message_delta", "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END"},
            "usage": {"output_tokens": 7},
        })),
        anthropic::last(),
    ];
    let post = async |body: &Value| {
        provider.replies(Reply::events(&events));
        let request = app.admin.request(Method::POST, "/v1/messages?beta=true").json(body);
        let request = request.header("anthropic-beta", "one,two").header("anthropic-beta", "two");
        Answer::read(request).await
    };
    let answer = post(&body).await;
    let sent = provider.received()[0].clone();
    for (name, value) in body.as_object().expect("an object") {
        let is_passed =
            name.starts_with("unknown") || ["messages", "tools"].contains(&name.as_str());
        assert!(!is_passed || sent.body[name] == *value, "{name}");
    }
    assert_eq!(sent.headers["anthropic-beta"], "one,two");
    for expected in [&events[1], &events[2], &events[3], &events[7]] {
        assert!(answer.text.contains(expected.as_str()), "{expected} of {}", answer.text);
    }
    assert!(answer.text.contains(r#""stop_reason":"stop_sequence","stop_sequence":"END""#));
    body["stream"] = json!(false);
    let whole = post(&body).await.body;
    assert_eq!(
        whole["content"],
        json!([
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
            {"type": "text", "text": "Found.", "citations": [{"url": "https://x"}]},
        ])
    );
    assert_eq!(whole["stop_sequence"], "END");
    app.stop().await;
}

#[sqlx::test]
async fn the_callers_breakpoints_are_kept_and_no_more_than_four_sent(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, ANTHROPIC, &folder).start().await;
    let mark =
        |text: &str| json!({"type": "text", "text": text, "cache_control": {"type": "ephemeral"}});
    for count in [3, 4] {
        let mut body = request("helper", "Hello");
        body["system"] =
            json!((0..count).map(|number| mark(&number.to_string())).collect::<Vec<_>>());
        provider.says(ANTHROPIC, "Yes.");
        assert_eq!(app.admin.post(PATH, body).await.status, 200);
        let system = provider.received().last().expect("was asked").body["system"].clone();
        let marks = system.as_array().expect("blocks").iter();
        assert_eq!(marks.filter(|block| block.get("cache_control").is_some()).count(), 4);
        assert_eq!((&system[0]["text"], &system[1]["text"]), (&json!("You help."), &json!("0")));
    }
    app.stop().await;
}

#[sqlx::test]
async fn silence_is_filled_with_pings(pool: PgPool) {
    let answer = answered_late(&pool, PATH, streamed("helper", "Hello")).await;
    let names: Vec<String> = frames(&answer.text).into_iter().map(|(name, _)| name).collect();
    assert_eq!((names[0].as_str(), names[1].as_str()), ("message_start", "ping"));
    assert_eq!(names.last().map(String::as_str), Some("message_stop"));
    assert!(!names.contains(&String::new()) && !answer.text.contains("\n: "), "{}", answer.text);
}

#[sqlx::test]
async fn thinking_is_shown_to_who_can_give_it_back_or_asks_for_it(pool: PgPool) {
    for wire in [ANTHROPIC, OPENAI] {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).start().await;
        let recorded = super::fixture(wire, "thinking_is_kept_apart_from_text");
        provider.answers(move |_| Reply::events(std::slice::from_ref(&recorded)));
        let mut body = request("helper", "Hello");
        let kinds = async |body: &Value| {
            let content = app.admin.post(PATH, body.clone()).await.body["content"].clone();
            let blocks = content.as_array().expect("blocks").iter();
            blocks
                .map(|block| block["type"].as_str().expect("a type").to_owned())
                .collect::<Vec<_>>()
        };
        let unasked = kinds(&body).await;
        body["thinking"] = json!({"type": "adaptive"});
        let asked = kinds(&body).await;
        assert_eq!(unasked.contains(&"thinking".to_owned()), wire == ANTHROPIC);
        assert!(asked.contains(&"thinking".to_owned()), "{asked:?}");
        app.stop().await;
    }
}

#[sqlx::test]
async fn tools_of_servers_are_used_and_not_shown(pool: PgPool) {
    let tools = FakeToolServer::start(&[("look", FakeTool::says("found"))]).await;
    for wire in Wire::ALL {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app_with_both_tools(&pool, &provider, wire, &folder, &tools).await;
        let mut body = request("helper", "Hello");
        body["tools"] = json!([{"name": "own", "input_schema": {"type": "object"}, "later": 1}]);
        let answer = app.admin.post(PATH, body).await.body;
        let call = json!({"type": "tool_use", "id": "b", "name": "own", "input": {"x": 1}});
        let blocks = answer["content"].as_array().expect("blocks");
        let calls: Vec<&Value> =
            blocks.iter().filter(|block| block["type"] == "tool_use").collect();
        assert_eq!((calls, &answer["stop_reason"]), (vec![&call], &json!("tool_use")));
        let second = &provider.received()[1].body;
        assert!(
            wire.results(second)
                .iter()
                .any(|(id, content, _)| id == "a" && content.contains("found"))
        );
        if wire == ANTHROPIC {
            // Those of servers come first, and the caller's are in the caller's words.
            assert_eq!(second["tools"][0]["name"], "mcp__docs__look");
            assert_eq!(second["tools"][1]["later"], 1);
        }
        app.stop().await;
    }
}

#[sqlx::test]
async fn a_pick_is_made_on_what_came_before_the_first_answer(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = TestApp::builder(pool).provider(&provider, ANTHROPIC.0).start().await;
    provider.answers(|_| Reply::events(&ANTHROPIC.frames("served", &["Yes."])));
    let mut body = request("auto", "I need an API route for user login with JWT");
    let first = app.admin.post(PATH, body.clone()).await.header("x-rolecall-agent").to_owned();
    let result =
        json!({"type": "tool_result", "tool_use_id": "c", "content": "write unit tests for React"});
    for message in [
        json!({"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]}),
        json!({"role": "user", "content": [result, {"type": "text", "text": "Now style the page with Tailwind"}]}),
    ] {
        body["messages"].as_array_mut().expect("a list").push(message);
    }
    let second = app.admin.post(PATH, body).await;
    assert_eq!(second.header("x-rolecall-agent"), first);
    app.stop().await;
}

#[sqlx::test]
async fn tokens_are_counted_and_models_listed(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, ANTHROPIC, &folder).start().await;
    let mut body = request("helper", "Hello");
    body.as_object_mut().expect("an object").remove("max_tokens");
    let counted = app.admin.post("/v1/messages/count_tokens", body).await;
    assert!(
        counted.body["input_tokens"].as_u64().is_some_and(|tokens| tokens > 2),
        "{}",
        counted.text
    );
    let get = async |path: &str| {
        let request =
            app.admin.request(Method::GET, path).header("anthropic-version", "2023-06-01");
        Answer::read(request).await
    };
    let first = get("/v1/models?limit=1").await.body;
    assert_eq!((&first["data"][0]["id"], &first["has_more"]), (&json!("auto"), &json!(true)));
    let second = get("/v1/models?limit=1&after_id=auto&beta=true").await.body;
    assert_eq!((&second["last_id"], &second["has_more"]), (&json!("helper"), &json!(false)));
    let before = get("/v1/models?before_id=helper").await.body;
    assert_eq!(
        (before["data"].as_array().map(Vec::len), &before["first_id"]),
        (Some(1), &json!("auto"))
    );
    let one = get("/v1/models/helper").await.body;
    assert_eq!((&one["type"], &one["display_name"]), (&json!("model"), &json!("helper")));
    is_error(&get("/v1/models/nobody").await, 404, "not_found_error");
    is_error(&get("/v1/models?after_id=nobody").await, 400, "invalid_request_error");
    is_error(&get("/v1/models?before_id=nobody").await, 400, "invalid_request_error");
    assert!(provider.received().is_empty());
    app.stop().await;
}
