//! OpenAI's Chat Completions.

use std::time::Duration;

use rolecall::provider::Target;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{ANTHROPIC, OPENAI, answered_late, app, app_with_both_tools, frames, helper};
use crate::support::{
    AgentFolder, Answer, FakeProvider, FakeTool, FakeToolServer, Reply, TestApp, Wire, openai,
};

const PATH: &str = "/v1/chat/completions";

fn request(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}]})
}

fn streamed(model: &str, text: &str) -> Value {
    let mut body = request(model, text);
    body["stream"] = json!(true);
    body
}

type Change = fn(&mut Value);

#[track_caller]
fn is_error(answer: &Answer, status: u16, code: &str, param: Option<&str>) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/json");
    let error = &answer.body["error"];
    assert_eq!((error["code"].as_str(), error["param"].as_str()), (Some(code), param), "{error}");
    assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()));
    assert!(error["type"].is_string() && answer.body.as_object().expect("an object").len() == 1);
}

#[sqlx::test]
async fn the_model_says_who_answers(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let (anthropic, spare) = (Target::parse("anthropic/m"), Target::parse("anthropic/spare"));
    let app = TestApp::builder(pool)
        .provider(&provider, ANTHROPIC.0)
        .alias("spare", vec![spare.expect("is valid")])
        .configure(|config| config.provider.default_model = anthropic)
        .start()
        .await;
    provider.answers(|_| Reply::events(&ANTHROPIC.frames("served", &["Yes."])));
    let taxes = "I need an API route for user login with JWT";
    let ask = async |model: &str| {
        let answer = app.admin.post(PATH, request(model, taxes)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let sent = provider.received().last().expect("was asked").model().to_owned();
        (answer.header("x-rolecall-agent").to_owned(), sent)
    };
    let picked = ("nextjs-backend-engineer".to_owned(), "claude-sonnet-5-5".to_owned());
    assert_eq!(ask("auto").await, picked);
    assert_eq!(ask("nextjs-backend-engineer").await, picked);
    assert_eq!(ask("spare").await, (picked.0.clone(), "spare".to_owned()));
    assert_eq!(ask("claude-opus-9").await, (picked.0, "claude-opus-9".to_owned()));
    let unknown = app.admin.post(PATH, request("nobody", taxes)).await;
    is_error(&unknown, 404, "model_not_found", Some("model"));
    let none = app.admin.post(PATH, request("auto", "zzz qqq")).await;
    is_error(&none, 422, "no_matching_agent", None);
    app.stop().await;
}

#[sqlx::test]
async fn the_default_agent_answers_what_fits_none(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder);
    let app = app.configure(|config| config.dispatch.default_agent = Some("helper".to_owned()));
    let app = app.start().await;
    provider.says(OPENAI, "Here.");
    let answer = app.admin.post(PATH, request("auto", "zzz qqq")).await;
    assert_eq!((answer.status, answer.header("x-rolecall-agent")), (200, "helper"));
    app.admin.post("/v1/runs", json!({"input": "zzz qqq"})).await.problem(422, "no_matching_agent");
    app.stop().await;
}

#[sqlx::test]
async fn what_cannot_be_read_is_refused_in_the_protocols_shape(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    let post = async |change: Change| {
        let mut body = request("helper", "Hello");
        change(&mut body);
        app.admin.post(PATH, body).await
    };
    let cases: [(Change, &str); 12] = [
        (|body| body["n"] = json!(2), "n"),
        (|body| body["messages"] = json!([]), "messages"),
        (|body| body["messages"][0]["role"] = json!("owl"), "messages[0].role"),
        (|body| body["messages"][0]["content"] = json!(7), "messages[0].content"),
        (
            |body| {
                body["messages"][0]["content"] =
                    json!([{"type": "image_url", "image_url": {"url": "ftp://x"}}]);
            },
            "messages[0].content[0].image_url.url",
        ),
        (
            |body| body["messages"][0] = json!({"role": "tool", "content": "x"}),
            "messages[0].tool_call_id",
        ),
        (|body| body["tools"] = json!([{"type": "custom"}]), "tools[0].custom"),
        (|body| body["tools"] = json!([{"type": "function"}]), "tools[0].function"),
        (|body| body["tools"] = json!([{"function": {"name": "look"}}]), "tools[0].type"),
        (|body| body["tool_choice"] = json!("perhaps"), "tool_choice"),
        (
            |body| body["response_format"] = json!({"type": "json_schema"}),
            "response_format.json_schema",
        ),
        (|body| body["temperature"] = json!("hot"), "temperature"),
    ];
    for (change, param) in cases {
        is_error(&post(change).await, 400, "invalid_request", Some(param));
    }
    let no_json = app.admin.request(reqwest::Method::POST, PATH).body("{");
    is_error(&Answer::read(no_json).await, 400, "invalid_request", None);
    let stranger = app.admin.with_key("rc_x_y").post(PATH, request("helper", "Hello")).await;
    is_error(&stranger, 401, "invalid_api_key", None);
    let get = app.admin.get(PATH).await;
    is_error(&get, 405, "method_not_allowed", None);
    assert!(provider.received().is_empty());
    app.stop().await;
}

#[sqlx::test]
async fn agents_are_listed_as_models(pool: PgPool) {
    let folder = helper();
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let reader = app.caller(&["read"]).await;
    let list = reader.get("/v1/models").await.body;
    let ids: Vec<&str> = list["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|model| model["id"].as_str().expect("an id"))
        .collect();
    assert_eq!((list["object"].as_str(), ids), (Some("list"), vec!["auto", "helper"]));
    let one = reader.get("/v1/models/helper").await.body;
    assert_eq!(
        (one["object"].as_str(), one["owned_by"].as_str()),
        (Some("model"), Some("rolecall"))
    );
    assert!(one["created"].is_u64());
    is_error(&reader.get("/v1/models/nobody").await, 404, "model_not_found", Some("model"));
    is_error(&reader.get("/v1/models/gone%2Fmodel").await, 404, "model_not_found", Some("model"));
    is_error(&reader.post(PATH, request("helper", "Hello")).await, 403, "forbidden", None);
    app.stop().await;
}

#[sqlx::test]
async fn whatever_may_be_named_as_a_model_is_one(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let spare = Target::parse("openai/spare").expect("is valid");
    let app = app(&pool, &provider, OPENAI, &folder).alias("spare", vec![spare]).start().await;
    for (path, id) in [
        ("auto", "auto"),
        ("helper", "helper"),
        ("spare", "spare"),
        ("openai%2Fqwen3", "openai/qwen3"),
        ("gpt-9", "gpt-9"),
    ] {
        let model = app.admin.get(&format!("/v1/models/{path}")).await;
        assert_eq!((model.status, &model.body["id"]), (200, &json!(id)), "{}", model.text);
        assert_eq!(model.body["object"], "model");
    }
    // Only their listed names are agents' and `auto`.
    let listed = app.admin.get("/v1/models").await.body["data"].as_array().map(Vec::len);
    assert_eq!(listed, Some(2));
    app.stop().await;
}

#[sqlx::test]
async fn no_name_is_no_models(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    let unnamed = app.admin.post(PATH, request("", "Hello")).await;
    is_error(&unnamed, 404, "model_not_found", Some("model"));
    let unnamed = app.admin.post("/v1/responses", json!({"model": "", "input": "Hello"})).await;
    is_error(&unnamed, 404, "model_not_found", Some("model"));
    let mut message = request("", "Hello");
    message["max_tokens"] = json!(9);
    assert_eq!(app.admin.post("/v1/messages", message).await.status, 404);
    assert!(provider.received().is_empty());
    app.stop().await;
}

#[sqlx::test]
async fn what_is_not_understood_reaches_a_provider_of_the_same_protocol(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    let mut body = streamed("helper", "Hello");
    for number in 0..30 {
        body[format!("unknown_{number}")] = json!({"number": number, "null": null});
    }
    body["messages"][0]["content"] =
        json!([{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}, "x": 1}]);
    let odd = r#"{"object":"moderation.notice", "verdict" : "fine"}"#;
    let chunk = json!({
        "id": "1", "object": "chat.completion.chunk", "model": "m", "service_tier": "flex",
        "choices": [{"index": 0, "delta": {"content": "Hi", "annotations": [1]}, "logprobs": {"content": [2]}}],
    });
    provider.replies(Reply::events(&[
        format!("event: notice\ndata: {odd}\n\n"),
        openai::frame(&chunk),
        openai::end(),
    ]));
    let answer = app.admin.post(PATH, body.clone()).await;
    let sent = provider.received()[0].body.clone();
    for (name, value) in body.as_object().expect("an object") {
        if name.starts_with("unknown") {
            assert_eq!(sent[name], *value, "{name}");
        }
    }
    assert_eq!(sent["messages"][1], body["messages"][0]);
    assert!(answer.text.contains(&format!("event: notice\ndata: {odd}\n\n")), "{}", answer.text);
    let frames: Vec<Value> = frames(&answer.text)
        .iter()
        .filter_map(|(_, data)| serde_json::from_str(data).ok())
        .collect();
    let foreign = frames.iter().find(|frame| frame["service_tier"] == "flex").expect("is told");
    assert_eq!(foreign["object"], "chat.completion.chunk");
    assert_eq!(foreign["choices"][0]["logprobs"], json!({"content": [2]}));
    assert_eq!(foreign["choices"][0]["delta"], json!({"annotations": [1]}));
    assert_eq!(foreign["id"], frames[0]["id"]);
    app.stop().await;
}

#[sqlx::test]
async fn another_protocol_is_sent_what_it_knows(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, ANTHROPIC, &folder).start().await;
    let mut body = request("helper", "Hello");
    body["logit_bias"] = json!({"1": 2});
    provider.says(ANTHROPIC, "Hi");
    assert_eq!(app.admin.post(PATH, body).await.status, 200);
    assert!(provider.received()[0].body.get("logit_bias").is_none());
    app.stop().await;
}

#[sqlx::test]
async fn a_pick_is_made_on_what_came_before_the_first_answer(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = TestApp::builder(pool).provider(&provider, OPENAI.0).start().await;
    provider.answers(|_| Reply::events(&OPENAI.frames("served", &["Yes."])));
    let mut body = request("auto", "I need an API route for user login with JWT");
    let first = app.admin.post(PATH, body.clone()).await.header("x-rolecall-agent").to_owned();
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    for message in [
        json!({"role": "assistant", "content": null, "tool_calls": [call]}),
        json!({"role": "tool", "tool_call_id": "c", "content": "write unit tests for my React components"}),
        json!({"role": "user", "content": "Now style the page with Tailwind"}),
    ] {
        body["messages"].as_array_mut().expect("a list").push(message);
    }
    let second = app.admin.post(PATH, body).await;
    assert_eq!(second.header("x-rolecall-agent"), first);
    app.stop().await;
}

#[sqlx::test]
async fn silence_is_filled_with_comments(pool: PgPool) {
    let answer = answered_late(&pool, PATH, streamed("helper", "Hello")).await;
    let first = answer.text.find(r#""role":"assistant""#).expect("a first chunk");
    let comment = answer.text.find(": keep-alive\n\n").expect("a comment");
    assert!(first < comment && comment < answer.text.find("Late.").expect("the answer"));
    assert!(answer.text.ends_with("data: [DONE]\n\n"));
}

#[sqlx::test]
async fn tools_of_servers_are_used_and_not_shown(pool: PgPool) {
    let tools = FakeToolServer::start(&[("look", FakeTool::says("found"))]).await;
    for wire in Wire::ALL {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app_with_both_tools(&pool, &provider, wire, &folder, &tools).await;
        let mut body = streamed("helper", "Hello");
        body["tools"] = json!([{"type": "function", "function": {"name": "own"}}]);
        let answer = app.admin.post(PATH, body).await;
        assert!(
            !answer.text.contains("mcp__") && !answer.text.contains("found"),
            "{}",
            answer.text
        );
        let frames = frames(&answer.text);
        let calls: Vec<Value> = frames
            .iter()
            .filter_map(|(_, data)| serde_json::from_str::<Value>(data).ok())
            .filter_map(|frame| frame["choices"][0]["delta"]["tool_calls"].as_array().cloned())
            .flatten()
            .collect();
        assert_eq!(calls.len(), 1);
        assert_eq!((calls[0]["id"].as_str(), calls[0]["index"].as_u64()), (Some("b"), Some(0)));
        // The caller's own tool stands behind those of servers, in the words of any protocol.
        assert_eq!(provider.received().len(), 2);
        app.stop().await;
    }
}

#[sqlx::test]
async fn the_agents_words_come_before_the_callers(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, AgentFolder::new());
    folder.write("helper.md", "---\nname: helper\ndescription: Helps\n---\n\nYou help.\n");
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    provider.says(OPENAI, "Oui.");
    let body = json!({"model": "helper", "messages": [
        {"role": "system", "content": "Answer in French."},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": "Hello"},
    ]});
    assert_eq!(app.admin.post(PATH, body).await.status, 200);
    let messages = provider.received()[0].body["messages"].clone();
    assert_eq!(messages[0]["content"], "You help.\n\nAnswer in French.\n\nBe brief.");
    assert_eq!(messages.as_array().expect("a list").len(), 2);
    app.stop().await;
}

#[sqlx::test]
async fn a_caller_who_leaves_ends_the_provider_call(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    for (count, body) in
        [request("helper", "Hello"), streamed("helper", "Hello")].into_iter().enumerate()
    {
        let begun = Reply::events(&[OPENAI.start("m"), OPENAI.text("m", "On and")]).then_silence();
        provider.replies(begun);
        let request = app.admin.request(reqwest::Method::POST, PATH).json(&body);
        let left = tokio::time::timeout(Duration::from_millis(400), Answer::read(request)).await;
        assert!(left.is_err(), "nothing ends the answer");
        assert!(provider.wait_until_over(count + 1).await < Duration::from_secs(1));
    }
    app.stop().await;
}
