//! Refusals towards OpenAI's clients: in the model's own words, and by a filter. The two have different places there.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{OPENAI, RESPONSES, app, fixture, frames, helper};
use crate::support::{Caller, FakeProvider, Reply};

const WORDS: &str = "I cannot help with that.";

fn chat(is_streaming: bool) -> (&'static str, Value) {
    let messages = json!([{"role": "user", "content": "Hello"}]);
    let body = json!({"model": "helper", "messages": messages, "stream": is_streaming});
    ("/v1/chat/completions", body)
}

fn response(is_streaming: bool) -> (&'static str, Value) {
    ("/v1/responses", json!({"model": "helper", "input": "Hello", "stream": is_streaming}))
}

/// What an answer consists of, or its frames.
async fn answers(caller: &Caller, (path, body): (&str, Value)) -> Vec<Value> {
    let answer = caller.post(path, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    if !answer.header("content-type").starts_with("text/event-stream") {
        return vec![answer.body];
    }
    let frames = frames(&answer.text);
    frames.iter().filter_map(|(_, data)| serde_json::from_str(data).ok()).collect()
}

/// The texts that the chunks of a completion have in a field, one behind the other.
fn gathered(chunks: &[Value], field: &str) -> String {
    chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"][field].as_str()).collect()
}

/// The response that a stream ends with, or that is the answer.
fn last(told: &[Value]) -> Value {
    let last = told.last().expect("an end");
    last.get("response").unwrap_or(last).clone()
}

#[sqlx::test]
async fn a_models_own_refusal_is_no_filters(pool: PgPool) {
    for wire in [OPENAI, RESPONSES] {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).start().await;
        provider.answers(move |_| Reply::events(&[fixture(wire, "a_refusal_is_a_finish_reason")]));
        let whole = answers(&app.admin, chat(false)).await[0]["choices"][0].clone();
        assert_eq!(whole["finish_reason"], "stop");
        assert_eq!(whole["message"]["refusal"], WORDS);
        assert_eq!(whole["message"]["content"], Value::Null);
        let chunks = answers(&app.admin, chat(true)).await;
        assert_eq!(gathered(&chunks, "refusal"), WORDS);
        assert_eq!(gathered(&chunks, "content"), "");
        let reasons = chunks.iter().filter_map(|it| it["choices"][0]["finish_reason"].as_str());
        assert_eq!(reasons.collect::<Vec<_>>(), ["stop"]);
        for is_streaming in [false, true] {
            let told = answers(&app.admin, response(is_streaming)).await;
            let made = last(&told);
            let refused = json!([{"type": "refusal", "refusal": WORDS}]);
            assert_eq!([&made["status"], &made["output"][0]["status"]], ["completed"; 2]);
            assert_eq!(made["output"][0]["content"], refused);
            // It is on record as it was told, and can be followed.
            let path = format!("/v1/responses/{}", made["id"].as_str().expect("an id"));
            let found = app.admin.get(&path).await.body;
            assert_eq!((&found["status"], &found["output"]), (&made["status"], &made["output"]));
            let (path, mut body) = response(false);
            body["previous_response_id"] = made["id"].clone();
            answers(&app.admin, (path, body)).await;
            let sent = provider.received().pop().expect("was asked").text;
            assert!(sent.contains(WORDS), "{sent}");
        }
        // Natively it is a refusal like any other.
        let run = app.admin.post("/v1/runs", json!({"input": "Hello", "agent": "helper"})).await;
        assert_eq!(run.body["finish_reason"], "refusal");
        assert_eq!(
            (&run.body["status"], &run.body["output"]),
            (&json!("completed"), &json!(WORDS))
        );
        assert_eq!(run.body["refused_in_words"], json!(true));
        app.stop().await;
    }
}

#[sqlx::test]
async fn the_events_of_a_refusal_are_the_protocols(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder).start().await;
    provider.replies(Reply::events(&[fixture(OPENAI, "a_refusal_is_a_finish_reason")]));
    let told = answers(&app.admin, response(true)).await;
    let kinds: Vec<&str> = told.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.refusal.delta",
            "response.refusal.delta",
            "response.refusal.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!(told[3]["part"], json!({"type": "refusal", "refusal": ""}));
    assert_eq!(told[6]["refusal"], WORDS);
    app.stop().await;
}

#[sqlx::test]
async fn what_a_filter_has_cut_stays_what_it_is(pool: PgPool) {
    for wire in [OPENAI, RESPONSES] {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).start().await;
        provider.answers(move |_| Reply::events(&[fixture(wire, "a_content_filter_is_a_refusal")]));
        let whole = answers(&app.admin, chat(false)).await[0]["choices"][0].clone();
        assert_eq!(whole["finish_reason"], "content_filter");
        assert_eq!(whole["message"]["refusal"], Value::Null);
        let made = last(&answers(&app.admin, response(true)).await);
        assert_eq!(made["status"], "incomplete");
        assert_eq!(made["incomplete_details"], json!({"reason": "content_filter"}));
        assert_eq!(made["output"][0]["content"][0]["type"], "output_text");
        app.stop().await;
    }
}
