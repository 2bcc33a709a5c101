//! OpenAI's Responses.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{
    ANTHROPIC, OPENAI, RESPONSES, answered_late, app, app_with_both_tools, fixture, frames, helper,
};
use crate::support::{
    Answer, AskedTool, Caller, FakeProvider, FakeTool, FakeToolServer, Reply, TestApp, Wire,
};

const PATH: &str = "/v1/responses";

fn request(text: &str) -> Value {
    json!({"model": "helper", "input": text})
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

async fn ask(caller: &Caller, body: Value) -> Answer {
    let answer = caller.post(PATH, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

#[track_caller]
fn is_error(answer: &Answer, status: u16, code: &str, param: Option<&str>) {
    assert_eq!(answer.status, status, "{}", answer.text);
    let error = &answer.body["error"];
    assert_eq!((error["code"].as_str(), error["param"].as_str()), (Some(code), param), "{error}");
    assert!(error["message"].is_string() && error["type"].is_string(), "{error}");
}

/// The texts of what a provider was sent, each with its role.
fn sent(provider: &FakeProvider, place: usize) -> Vec<String> {
    let body = provider.received()[place].body.clone();
    let messages = body["messages"].as_array().expect("messages").clone();
    let text = |content: &Value| match content {
        Value::String(text) => text.clone(),
        parts => parts[0]["text"].as_str().unwrap_or("-").to_owned(),
    };
    let short = |message: &Value| {
        format!("{}: {}", message["role"].as_str().unwrap_or("-"), text(&message["content"]))
    };
    messages.iter().filter(|message| message["role"] != "system").map(short).collect()
}

fn id(answer: &Answer) -> Value {
    answer.body["id"].clone()
}

#[sqlx::test]
async fn a_stream_has_the_protocols_order_and_numbers(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    provider.replies(Reply::events(&OPENAI.frames("served", &["On", "e"])));
    let answer = ask(&app.admin, with(request("Hello"), "stream", json!(true))).await;
    let frames = frames(&answer.text);
    let names: Vec<&str> = frames.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    for (number, (name, data)) in frames.iter().enumerate() {
        let data: Value = serde_json::from_str(data).expect("is JSON");
        assert_eq!((&data["type"], &data["sequence_number"]), (&json!(name), &json!(number)));
    }
    let last: Value = serde_json::from_str(&frames[9].1).expect("is JSON");
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], "One");
    assert_eq!(last["response"]["status"], "completed");
    app.stop().await;
}

#[sqlx::test]
async fn a_response_follows_another_and_keeps_its_agent(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = TestApp::builder(pool).provider(&provider, OPENAI.0).start().await;
    let body = |input: &str, previous: Value| json!({"model": "auto", "input": input, "previous_response_id": previous});
    provider.says(OPENAI, "One.");
    let first =
        ask(&app.admin, body("I need an API route for user login with JWT", json!(null))).await;
    provider.says(OPENAI, "Two.");
    let second = ask(&app.admin, body("yes, do that", id(&first))).await;
    assert_eq!(second.header("x-rolecall-agent"), "nextjs-backend-engineer");
    assert_eq!(second.body["previous_response_id"], id(&first));
    let asked = ["user: I need an API route for user login with JWT", "assistant: One."];
    assert_eq!(sent(&provider, 1), [&asked[..], &["user: yes, do that"]].concat());
    // Two that follow the same one know nothing of each other.
    provider.says(OPENAI, "Three.");
    let third = ask(&app.admin, body("no, do this", id(&first))).await;
    assert_eq!(sent(&provider, 2), [&asked[..], &["user: no, do this"]].concat());
    assert_eq!(third.header("x-rolecall-agent"), "nextjs-backend-engineer");
    provider.says(OPENAI, "Four.");
    ask(&app.admin, body("thanks", id(&third))).await;
    let all = [&asked[..], &["user: no, do this", "assistant: Three.", "user: thanks"]].concat();
    assert_eq!(sent(&provider, 3), all);
    // Of what follows and is not stored nothing stays.
    provider.says(OPENAI, "Five.");
    let fifth = with(body("and?", id(&second)), "store", json!(false));
    let fifth = ask(&app.admin, fifth).await;
    assert_eq!(sent(&provider, 4).len(), 5);
    is_error(
        &app.admin.post(PATH, body("so?", id(&fifth))).await,
        400,
        "previous_response_not_found",
        Some("previous_response_id"),
    );
    app.stop().await;
}

#[sqlx::test]
async fn many_may_follow_one_at_once(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    provider.says(OPENAI, "One.");
    let first = ask(&app.admin, request("Hello")).await;
    provider.answers(|_| Reply::events(&OPENAI.frames("served", &["Yes."])));
    let follow = (0..8).map(|number| {
        let body = with(request(&format!("{number}")), "previous_response_id", id(&first));
        ask(&app.admin, body)
    });
    futures_util::future::join_all(follow).await;
    for place in 1..9 {
        assert_eq!(sent(&provider, place)[..2], ["user: Hello", "assistant: One."]);
        assert_eq!(sent(&provider, place).len(), 3);
    }
    app.stop().await;
}

#[sqlx::test]
async fn calls_of_the_caller_go_around_over_every_protocol(pool: PgPool) {
    for wire in Wire::ALL {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).start().await;
        let tools = json!([{"type": "function", "name": "look", "parameters": {"type": "object"}}]);
        let asked = [
            AskedTool::new("a", "look", json!({"x": 1})),
            AskedTool::new("b", "look", json!({"x": 2})),
        ];
        provider.asks_for_tools(wire, &asked);
        let first = ask(&app.admin, with(request("Look twice"), "tools", tools.clone())).await;
        let calls: Vec<Value> = first.body["output"].as_array().expect("items").clone();
        assert_eq!(calls.len(), 2, "{}", first.text);
        assert!(calls.iter().all(|call| call["type"] == "function_call"));
        assert_eq!(calls[1]["arguments"], r#"{"x":2}"#);
        let results: Vec<Value> = calls
            .iter()
            .map(|call| json!({"type": "function_call_output", "call_id": call["call_id"], "output": "seen"}))
            .collect();
        provider.says(wire, "Done.");
        let body = json!({"model": "helper", "input": results, "tools": tools,
            "previous_response_id": first.body["id"]});
        let second = ask(&app.admin, body).await;
        assert_eq!(second.body["output"][0]["content"][0]["text"], "Done.");
        // The same without anything stored: the whole exchange is sent.
        let mut input = vec![json!({"role": "user", "content": "Look twice"})];
        input.extend(calls);
        input.extend(results.clone());
        provider.says(wire, "Done.");
        let body = json!({"model": "helper", "input": input, "tools": tools, "store": false});
        ask(&app.admin, body).await;
        let received = provider.received();
        let conversation = |place: usize| {
            let body = &received[place].body;
            ["messages", "input", "contents"].map(|name| body[name].clone())
        };
        if wire != RESPONSES {
            assert_eq!(conversation(1), conversation(2), "{}", wire.name());
        }
        // One result of two is no answer.
        let body = json!({"model": "helper", "input": [results[0]], "previous_response_id": first.body["id"]});
        is_error(&app.admin.post(PATH, body).await, 400, "invalid_request", Some("input"));
        app.stop().await;
    }
}

#[sqlx::test]
async fn a_stored_response_is_found_listed_and_deleted(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    let (owner, stranger) = (app.caller(&["run"]).await, app.caller(&["run"]).await);
    provider.says(OPENAI, "One.");
    let body = with(request("Hello"), "metadata", json!({"ticket": "7"}));
    let made = ask(&owner, with(body, "instructions", json!("Be brief."))).await;
    let path = format!("{PATH}/{}", made.body["id"].as_str().expect("an id"));
    let found = owner.get(&path).await;
    assert_eq!(found.body, made.body);
    assert_eq!(found.body["metadata"], json!({"ticket": "7"}));
    let items = owner.get(&format!("{path}/input_items")).await.body;
    assert_eq!(items["data"][0]["content"], json!([{"type": "input_text", "text": "Hello"}]));
    assert_eq!((&items["has_more"], &items["first_id"]), (&json!(false), &items["data"][0]["id"]));
    is_error(&stranger.get(&path).await, 404, "run_not_found", None);
    is_error(&stranger.delete(&path).await, 404, "run_not_found", None);
    let follows = with(request("More"), "previous_response_id", id(&made));
    is_error(
        &stranger.post(PATH, follows.clone()).await,
        400,
        "previous_response_not_found",
        Some("previous_response_id"),
    );
    let deleted = owner.delete(&path).await;
    assert_eq!((deleted.status, &deleted.body["deleted"]), (200, &json!(true)));
    is_error(&owner.get(&path).await, 404, "run_not_found", None);
    is_error(
        &owner.post(PATH, follows).await,
        400,
        "previous_response_not_found",
        Some("previous_response_id"),
    );
    for query in [
        "SELECT count(*) FROM conversation_messages WHERE message::text LIKE '%Hello%'",
        "SELECT count(*) FROM run_events",
        "SELECT count(*) FROM dispatches WHERE input IS NOT NULL",
        "SELECT count(*) FROM runs WHERE record::text LIKE '%brief%'",
    ] {
        let left: i64 = sqlx::query_scalar(query).fetch_one(&pool).await.expect("is counted");
        assert_eq!(left, 0, "{query}");
    }
    provider.says(OPENAI, "Two.");
    let unstored = ask(&owner, with(request("Hello"), "store", json!(false))).await;
    assert_eq!(unstored.body["store"], json!(false));
    let path = format!("{PATH}/{}", unstored.body["id"].as_str().expect("an id"));
    is_error(&owner.get(&path).await, 404, "run_not_found", None);
    app.stop().await;
}

#[sqlx::test]
async fn what_was_copied_of_a_response_is_deleted_with_it(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    provider.answers(|_| Reply::events(&OPENAI.frames("served", &["Yes."])));
    let first = ask(&app.admin, request("A secret")).await;
    let follow =
        |text: &str, previous: &Answer| with(request(text), "previous_response_id", id(previous));
    ask(&app.admin, follow("One", &first)).await;
    let copy = ask(&app.admin, follow("Two", &first)).await;
    ask(&app.admin, follow("Three", &copy)).await;
    let copy_of_copy = ask(&app.admin, follow("Four", &copy)).await;
    let path = format!("{PATH}/{}", first.body["id"].as_str().expect("an id"));
    assert_eq!(app.admin.delete(&path).await.status, 200);
    let left: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM conversation_messages WHERE message::text LIKE '%A secret%'",
    )
    .fetch_one(&pool)
    .await
    .expect("is counted");
    assert_eq!(left, 0);
    let counts: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM conversations AS one WHERE message_count <>
            (SELECT count(*) FROM conversation_messages WHERE conversation_id = one.id)",
    )
    .fetch_one(&pool)
    .await
    .expect("is counted");
    assert_eq!(counts, 0, "conversations know how many messages they have");
    ask(&app.admin, follow("Five", &copy_of_copy)).await;
    let last = provider.received().len() - 1;
    let asked = ["user: Two", "assistant: Yes.", "user: Four", "assistant: Yes.", "user: Five"];
    assert_eq!(sent(&provider, last), asked);
    app.stop().await;
}

#[sqlx::test]
async fn a_response_in_the_background_outlives_its_caller(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    let background = |body: Value| with(body, "background", json!(true));
    let late = Reply::events(&OPENAI.frames("served", &["La", "te."]));
    provider.replies(late.after(Duration::from_millis(300)));
    let begun = ask(&app.admin, background(request("Hello"))).await;
    assert!(["queued", "in_progress"].contains(&begun.body["status"].as_str().expect("a status")));
    assert_eq!((&begun.body["output"], &begun.body["usage"]), (&json!([]), &json!(null)));
    let path = format!("{PATH}/{}", begun.body["id"].as_str().expect("an id"));
    let streamed = app.admin.get(&format!("{path}?stream=true")).await;
    let all = frames(&streamed.text);
    assert_eq!(all.last().map(|(name, _)| name.as_str()), Some("response.completed"));
    let done = app.admin.get(&path).await;
    assert_eq!(done.body["output"][0]["content"][0]["text"], "Late.");
    assert_eq!(
        (&done.body["status"], &done.body["background"]),
        (&json!("completed"), &json!(true))
    );
    // Of the record the stream is the same, from any place on.
    let again = app.admin.get(&format!("{path}?stream=true&starting_after=4")).await;
    assert_eq!(frames(&again.text), all[5..]);
    let refused = with(background(request("Hello")), "store", json!(false));
    is_error(&app.admin.post(PATH, refused).await, 400, "invalid_request", Some("background"));
    app.stop().await;
}

#[sqlx::test]
async fn a_response_is_cancelled(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    let begun = Reply::events(&[OPENAI.start("m"), OPENAI.text("m", "On and")]).then_silence();
    provider.replies(begun);
    let begun = ask(&app.admin, with(request("Hello"), "background", json!(true))).await;
    let path = format!("{PATH}/{}", begun.body["id"].as_str().expect("an id"));
    provider.wait_for_requests(1).await;
    let cancelled = app.admin.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!((cancelled.status, &cancelled.body["status"]), (200, &json!("cancelled")));
    assert!(provider.wait_until_over(1).await < Duration::from_secs(1));
    let again = app.admin.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!(again.body["status"], "cancelled");
    is_error(
        &app.admin.post("/v1/responses/resp_1/cancel", json!({})).await,
        404,
        "run_not_found",
        None,
    );
    app.stop().await;
}

#[sqlx::test]
async fn references_to_items_are_replaced_by_the_items(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    provider.says(OPENAI, "One.");
    let first = ask(&app.admin, request("Hello")).await;
    let said = first.body["output"][0]["id"].clone();
    let input = json!([
        {"role": "user", "content": "Hello"},
        {"type": "item_reference", "id": said},
        {"role": "user", "content": "More"},
    ]);
    provider.says(OPENAI, "Two.");
    ask(&app.admin, json!({"model": "helper", "input": input})).await;
    assert_eq!(sent(&provider, 1), ["user: Hello", "assistant: One.", "user: More"]);
    let stranger = app.caller(&["run"]).await;
    let input =
        json!([{"type": "item_reference", "id": said}, {"role": "user", "content": "More"}]);
    let refused = stranger.post(PATH, json!({"model": "helper", "input": input})).await;
    is_error(&refused, 400, "invalid_request", Some("input[0].id"));
    // What its provider keeps, and what is no item of that response.
    for unknown in
        ["ws_68af4030592c8190".to_owned(), said.as_str().expect("an id").replace("_0", "_9")]
    {
        let input = json!([
            {"type": "item_reference", "id": said},
            {"type": "item_reference", "id": unknown},
            {"role": "user", "content": "More"},
        ]);
        let refused = app.admin.post(PATH, json!({"model": "helper", "input": input})).await;
        is_error(&refused, 400, "invalid_request", Some("input[1].id"));
    }
    app.stop().await;
}

#[sqlx::test]
async fn what_a_providers_own_tools_did_is_found_beside_the_answer(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, RESPONSES, &folder).start().await;
    let answer = fixture(RESPONSES, "unknown_events_and_fields_are_passed_over");
    provider.replies(Reply::events(&[answer]));
    let first = ask(&app.admin, request("Hello")).await;
    let output = first.body["output"].as_array().expect("items").clone();
    let searched = output.iter().find(|item| item["type"] == "web_search_call").expect("is told");
    assert_eq!(searched["id"], "ws_1");
    let mut input = vec![json!({"role": "user", "content": "Hello"})];
    let named = output.iter().filter(|item| item["id"].is_string());
    input.extend(named.map(|item| json!({"type": "item_reference", "id": item["id"]})));
    input.push(json!({"role": "user", "content": "More"}));
    provider.says(RESPONSES, "Yes.");
    ask(&app.admin, json!({"model": "helper", "input": input})).await;
    let sent = provider.received()[1].body["input"].as_array().expect("items").clone();
    assert_eq!(sent.len(), input.len(), "{sent:?}");
    assert!(sent.contains(searched), "{sent:?}");
    app.stop().await;
}

#[sqlx::test]
async fn a_native_conversation_is_gone_on_with(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    let made = app.admin.post("/v1/conversations", json!({})).await.body["id"].clone();
    for (place, conversation) in [made.clone(), json!({"id": made})].into_iter().enumerate() {
        provider.says(OPENAI, "Yes.");
        ask(&app.admin, with(request("Hello"), "conversation", conversation)).await;
        assert_eq!(sent(&provider, place).len(), 1 + 2 * place);
    }
    app.stop().await;
}

#[sqlx::test]
async fn what_cannot_be_read_is_refused_in_the_protocols_shape(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    for (name, value, param) in [
        ("input", json!([]), "input"),
        ("input", json!(7), "input"),
        ("input", json!([{"role": "owl", "content": "Hello"}]), "input[0].role"),
        ("input", json!([{"role": "user", "content": 7}]), "input[0].content"),
        (
            "input",
            json!([{"role": "user", "content": [{"type": "input_image", "image_url": "ftp://x"}]}]),
            "input[0].content[0].image_url",
        ),
        (
            "input",
            json!([{"type": "function_call_output", "call_id": "x", "output": "y"}]),
            "input",
        ),
        ("tools", json!([{"type": "function"}]), "tools[0].name"),
        ("text", json!({"format": {"type": "xml"}}), "text.format.type"),
        ("temperature", json!("hot"), "temperature"),
        ("max_output_tokens", json!(0), "max_output_tokens"),
        ("conversation", json!("abc"), "conversation"),
    ] {
        let answer = app.admin.post(PATH, with(request("Hello"), name, value)).await;
        is_error(&answer, 400, "invalid_request", Some(param));
    }
    let previous = with(request("Hello"), "previous_response_id", json!("resp_x"));
    is_error(
        &app.admin.post(PATH, previous).await,
        400,
        "previous_response_not_found",
        Some("previous_response_id"),
    );
    is_error(&app.admin.get("/v1/responses/resp_x").await, 404, "run_not_found", None);
    let stranger = app.admin.with_key("rc_x_y").post(PATH, request("Hello")).await;
    is_error(&stranger, 401, "invalid_api_key", None);
    assert!(provider.received().is_empty());
    app.stop().await;
}

#[sqlx::test]
async fn without_content_on_record_nothing_is_stored(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder);
    let app = app.configure(|config| config.conversation.stores_content = false).start().await;
    provider.says(OPENAI, "One.");
    let made = ask(&app.admin, request("Hello")).await;
    assert_eq!(made.body["store"], json!(false));
    let path = format!("{PATH}/{}", made.body["id"].as_str().expect("an id"));
    is_error(&app.admin.get(&path).await, 404, "run_not_found", None);
    app.stop().await;
}

#[sqlx::test]
async fn what_is_not_understood_reaches_a_provider_of_the_same_protocol(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, RESPONSES, &folder).start().await;
    let mut body = with(request("Hello"), "stream", json!(true));
    for number in 0..30 {
        body[format!("unknown_{number}")] = json!({"number": number, "null": null});
    }
    body["input"] = json!([
        {"type": "of_the_future", "data": [1]},
        {"role": "user", "content": [{"type": "input_file", "file_id": "file-1", "x": 1}]},
    ]);
    body["tools"] = json!([{"type": "web_search", "search_context_size": "low"}]);
    body["include"] = json!(["web_search_call.action.sources"]);
    body["previous_response_id"] = Value::Null;
    let odd = r#"{"type":"response.of_the_future", "verdict" : "fine"}"#;
    let searched = json!({"id": "ws_1", "type": "web_search_call", "status": "completed"});
    let said = json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Hi", "annotations": []}]});
    let event = |data: Value| {
        format!("event: {}\ndata: {data}\n\n", data["type"].as_str().expect("a type"))
    };
    provider.replies(Reply::events(&[
        RESPONSES.start("served"),
        format!("event: response.of_the_future\ndata: {odd}\n\n"),
        event(json!({"type": "response.output_item.added", "output_index": 0, "item": searched, "sequence_number": 3})),
        event(json!({"type": "response.web_search_call.searching", "output_index": 0, "item_id": "ws_1", "sequence_number": 4})),
        event(json!({"type": "response.output_item.done", "output_index": 0, "item": searched, "sequence_number": 5})),
        event(json!({"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "id": "msg_1"}})),
        event(json!({"type": "response.output_text.delta", "output_index": 1, "item_id": "msg_1", "content_index": 0, "delta": "Hi"})),
        event(json!({"type": "response.output_text.annotation.added", "output_index": 1, "item_id": "msg_1", "annotation": {"type": "url_citation"}})),
        event(json!({"type": "response.output_item.done", "output_index": 1, "item": said})),
        event(json!({"type": "response.completed", "response": {"status": "completed", "output": [searched, said], "service_tier": "flex"}})),
    ]));
    let answer = ask(&app.admin, body.clone()).await;
    let sent = provider.received()[0].body.clone();
    for (name, value) in body.as_object().expect("an object") {
        if name.starts_with("unknown") || ["input", "tools", "include"].contains(&name.as_str()) {
            assert_eq!(sent[name], *value, "{name}");
        }
    }
    assert_eq!((&sent["store"], sent.get("previous_response_id")), (&json!(false), None));
    assert!(answer.text.contains(&format!("event: response.of_the_future\ndata: {odd}\n\n")));
    let told = frames(&answer.text);
    let last: Value = serde_json::from_str(&told.last().expect("an end").1).expect("is JSON");
    let response = &last["response"];
    assert_eq!(response["output"][0], searched, "{response}");
    assert_eq!(
        response["output"][1]["content"][0]["annotations"],
        json!([{"type": "url_citation"}])
    );
    assert_eq!(response["service_tier"], "flex");
    let numbers: Vec<u64> = told
        .iter()
        .filter_map(|(_, data)| {
            serde_json::from_str::<Value>(data).ok()?["sequence_number"].as_u64()
        })
        .collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    app.stop().await;
}

#[sqlx::test]
async fn thinking_goes_back_to_who_thought_it(pool: PgPool) {
    for wire in [RESPONSES, ANTHROPIC] {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).start().await;
        let name = if wire == RESPONSES {
            "encrypted_thinking_is_kept"
        } else {
            "thinking_is_kept_apart_from_text"
        };
        provider.replies(Reply::events(&[fixture(wire, name)]));
        let first = ask(&app.admin, with(request("Hello"), "stream", json!(true))).await;
        let last = frames(&first.text).pop().expect("an end").1;
        let output =
            serde_json::from_str::<Value>(&last).expect("is JSON")["response"]["output"].clone();
        assert_eq!(output[0]["type"], "reasoning", "{output}");
        let mut input = vec![json!({"role": "user", "content": "Hello"})];
        input.extend(output.as_array().expect("items").clone());
        input.push(json!({"role": "user", "content": "More"}));
        let calls = input.iter().filter(|item| item["type"] == "function_call").cloned();
        let results: Vec<Value> = calls
            .map(|call| json!({"type": "function_call_output", "call_id": call["call_id"], "output": "1"}))
            .collect();
        let end = input.len() - 1;
        input.splice(end..end, results);
        provider.says(wire, "Done.");
        ask(&app.admin, json!({"model": "helper", "input": input, "store": false})).await;
        let sent = provider.received()[1].body.to_string();
        let code = if wire == RESPONSES { "encrypted_content" } else { "signature" };
        assert!(sent.contains(code), "{sent}");
        assert!(!sent.contains("rolecall-thought"), "{sent}");
        app.stop().await;
    }
}

#[sqlx::test]
async fn a_cut_answer_is_an_error_and_a_failure(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    let half = [OPENAI.start("served"), OPENAI.text("served", "Half an ans")];
    provider.replies(Reply::events(&half).then_cut());
    let cut = ask(&app.admin, with(request("Hello"), "stream", json!(true))).await;
    let frames = frames(&cut.text);
    let names: Vec<&str> = frames.iter().rev().take(2).map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["response.failed", "error"]);
    let last: Value = serde_json::from_str(&frames.last().expect("an end").1).expect("is JSON");
    assert_eq!(last["response"]["status"], "failed");
    assert_eq!(last["response"]["output"][0]["status"], "incomplete");
    assert!(last["response"]["error"]["message"].is_string());
    app.stop().await;
}

#[sqlx::test]
async fn silence_is_filled_with_comments(pool: PgPool) {
    let answer = answered_late(&pool, PATH, with(request("Hello"), "stream", json!(true))).await;
    let comment = answer.text.find(": keep-alive\n\n").expect("a comment");
    assert!(comment < answer.text.find("Late.").expect("the answer"));
}

#[sqlx::test]
async fn tools_of_servers_are_used_and_not_shown(pool: PgPool) {
    let tools = FakeToolServer::start(&[("look", FakeTool::says("found"))]).await;
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app_with_both_tools(&pool, &provider, OPENAI, &folder, &tools).await;
    let body = with(request("Hello"), "tools", json!([{"type": "function", "name": "own"}]));
    let answer = ask(&app.admin, body).await;
    assert!(!answer.text.contains("mcp__") && !answer.text.contains("found"), "{}", answer.text);
    assert_eq!(answer.body["output"][0]["call_id"], "b");
    // Whoever follows is shown what the server said.
    provider.says(OPENAI, "Done.");
    let result = json!([{"type": "function_call_output", "call_id": "b", "output": "mine"}]);
    let body = json!({"model": "helper", "input": result, "previous_response_id": id(&answer)});
    ask(&app.admin, body).await;
    assert!(provider.received()[2].body.to_string().contains("found"));
    app.stop().await;
}

#[sqlx::test]
async fn tokens_are_counted(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    let counted = app.admin.post("/v1/responses/input_tokens", request("Hello")).await;
    assert_eq!(counted.body["object"], "response.input_tokens");
    assert!(counted.body["input_tokens"].as_u64().is_some_and(|tokens| tokens > 2));
    assert!(provider.received().is_empty());
    app.stop().await;
}
