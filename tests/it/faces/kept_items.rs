//! What a stored response keeps in the words of OpenAI's Responses, and where it is told again.

use rolecall::provider::Target;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{ANTHROPIC, OPENAI, RESPONSES, app, fixture, frames, helper};
use crate::support::{AgentFolder, Answer, FakeProvider, Reply, TestApp, Wire};

const PATH: &str = "/v1/responses";

async fn ask(app: &TestApp, body: Value) -> Answer {
    let answer = app.admin.post(PATH, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

/// A request that follows a response.
fn behind(previous: &Answer, input: &Value) -> Value {
    json!({"model": "helper", "input": input, "previous_response_id": previous.body["id"]})
}

fn path(answer: &Answer, further: &str) -> String {
    format!("{PATH}/{}{further}", answer.body["id"].as_str().expect("an id"))
}

/// An answer of a provider that speaks the protocol, of these items.
fn answer_of(items: &[Value]) -> Reply {
    let frame = |data: Value| {
        format!("event: {}\ndata: {data}\n\n", data["type"].as_str().expect("a type"))
    };
    let mut events = vec![RESPONSES.start("served")];
    for (place, item) in items.iter().enumerate() {
        let event = |name: &str| json!({"type": name, "output_index": place, "item": item});
        events.push(frame(event("response.output_item.added")));
        if let Some(text) = item["content"][0]["text"].as_str() {
            events.push(frame(json!({"type": "response.output_text.delta", "output_index": place,
                "content_index": 0, "delta": text})));
        }
        events.push(frame(event("response.output_item.done")));
    }
    let whole = json!({"status": "completed", "output": items});
    events.push(frame(json!({"type": "response.completed", "response": whole})));
    Reply::events(&events)
}

fn said(id: &str, text: &str, annotations: &Value) -> Value {
    json!({"type": "message", "id": id, "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": annotations}]})
}

/// What a provider of the protocol was sent.
fn sent(provider: &FakeProvider, place: usize) -> Value {
    provider.received()[place].body["input"].clone()
}

/// Items of kinds that have no neutral word, and a message with a file.
fn odd_items() -> [Value; 4] {
    [
        json!({"type": "of_the_future", "data": [1]}),
        json!({"type": "message", "role": "developer", "content": "Be brief."}),
        json!({"role": "user", "content": [
            {"type": "input_text", "text": "Read this\u{0}."},
            {"type": "input_file", "file_id": "file-1", "of_the_future": {"x": null}},
            {"type": "input_image", "file_id": "file-2", "detail": "high"},
        ]}),
        json!({"type": "compaction", "id": "cmp_1", "encrypted_content": "code"}),
    ]
}

#[sqlx::test]
async fn what_is_not_understood_is_sent_again_where_protocols_match(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, RESPONSES, &folder).start().await;
    let searched = json!({"type": "web_search_call", "id": "ws_1", "status": "completed"});
    let cites = said("msg_1", "Found.", &json!([{"type": "url_citation", "url": "https://x"}]));
    provider.replies(answer_of(&[searched.clone(), cites.clone()]));
    let mut body = json!({"model": "helper", "input": odd_items(), "instructions": "Just now."});
    let first = ask(&app, body.clone()).await;
    let exchange = [&odd_items()[..], &[searched, cites]].concat();
    let followed =
        |text: &str| json!([&exchange[..], &[json!({"role": "user", "content": text})]].concat());
    // One goes on in the same conversation, the other in a copy of it.
    for (place, text) in [(1, "More"), (2, "Less")] {
        provider.says(RESPONSES, "Yes.");
        ask(&app, behind(&first, &json!(text))).await;
        assert_eq!(sent(&provider, place), followed(text));
        let instructions = provider.received()[place].body["instructions"].clone();
        assert_eq!(instructions, "You help.");
    }
    // So it is if the one that follows is asked for natively.
    provider.says(RESPONSES, "Yes.");
    let conversation: String =
        sqlx::query_scalar("SELECT id::text FROM conversations ORDER BY id LIMIT 1")
            .fetch_one(&pool)
            .await
            .expect("is there");
    let run = json!({"agent": "helper", "input": "Again", "conversation_id": conversation});
    assert_eq!(app.admin.post("/v1/runs", run).await.status, 200);
    assert_eq!(sent(&provider, 3).as_array().expect("items")[..6], exchange);
    assert_eq!(app.admin.delete(&path(&first, "")).await.status, 200);
    for text in ["file-1", "of_the_future", "Be brief", "ws_1", "url_citation"] {
        let left: i64 = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM conversation_messages WHERE message::text LIKE $1)
                + (SELECT count(*) FROM run_events WHERE events::text LIKE $1)",
        )
        .bind(format!("%{text}%"))
        .fetch_one(&pool)
        .await
        .expect("is counted");
        assert_eq!(left, 0, "{text}");
    }
    body["store"] = json!(false);
    provider.says(RESPONSES, "Yes.");
    ask(&app, body).await;
    assert_eq!(sent(&provider, 4), json!(odd_items()));
    app.stop().await;
}

#[sqlx::test]
async fn what_is_not_understood_is_told_as_what_it_means_where_protocols_differ(pool: PgPool) {
    for wire in [OPENAI, ANTHROPIC] {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).start().await;
        provider.says(wire, "Found.");
        let input = json!({"model": "helper", "input": odd_items(), "instructions": "Just now."});
        let first = ask(&app, input).await;
        provider.says(wire, "Yes.");
        let input =
            json!([{"role": "system", "content": "Hurry."}, {"role": "user", "content": "More"}]);
        ask(&app, behind(&first, &input)).await;
        let (asked, followed) = (&provider.received()[0].body, &provider.received()[1].body);
        let system = |body: &Value| match &body["system"] {
            Value::Null => body["messages"][0]["content"].to_string(),
            system => system.to_string(),
        };
        assert!(system(asked).contains("Just now.") && system(asked).contains("Be brief."));
        let told = system(followed);
        assert!(!told.contains("Just now."), "{told}");
        let places = ["You help.", "Be brief.", "Hurry."].map(|text| told.find(text));
        assert!(places[0].is_some() && places.is_sorted() && places[2].is_some(), "{told}");
        let messages = followed["messages"].to_string();
        assert!(messages.contains("Read this") && messages.contains("`input_file`"), "{messages}");
        assert!(!messages.contains("file-1") && !messages.contains("compaction"), "{messages}");
        app.stop().await;
    }
}

#[sqlx::test]
async fn what_a_response_was_asked_with_is_listed_as_it_was_sent(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, RESPONSES, &folder).start().await;
    provider.says(RESPONSES, "Found.");
    let earlier = [
        json!({"role": "user", "content": "Hello"}),
        json!({"role": "assistant", "content": "Hi."}),
        json!({"type": "function_call", "call_id": "a", "name": "look", "arguments": "{\"x\":1}"}),
        json!({"type": "function_call_output", "call_id": "a", "output": "on"}),
    ];
    let input = [&earlier[..], &odd_items()].concat();
    let first = ask(&app, json!({"model": "helper", "input": input})).await;
    let listed = app.admin.get(&path(&first, "/input_items?order=asc")).await.body;
    let listed = listed["data"].as_array().expect("a list");
    let kinds: Vec<&str> =
        listed.iter().map(|item| item["type"].as_str().expect("a type")).collect();
    assert_eq!(
        kinds,
        [
            "message", "message", "function_call", "function_call_output", "of_the_future",
            "message", "message", "compaction"
        ]
    );
    assert_eq!(
        listed[1]["content"][0],
        json!({"type": "output_text", "text": "Hi.", "annotations": [], "logprobs": []})
    );
    assert_eq!(
        (&listed[2]["arguments"], &listed[3]["output"]),
        (&json!("{\"x\":1}"), &json!("on"))
    );
    assert_eq!(listed[4]["data"], json!([1]));
    assert_eq!(listed[5]["role"], "developer");
    assert_eq!(listed[5]["content"], json!([{"type": "input_text", "text": "Be brief."}]));
    assert_eq!(listed[6]["content"], odd_items()[2]["content"]);
    assert_eq!(listed[7], odd_items()[3]);
    assert!(listed.iter().all(|item| item["id"].is_string()));
    let after = listed[5]["id"].as_str().expect("an id");
    let page = path(&first, &format!("/input_items?order=asc&after={after}&limit=1"));
    let page = app.admin.get(&page).await.body;
    assert_eq!((&page["data"], &page["has_more"]), (&json!([listed[6]]), &json!(true)));
    let page = app.admin.get(&path(&first, "/input_items?after=item_of_nobody")).await;
    assert_eq!((page.status, &page.body["error"]["param"]), (400, &json!("after")));
    app.stop().await;
}

#[sqlx::test]
async fn calls_that_only_the_protocol_knows_go_around(pool: PgPool) {
    let patch = json!({"type": "custom_tool_call", "id": "ctc_1", "call_id": "a", "name": "patch", "input": "*** x"});
    let click = json!({"type": "computer_call", "id": "cu_1", "call_id": "b", "action": {"type": "click"},
        "status": "completed"});
    let cases = [
        (patch, json!({"type": "custom_tool_call_output", "call_id": "a", "output": "done"})),
        (
            click,
            json!({"type": "computer_call_output", "call_id": "b",
            "output": {"type": "computer_screenshot", "file_id": "file-1"}}),
        ),
    ];
    for (call, result) in cases {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, RESPONSES, &folder).start().await;
        provider.replies(answer_of(std::slice::from_ref(&call)));
        let asked = json!({"role": "user", "content": "Do it"});
        let first = ask(&app, json!({"model": "helper", "input": [asked]})).await;
        assert_eq!(first.body["output"], json!([call]));
        provider.says(RESPONSES, "Done.");
        let second = ask(&app, behind(&first, &json!([result]))).await;
        assert_eq!(sent(&provider, 1), json!([asked, call, result]));
        provider.says(RESPONSES, "Yes.");
        ask(&app, behind(&second, &json!("More"))).await;
        let done = json!({"role": "assistant", "content": "Done."});
        let more = json!({"role": "user", "content": "More"});
        assert_eq!(sent(&provider, 2), json!([asked, call, result, done, more]));
        // Who does not answer a call goes on without it.
        provider.says(RESPONSES, "Yes.");
        ask(&app, behind(&first, &json!("More"))).await;
        assert_eq!(sent(&provider, 3), json!([asked, more]));
        app.stop().await;
    }
}

#[sqlx::test]
async fn calls_that_only_the_protocol_knows_have_a_meaning_elsewhere(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    provider.says(OPENAI, "Done.");
    let input = json!([
        {"role": "user", "content": "Do it"},
        {"type": "custom_tool_call", "call_id": "a", "name": "patch", "input": "*** x"},
        {"type": "custom_tool_call_output", "call_id": "a", "output": "done"},
    ]);
    let first = ask(&app, json!({"model": "helper", "input": input})).await;
    provider.says(OPENAI, "Yes.");
    ask(&app, behind(&first, &json!("More"))).await;
    let messages = provider.received()[1].body["messages"].clone();
    assert_eq!(messages[2]["tool_calls"][0]["function"]["arguments"], "{\"input\":\"*** x\"}");
    assert_eq!(
        (&messages[3]["tool_call_id"], &messages[3]["content"]),
        (&json!("a"), &json!("done"))
    );
    app.stop().await;
}

#[sqlx::test]
async fn an_answer_to_a_providers_own_tool_may_be_all_that_is_said(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, RESPONSES, &folder).start().await;
    let asks = json!({"type": "mcp_approval_request", "id": "mcpr_1", "name": "look", "arguments": "{}",
        "server_label": "docs"});
    provider.replies(answer_of(std::slice::from_ref(&asks)));
    let asked = json!({"role": "user", "content": "Do it"});
    let first = ask(&app, json!({"model": "helper", "input": [asked]})).await;
    provider.says(RESPONSES, "Done.");
    let approves =
        json!({"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": true});
    ask(&app, behind(&first, &json!([approves]))).await;
    assert_eq!(sent(&provider, 1), json!([asked, asks, approves]));
    app.stop().await;
}

/// The output of a recorded answer: of the stream, in one piece, and found again.
async fn outputs(app: &TestApp, provider: &FakeProvider, wire: Wire, name: &str) -> Vec<Value> {
    let mut outputs = Vec::new();
    for is_streaming in [true, false] {
        provider.replies(Reply::events(&[fixture(wire, name)]));
        let body = json!({"model": "helper", "input": "Hello", "stream": is_streaming});
        let answer = ask(app, body).await;
        let response = if is_streaming {
            let last = frames(&answer.text).pop().expect("an end").1;
            serde_json::from_str::<Value>(&last).expect("is JSON")["response"].clone()
        } else {
            answer.body
        };
        let id = response["id"].as_str().expect("an id");
        let found = app.admin.get(&format!("{PATH}/{id}")).await.body;
        assert_eq!(found, response);
        outputs.push(response["output"].clone());
    }
    outputs
}

#[sqlx::test]
async fn items_and_their_parts_stay_apart(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, RESPONSES, &folder).start().await;
    for output in outputs(&app, &provider, RESPONSES, "messages_of_one_answer_stand_apart").await {
        let said: Vec<(&Value, &Value)> = output
            .as_array()
            .expect("items")
            .iter()
            .map(|item| (&item["content"][0]["text"], &item["phase"]))
            .collect();
        assert_eq!(
            said,
            [
                (&json!("I count them."), &json!("commentary")),
                (&json!("There are three."), &json!("final_answer"))
            ]
        );
    }
    for output in outputs(&app, &provider, RESPONSES, "thinking_is_kept_apart_from_text").await {
        let parts = ["**Looking at 27**\n\nIt is three cubed.", "**Checking**"];
        let summary = parts.map(|text| json!({"type": "summary_text", "text": text}));
        assert_eq!(output[0]["summary"], json!(summary));
        assert_eq!(output[1]["content"][0]["text"], "It is 27.");
    }
    app.stop().await;
}

#[sqlx::test]
async fn items_of_an_answer_in_one_piece_stay_apart(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, AgentFolder::new());
    let helper = "---\nname: helper\ndescription: Helps\nmodel: whole\n---\n\nYou help.\n";
    folder.write("helper.md", helper);
    let target = Target { stream: false, ..Target::new(RESPONSES.name(), "m") };
    let app = app(&pool, &provider, RESPONSES, &folder).alias("whole", [target]).start().await;
    let items = json!([
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "One."}, {"type": "summary_text", "text": "Two."}]},
        {"type": "reasoning", "id": "rs_2", "summary": [{"type": "summary_text", "text": "Three."}]},
        said("msg_1", "Four.", &json!([])),
        said("msg_2", "Five.", &json!([{"type": "url_citation"}])),
    ]);
    let answered = json!({"status": "completed", "model": "served", "output": items});
    provider.replies(Reply::json(200, &answered));
    let answer = ask(&app, json!({"model": "helper", "input": "Hello"})).await;
    let told = answer.body["output"].as_array().expect("items");
    assert_eq!((told.len(), &told[..2]), (4, &items.as_array().expect("items")[..2]));
    assert_eq!(told[2]["content"][0]["text"], "Four.");
    assert_eq!(told[3]["content"], items[3]["content"]);
    app.stop().await;
}
