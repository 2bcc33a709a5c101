//! Calls of tools on their way from a provider to a caller and back: what a model has written stays as it is written, and what
//! a provider says of a call besides is not lost.

use std::slice;

use rolecall::provider::DialectName;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{ANTHROPIC, OPENAI, RESPONSES, app, frames, helper};
use crate::support::{Answer, FakeProvider, FakeTool, FakeToolServer, Reply, TestApp, Wire};

const GEMINI: Wire = Wire(DialectName::Gemini);
const WIRES: [Wire; 4] = [ANTHROPIC, OPENAI, RESPONSES, GEMINI];
const FACES: [Wire; 3] = [ANTHROPIC, OPENAI, RESPONSES];

/// Arguments that are not the same if they are read and written again.
const ODD: &str = r#"{"x" : 1.50,  "n":123456789012345678901234567890, "s":"\u00e9"}"#;

/// What each protocol's provider says of a call besides: a field and its value.
fn further(wire: Wire) -> Option<(&'static str, Value)> {
    match wire.0 {
        DialectName::Anthropic => {
            Some(("caller", json!({"type": "code_execution_20250825", "tool_id": "srvtoolu_1"})))
        }
        DialectName::Openai => {
            Some(("extra_content", json!({"google": {"thought_signature": "Ci4B"}})))
        }
        DialectName::OpenaiResponses => Some(("namespace", json!("own tools"))),
        DialectName::Gemini => None,
    }
}

/// A streamed answer that calls a tool with odd arguments.
fn calls(wire: Wire, tool: &str) -> Reply {
    let mut frames = vec![wire.start("served"), call(wire, tool)];
    frames.extend([wire.finish("served"), wire.last()]);
    Reply::events(&frames)
}

fn call(wire: Wire, tool: &str) -> String {
    let with_more = |mut call: Value| {
        if let Some((name, value)) = further(wire) {
            call[name] = value;
        }
        call
    };
    let (first, rest) = ODD.split_at(20);
    match wire.0 {
        DialectName::Anthropic => {
            let event = |kind: &str, fields: Value| {
                let mut data = json!({"type": kind, "index": 1});
                for (name, value) in fields.as_object().expect("fields") {
                    data[name] = value.clone();
                }
                format!("event: {kind}\ndata: {data}\n\n")
            };
            let block = json!({"type": "tool_use", "id": "call_1", "name": tool, "input": {}});
            let piece =
                |text: &str| json!({"delta": {"type": "input_json_delta", "partial_json": text}});
            [
                event("content_block_start", json!({"content_block": with_more(block)})),
                event("content_block_delta", piece(first)),
                event("content_block_delta", piece(rest)),
                event("content_block_stop", json!({})),
            ]
            .concat()
        }
        DialectName::Openai => {
            let chunk = |call: Value| {
                let choice =
                    json!({"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": null});
                format!("data: {}\n\n", json!({"model": "served", "choices": [choice]}))
            };
            let function = json!({"name": tool, "arguments": first});
            let begun =
                json!({"index": 0, "id": "call_1", "type": "function", "function": function});
            chunk(with_more(begun)) + &chunk(json!({"index": 0, "function": {"arguments": rest}}))
        }
        DialectName::OpenaiResponses => {
            let item = with_more(json!({
                "type": "function_call", "id": "fc_1", "status": "completed", "call_id": "call_1",
                "name": tool, "arguments": ODD,
            }));
            let kind = "response.output_item.done";
            let data = json!({"type": kind, "output_index": 0, "item": item});
            format!("event: {kind}\ndata: {data}\n\n")
        }
        DialectName::Gemini => {
            let part = json!({"functionCall": {"id": "call_1", "name": tool, "args": "(ODD)"}});
            let chunk = json!({"candidates": [{"content": {"parts": [part]}, "index": 0}]});
            format!("data: {}\n\n", chunk.to_string().replace("\"(ODD)\"", ODD))
        }
    }
}

/// A request in a face's words, with a tool of the caller's by that name.
fn request(face: Wire, tool: &str) -> (&'static str, Value) {
    let schema = json!({"type": "object"});
    let messages = json!([{"role": "user", "content": "Look"}]);
    match face.0 {
        DialectName::Anthropic => {
            let tools = json!([{"name": tool, "input_schema": schema}]);
            let body =
                json!({"model": "helper", "max_tokens": 9, "messages": messages, "tools": tools});
            ("/v1/messages", body)
        }
        DialectName::Openai => {
            let tools =
                json!([{"type": "function", "function": {"name": tool, "parameters": schema}}]);
            let body = json!({"model": "helper", "messages": messages, "tools": tools});
            ("/v1/chat/completions", body)
        }
        DialectName::OpenaiResponses => {
            let tools = json!([{"type": "function", "name": tool, "parameters": schema}]);
            let body = json!({"model": "helper", "input": messages, "tools": tools});
            ("/v1/responses", body)
        }
        DialectName::Gemini => unreachable!("nobody calls in it"),
    }
}

async fn ask(app: &TestApp, path: &str, body: Value) -> Answer {
    let answer = app.admin.post(path, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

/// The first call of an answer in one piece, and its arguments as they are written.
fn told_call(face: Wire, answer: &Answer) -> (Value, String) {
    let of_type = |list: &Value, kind: &str| {
        let mut items = list.as_array().expect("a list").iter();
        items.find(|item| item["type"] == kind).expect("a call").clone()
    };
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    match face.0 {
        DialectName::Anthropic => {
            let call = of_type(&answer.body["content"], "tool_use");
            assert!(answer.text.contains(&format!("\"input\":{ODD}")), "{}", answer.text);
            (call, ODD.to_owned())
        }
        DialectName::Openai => {
            let call = answer.body["choices"][0]["message"]["tool_calls"][0].clone();
            let arguments = text(&call["function"]["arguments"]);
            (call, arguments)
        }
        _ => {
            let call = of_type(&answer.body["output"], "function_call");
            let arguments = text(&call["arguments"]);
            (call, arguments)
        }
    }
}

/// The same of a stream.
fn streamed_call(face: Wire, answer: &Answer) -> (Value, String) {
    let told = frames(&answer.text);
    let told: Vec<Value> =
        told.iter().filter_map(|(_, data)| serde_json::from_str(data).ok()).collect();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let find = |path: &str| told.iter().find_map(|data| data.pointer(path).cloned());
    match face.0 {
        DialectName::Anthropic => {
            let is_call = |data: &&Value| data["content_block"]["type"] == "tool_use";
            let call = told.iter().find(is_call).expect("a call")["content_block"].clone();
            let arguments: String =
                told.iter().filter_map(|data| text(&data["delta"]["partial_json"])).collect();
            (call, arguments)
        }
        DialectName::Openai => {
            let call = find("/choices/0/delta/tool_calls/0").expect("a call");
            let arguments = text(&call["function"]["arguments"]).expect("arguments");
            (call, arguments)
        }
        _ => {
            let is_call = |data: &&Value| {
                data["type"] == "response.output_item.done"
                    && data["item"]["type"] == "function_call"
            };
            let call = told.iter().find(is_call).expect("a call")["item"].clone();
            let arguments = find("/arguments").as_ref().and_then(text).expect("arguments");
            (call, arguments)
        }
    }
}

#[sqlx::test]
async fn a_call_is_told_as_the_model_has_written_it(pool: PgPool) {
    for wire in WIRES {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).start().await;
        provider.answers(move |_| calls(wire, "own"));
        for face in FACES {
            let (path, mut body) = request(face, "own");
            let whole = told_call(face, &ask(&app, path, body.clone()).await);
            body["stream"] = json!(true);
            let streamed = streamed_call(face, &ask(&app, path, body).await);
            for (call, arguments) in [whole, streamed] {
                assert_eq!(arguments, ODD, "{} over {}", face.name(), wire.name());
                // What has no neutral word is for callers of the protocol alone.
                for (name, value) in WIRES.into_iter().filter_map(further) {
                    let is_told = further(wire).is_some_and(|(told, _)| told == name);
                    let expected = Some(value).filter(|_| is_told && face == wire);
                    assert_eq!(call.get(name), expected.as_ref(), "{call}");
                }
            }
        }
        app.stop().await;
    }
}

#[sqlx::test]
async fn a_call_that_a_caller_gives_back_keeps_its_digits(pool: PgPool) {
    for wire in WIRES {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).start().await;
        provider.answers(move |_| Reply::events(&wire.frames("served", &["Yes."])));
        for face in FACES {
            let (path, mut body) = request(face, "own");
            let name = if face == RESPONSES { "input" } else { "messages" };
            let messages = body[name].as_array_mut().expect("messages");
            messages.extend(match face.0 {
                DialectName::Anthropic => vec![
                    json!({"role": "assistant", "content": [
                        {"type": "text", "text": "\"[{"},
                        {"type": "tool_use", "id": "call_1", "name": "own", "input": "(ODD)"},
                    ]}),
                    json!({"role": "user", "content": [
                        {"type": "tool_result", "tool_use_id": "call_1", "content": "found"},
                    ]}),
                ],
                DialectName::Openai => vec![
                    json!({"role": "assistant", "tool_calls": [{
                        "id": "call_1", "type": "function",
                        "function": {"name": "own", "arguments": ODD},
                    }]}),
                    json!({"role": "tool", "tool_call_id": "call_1", "content": "found"}),
                ],
                _ => vec![
                    json!({"type": "function_call", "call_id": "call_1", "name": "own", "arguments": ODD}),
                    json!({"type": "function_call_output", "call_id": "call_1", "output": "found"}),
                ],
            });
            let text = body.to_string().replace("\"(ODD)\"", ODD);
            let post = app.admin.request(reqwest::Method::POST, path);
            let answer = Answer::read(post.header("content-type", "application/json").body(text));
            assert_eq!(answer.await.status, 200);
            assert_sent(wire, &provider);
        }
        app.stop().await;
    }
}

/// The last request holds the odd arguments, as they are or as a text.
#[track_caller]
fn assert_sent(wire: Wire, provider: &FakeProvider) {
    let sent = provider.received().pop().expect("was asked").text;
    let as_text = serde_json::to_string(ODD).expect("is a text");
    let is_text = matches!(wire.0, DialectName::Openai | DialectName::OpenaiResponses);
    assert!(sent.contains(if is_text { &as_text } else { ODD }), "{sent}");
}

#[sqlx::test]
async fn a_run_keeps_calls_as_they_are_written(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    provider.answers(|_| calls(OPENAI, "own"));
    let tools = json!([{"name": "own", "parameters": {"type": "object"}}]);
    let body = json!({"input": "Look", "agent": "helper", "tools": tools});
    let run = ask(&app, "/v1/runs", body.clone()).await;
    let arguments = format!("\"arguments\":{ODD}");
    assert!(run.text.contains(&arguments), "{}", run.text);
    let (name, value) = further(OPENAI).expect("more is said");
    let further = &run.body["tool_calls"][0]["further"];
    assert_eq!(
        *further,
        json!({"protocol": "chat_completions", "model": "openai/m", "fields": {name: value}})
    );
    // On record it is put together from the events.
    let path = format!("/v1/runs/{}", run.body["id"].as_str().expect("an id"));
    for path in [path.clone(), format!("{path}/events")] {
        let found = app.admin.get(&path).await;
        assert!(found.text.contains(&arguments), "{}", found.text);
    }
    // Given back, it reaches its model as it was.
    let call = run.body["tool_calls"][0].to_string();
    let messages = json!([
        {"role": "user", "content": "Look"},
        {"role": "assistant", "tool_calls": ["(CALL)"]},
        {"role": "tool", "tool_call_id": "call_1", "content": "found"},
    ]);
    let mut again = body;
    again.as_object_mut().expect("fields").remove("input");
    again["messages"] = messages;
    let odd = serde_json::from_str::<Value>(ODD).expect("is JSON").to_string();
    let again = again.to_string().replace("\"(CALL)\"", &call.replace(&odd, ODD));
    let post = app.admin.request(reqwest::Method::POST, "/v1/runs");
    let answer = Answer::read(post.header("content-type", "application/json").body(again)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_sent(OPENAI, &provider);
    let sent = provider.received().pop().expect("was asked").body;
    assert_eq!(sent["messages"][2]["tool_calls"][0][name], value, "{sent}");
    app.stop().await;
}

#[sqlx::test]
async fn a_model_is_given_its_calls_back_with_their_results(pool: PgPool) {
    let tools = FakeToolServer::start(&[("look", FakeTool::says("found"))]).await;
    for wire in WIRES {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).tool_server("docs", &tools).start().await;
        app.wait_for_tools("helper").await;
        provider.replies(calls(wire, "mcp__docs__look"));
        provider.says(wire, "Found.");
        ask(&app, "/v1/runs", json!({"input": "Look", "agent": "helper"})).await;
        assert_sent(wire, &provider);
        if let Some((name, value)) = further(wire) {
            let sent = provider.received().pop().expect("was asked").text;
            assert!(sent.contains(&format!("\"{name}\":{value}")), "{sent}");
        }
        app.stop().await;
    }
}

#[sqlx::test]
async fn a_stored_response_keeps_its_calls(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, RESPONSES, &folder).start().await;
    provider.replies(calls(RESPONSES, "own"));
    let (path, body) = request(RESPONSES, "own");
    let first = ask(&app, path, body.clone()).await;
    let id = first.body["id"].as_str().expect("an id").to_owned();
    let (name, value) = further(RESPONSES).expect("more is said");
    let found = app.admin.get(&format!("{path}/{id}")).await;
    let followed = app.admin.get(&format!("{path}/{id}?stream=true")).await;
    for (call, arguments) in [told_call(RESPONSES, &found), streamed_call(RESPONSES, &followed)] {
        assert_eq!((&*arguments, &call[name]), (ODD, &value));
    }
    provider.says(RESPONSES, "Found.");
    let mut next = body;
    next["previous_response_id"] = json!(id);
    next["input"] =
        json!([{"type": "function_call_output", "call_id": "call_1", "output": "found"}]);
    ask(&app, path, next).await;
    assert_sent(RESPONSES, &provider);
    let sent = provider.received().pop().expect("was asked").body;
    let mut items = sent["input"].as_array().expect("items").iter();
    let call = items.find(|item| item["type"] == "function_call").expect("a call");
    assert_eq!(call[name], value);
    app.stop().await;
}

/// Tools that Chat Completions alone has, beside one that all have.
fn chat_tools() -> Value {
    json!([
        {"type": "custom", "custom": {"name": "patch", "format": {"type": "text"}}},
        {"type": "function", "function": {"name": "own", "parameters": {"type": "object"}}},
        {"type": "of_the_future", "x": 1.5},
    ])
}

fn calls_of_other_types() -> Reply {
    let call = |call: Value| {
        let choice = json!({"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": null});
        format!("data: {}\n\n", json!({"model": "served", "choices": [choice]}))
    };
    Reply::events(&[
        OPENAI.start("served"),
        call(
            json!({"index": 0, "id": "a", "type": "custom", "custom": {"name": "patch", "input": ""}}),
        ),
        call(json!({"index": 0, "custom": {"input": "*** Begin"}})),
        call(json!({"index": 0, "custom": {"input": " Patch\n"}})),
        call(
            json!({"index": 1, "id": "b", "type": "function", "function": {"name": "own", "arguments": "{}"}}),
        ),
        call(json!({"index": 2, "id": "c", "type": "of_the_future", "of_the_future": {"y": 2}})),
        OPENAI.finish("served"),
        OPENAI.last(),
    ])
}

#[sqlx::test]
async fn tools_that_only_chat_completions_has_are_passed_on(pool: PgPool) {
    let tools = FakeToolServer::start(&[("look", FakeTool::says("found"))]).await;
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).tool_server("docs", &tools).start().await;
    app.wait_for_tools("helper").await;
    provider.answers(|_| calls_of_other_types());
    let choice = json!({"type": "custom", "custom": {"name": "patch"}});
    let body = json!({
        "model": "helper", "messages": [{"role": "user", "content": "Look"}],
        "tools": chat_tools(), "tool_choice": choice, "parallel_tool_calls": false,
    });
    let calls = json!([
        {"id": "a", "type": "custom", "custom": {"name": "patch", "input": "*** Begin Patch\n"}},
        {"id": "b", "type": "function", "function": {"name": "own", "arguments": "{}"}},
        {"id": "c", "type": "of_the_future", "of_the_future": {"y": 2}},
    ]);
    let path = "/v1/chat/completions";
    let whole = ask(&app, path, body.clone()).await.body["choices"][0].clone();
    assert_eq!(
        (&whole["message"]["tool_calls"], &whole["finish_reason"]),
        (&calls, &json!("tool_calls"))
    );
    let sent = provider.received().pop().expect("was asked").body;
    assert_eq!(
        sent["tools"].as_array().expect("tools")[1..],
        *chat_tools().as_array().expect("tools")
    );
    assert_eq!((&sent["tool_choice"], &sent["parallel_tool_calls"]), (&choice, &json!(false)));
    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    let streamed = frames(&ask(&app, path, streamed).await.text);
    let streamed = streamed.iter().filter_map(|(_, data)| {
        let chunk: Value = serde_json::from_str(data).ok()?;
        let mut call = chunk.pointer("/choices/0/delta/tool_calls/0")?.clone();
        call.as_object_mut()?.remove("index");
        Some(call)
    });
    assert_eq!(streamed.collect::<Value>(), calls);
    // And back.
    let mut again = body;
    let said = json!({"role": "assistant", "tool_calls": calls});
    let result = json!({"role": "tool", "tool_call_id": "a", "content": "done"});
    again["messages"].as_array_mut().expect("messages").extend([said.clone(), result]);
    ask(&app, path, again).await;
    let sent = provider.received().pop().expect("was asked").body;
    assert_eq!(sent["messages"][2], said, "{sent}");
    app.stop().await;
}

#[sqlx::test]
async fn a_custom_tool_alone_may_be_called_once_at_a_time(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    provider.says(OPENAI, "Yes.");
    let tools = json!([chat_tools()[0]]);
    let body = json!({
        "model": "helper", "messages": [{"role": "user", "content": "Look"}],
        "tools": tools, "parallel_tool_calls": false,
    });
    ask(&app, "/v1/chat/completions", body).await;
    let sent = &provider.received()[0].body;
    assert_eq!((&sent["tools"], &sent["parallel_tool_calls"]), (&tools, &json!(false)));
    app.stop().await;
}

#[sqlx::test]
async fn a_vendors_own_tools_go_to_no_other_vendor(pool: PgPool) {
    let messages = json!([{"role": "user", "content": "Look"}]);
    let searches = [
        (
            RESPONSES,
            "/v1/responses",
            json!({"model": "helper", "input": "Look", "tools": [
                {"type": "function", "name": "own", "parameters": {"type": "object"}},
                {"type": "web_search"},
            ]}),
        ),
        (
            ANTHROPIC,
            "/v1/messages",
            json!({"model": "helper", "max_tokens": 9, "messages": messages, "tools": [
                {"name": "own", "input_schema": {"type": "object"}},
                {"type": "web_search_20250305", "name": "web_search"},
            ]}),
        ),
    ];
    for (own_wire, path, body) in searches {
        for wire in [ANTHROPIC, OPENAI, RESPONSES, GEMINI] {
            let (provider, folder) = (FakeProvider::start().await, helper());
            let app = app(&pool, &provider, wire, &folder).start().await;
            provider.says(wire, "Yes.");
            let answer = ask(&app, path, body.clone()).await;
            let run_id = answer.headers["x-rolecall-run"].to_str().expect("a text");
            let run = app.admin.get(&format!("/v1/runs/{run_id}")).await.body;
            let sent = provider.received()[0].body["tools"].to_string();
            let is_dropped = run["warnings"]
                .as_array()
                .expect("a list")
                .contains(&json!("tool_dropped:web_search"));
            assert_eq!(is_dropped, wire != own_wire, "{run}");
            assert_eq!(sent.contains("web_search"), wire == own_wire, "{sent}");
            app.stop().await;
        }
    }
}

#[sqlx::test]
async fn tools_that_only_chat_completions_has_go_nowhere_else(pool: PgPool) {
    for wire in [ANTHROPIC, RESPONSES, GEMINI] {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).start().await;
        let mut body = json!({
            "model": "helper", "messages": [{"role": "user", "content": "Look"}],
            "tools": chat_tools(),
        });
        for is_streaming in [false, true] {
            body["stream"] = json!(is_streaming);
            let answer = app.admin.post("/v1/chat/completions", body.clone()).await;
            let error = &answer.body["error"];
            assert_eq!((answer.status, &error["param"]), (400, &json!("tools")), "{}", answer.text);
            assert!(error["message"].as_str().is_some_and(|it| it.contains("patch")), "{error}");
        }
        assert!(provider.received().is_empty());
        // A call that was made elsewhere is understood.
        provider.says(wire, "Yes.");
        body["stream"] = json!(false);
        body.as_object_mut().expect("fields").remove("tools");
        let call =
            json!({"id": "a", "type": "custom", "custom": {"name": "patch", "input": "It."}});
        let result = json!({"role": "tool", "tool_call_id": "a", "content": "done"});
        let said = json!({"role": "assistant", "tool_calls": [call]});
        body["messages"].as_array_mut().expect("messages").extend([said, result]);
        ask(&app, "/v1/chat/completions", body).await;
        let sent = &provider.received()[0].text;
        assert!(sent.contains("patch") && sent.contains("It."), "{sent}");
        app.stop().await;
    }
}

#[sqlx::test]
async fn a_call_without_its_words_is_refused(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    for (call, missing) in [
        (json!({"id": "a"}), "function"),
        (json!({"id": "a", "type": "function"}), "function"),
        (json!({"id": "a", "type": "custom"}), "custom"),
    ] {
        let messages = json!([{"role": "assistant", "tool_calls": [call]}]);
        let body = json!({"model": "helper", "messages": messages});
        let answer = app.admin.post("/v1/chat/completions", body).await;
        let param = format!("messages[0].tool_calls[0].{missing}");
        assert_eq!((answer.status, &answer.body["error"]["param"]), (400, &json!(param)));
    }
    app.stop().await;
}

#[sqlx::test]
async fn a_tool_stays_strict(pool: PgPool) {
    let schema = json!({"type": "object", "properties": {}, "additionalProperties": false});
    for wire in FACES {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).start().await;
        provider.answers(move |_| Reply::events(&wire.frames("served", &["Yes."])));
        for face in FACES {
            let (path, mut body) = request(face, "own");
            let tool = &mut body["tools"][0];
            match face.0 {
                DialectName::Anthropic => tool["input_schema"] = schema.clone(),
                DialectName::Openai => tool["function"]["parameters"] = schema.clone(),
                _ => tool["parameters"] = schema.clone(),
            }
            let place = if face == OPENAI { &mut tool["function"] } else { tool };
            place["strict"] = json!(true);
            ask(&app, path, body).await;
            let sent = provider.received().pop().expect("was asked").body;
            let tool = &sent["tools"][0];
            let tool = tool.get("function").unwrap_or(tool);
            assert_eq!(tool["strict"], true, "{} over {}", face.name(), wire.name());
        }
        let tool = json!({"name": "own", "parameters": schema, "strict": true});
        let body = json!({"input": "Look", "agent": "helper", "tools": slice::from_ref(&tool)});
        ask(&app, "/v1/runs", body).await;
        let sent = provider.received().pop().expect("was asked").body;
        let tool = &sent["tools"][0];
        assert_eq!(tool.get("function").unwrap_or(tool)["strict"], true);
        app.stop().await;
    }
}

#[sqlx::test]
async fn a_temperature_is_lowered_to_what_the_protocol_has(pool: PgPool) {
    for wire in WIRES {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).start().await;
        provider.answers(move |_| Reply::events(&wire.frames("served", &["Yes."])));
        for (asked, lowered) in [(0.25, 0.25), (1.75, 1.0)] {
            let (path, mut body) = request(OPENAI, "own");
            body["temperature"] = json!(asked);
            ask(&app, path, body).await;
            let sent = provider.received().pop().expect("was asked").body;
            let sent = sent.get("generationConfig").unwrap_or(&sent)["temperature"].clone();
            let expected = if wire == ANTHROPIC { lowered } else { asked };
            assert_eq!(sent, json!(expected), "{}", wire.name());
        }
        app.stop().await;
    }
}
