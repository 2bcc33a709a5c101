//! What goes through untouched where caller and provider speak the same one of OpenAI's protocols.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{ANTHROPIC, OPENAI, RESPONSES, app, fixture, frames, helper};
use crate::support::{Answer, FakeProvider, FakeTool, FakeToolServer, Reply, Wire};
use crate::support::{AskedTool, TestApp};

const CHAT: &str = "/v1/chat/completions";
const RESPONSE: &str = "/v1/responses";

/// A request in the protocol of a provider, with these further fields.
fn request(wire: Wire, further: Value) -> (&'static str, Value) {
    let messages = json!([{"role": "user", "content": "Hello"}]);
    let (path, mut body) = if wire == RESPONSES {
        (RESPONSE, json!({"model": "helper", "input": messages}))
    } else {
        (CHAT, json!({"model": "helper", "messages": messages}))
    };
    let Value::Object(further) = further else { unreachable!("fields are an object") };
    for (name, value) in further {
        body[name] = value;
    }
    (path, body)
}

async fn ask(app: &TestApp, (path, body): (&str, Value)) -> Answer {
    let answer = app.admin.post(path, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

#[sqlx::test]
async fn choices_of_tools_that_only_the_protocol_knows_are_passed_on(pool: PgPool) {
    let look = json!({"type": "function", "name": "look", "parameters": {"type": "object"}});
    let look_in_chat = json!({"type": "function", "function": {"name": "look"}});
    let patch = json!({"type": "custom", "name": "patch"});
    let cases = [
        (RESPONSES, json!([patch]), json!({"type": "custom", "name": "patch"})),
        (RESPONSES, json!([{"type": "web_search"}]), json!({"type": "web_search"})),
        (
            RESPONSES,
            json!([look]),
            json!({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "look"}]}),
        ),
        (
            OPENAI,
            json!([look_in_chat]),
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [look_in_chat]}}),
        ),
        (OPENAI, json!([look_in_chat]), json!({"type": "of_the_future", "x": 1})),
    ];
    for (wire, tools, choice) in cases {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).start().await;
        provider.says(wire, "Yes.");
        ask(&app, request(wire, json!({"tools": tools, "tool_choice": choice}))).await;
        assert_eq!(provider.received()[0].body["tool_choice"], choice);
        app.stop().await;
    }
}

#[sqlx::test]
async fn a_choice_that_may_force_a_call_is_made_once(pool: PgPool) {
    let tools = FakeToolServer::start(&[("look", FakeTool::says("found"))]).await;
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, RESPONSES, &folder).tool_server("docs", &tools).start().await;
    app.wait_for_tools("helper").await;
    provider.asks_for_tools(RESPONSES, &[AskedTool::new("a", "mcp__docs__look", json!({}))]);
    provider.says(RESPONSES, "Found.");
    let choice = json!({"type": "mcp", "server_label": "theirs"});
    ask(&app, request(RESPONSES, json!({"tool_choice": choice}))).await;
    let sent: Vec<Value> =
        provider.received().iter().map(|it| it.body["tool_choice"].clone()).collect();
    assert_eq!(sent, [choice, Value::Null]);
    app.stop().await;
}

#[sqlx::test]
async fn a_format_that_only_the_protocol_knows_goes_nowhere_else(pool: PgPool) {
    let format = json!({"type": "grammar", "grammar": {"syntax": "lark"}});
    let ask_over = async |wire: Wire| {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).start().await;
        provider.says(wire, "Yes.");
        let (path, body) = request(OPENAI, json!({"response_format": format}));
        let answer = app.admin.post(path, body).await;
        app.stop().await;
        (answer, provider.received())
    };
    let (answer, received) = ask_over(OPENAI).await;
    assert_eq!((answer.status, &received[0].body["response_format"]), (200, &format));
    for wire in [ANTHROPIC, RESPONSES] {
        let (answer, received) = ask_over(wire).await;
        assert_eq!((answer.status, received.len()), (400, 0), "{}", answer.text);
        assert!(answer.body["error"]["message"].as_str().is_some_and(|it| it.contains("format")));
    }
}

/// What the usage of an answer says, in one piece and at the end of a stream.
async fn usages(app: &TestApp, wire: Wire) -> Vec<Value> {
    let whole = ask(app, request(wire, json!({}))).await.body["usage"].clone();
    let options = json!({"stream": true, "stream_options": {"include_usage": true}});
    let streamed = ask(app, request(wire, options)).await;
    let told = frames(&streamed.text);
    let mut last_first = told.iter().rev().map(|(_, data)| serde_json::from_str::<Value>(data));
    let last = last_first.find_map(Result::ok).expect("an end");
    let streamed = last.get("response").unwrap_or(&last)["usage"].clone();
    vec![whole, streamed]
}

#[sqlx::test]
async fn what_a_provider_counts_besides_is_told(pool: PgPool) {
    for wire in [OPENAI, RESPONSES] {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).start().await;
        provider.answers(move |_| {
            let told = fixture(wire, "thinking_is_kept_apart_from_text");
            let told = told.replace("\"total_tokens\"", "\"cost\":0.25,\"total_tokens\"");
            Reply::events(&[
                told.replace("\"cached_tokens\"", "\"text_tokens\":7,\"cached_tokens\"")
            ])
        });
        for usage in usages(&app, wire).await {
            let details = ["prompt_tokens_details", "input_tokens_details"];
            let details = details.iter().find_map(|name| usage.get(name)).expect("details");
            assert_eq!(
                (&details["text_tokens"], &details["cached_tokens"]),
                (&json!(7), &json!(0))
            );
            let thought = ["completion_tokens_details", "output_tokens_details"];
            let thought = thought.iter().find_map(|name| usage.get(name)).expect("details");
            assert!(thought["reasoning_tokens"].as_u64().is_some_and(|it| it > 0), "{usage}");
            assert_eq!(usage["cost"], json!(0.25));
        }
        app.stop().await;
    }
}

#[sqlx::test]
async fn what_one_of_several_model_calls_counts_is_not_told_of_all(pool: PgPool) {
    let tools = FakeToolServer::start(&[("look", FakeTool::says("found"))]).await;
    for wire in [OPENAI, RESPONSES] {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).tool_server("docs", &tools).start().await;
        app.wait_for_tools("helper").await;
        provider.asks_for_tools(wire, &[AskedTool::new("a", "mcp__docs__look", json!({}))]);
        let told = fixture(wire, "thinking_is_kept_apart_from_text");
        let told = told.replace("\"total_tokens\"", "\"cost\":0.25,\"total_tokens\"");
        provider.replies(Reply::events(&[told]));
        let answer = ask(&app, request(wire, json!({}))).await;
        assert_eq!(answer.body["usage"].get("cost"), None, "{}", answer.text);
        app.stop().await;
    }
}

#[sqlx::test]
async fn the_callers_own_names_are_kept(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    provider.answers(|_| Reply::events(&OPENAI.frames("served", &["Yes."])));
    for (said, unsaid) in
        [("max_completion_tokens", "max_tokens"), ("max_tokens", "max_completion_tokens")]
    {
        ask(&app, request(OPENAI, json!({said: 9}))).await;
        let sent = provider.received().pop().expect("was asked").body;
        assert_eq!((&sent[said], sent.get(unsaid)), (&json!(9), None));
    }
    let options = json!({"include_obfuscation": false});
    ask(&app, request(OPENAI, json!({"stream": true, "stream_options": options}))).await;
    let sent = provider.received().pop().expect("was asked").body;
    assert_eq!(
        sent["stream_options"],
        json!({"include_obfuscation": false, "include_usage": true})
    );
    app.stop().await;
}

#[sqlx::test]
async fn a_provider_says_itself_what_is_wrong_with_a_request(pool: PgPool) {
    for wire in [OPENAI, RESPONSES] {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).start().await;
        let words = json!({"message": "Unsupported parameter: 'max_tokens'.", "type": "invalid_request_error",
            "param": "max_tokens", "code": "unsupported_parameter"});
        let refusal = json!({"error": words});
        provider.answers(move |_| Reply::json(400, &refusal));
        for face in [OPENAI, RESPONSES] {
            for is_streaming in [false, true] {
                let (path, body) = request(face, json!({"stream": is_streaming}));
                let answer = app.admin.post(path, body).await;
                assert_eq!((answer.status, &answer.body["error"]), (400, &words));
            }
        }
        let run = app.admin.post("/v1/runs", json!({"input": "Hello", "agent": "helper"})).await;
        assert_eq!((run.status, &run.body["code"]), (400, &json!("invalid_request")));
        app.stop().await;
    }
}
