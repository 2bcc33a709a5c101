//! Requests of faces that say that they are one.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{ANTHROPIC, OPENAI, RESPONSES, app, helper};
use crate::support::{Answer, Caller, FakeProvider, Wire};

/// A face, the wire that speaks its protocol, and a request in its words.
fn faces() -> [(&'static str, Wire, Value); 3] {
    let messages = json!([{"role": "user", "content": "Which form?"}]);
    [
        ("/v1/chat/completions", OPENAI, json!({"model": "helper", "messages": messages})),
        (
            "/v1/messages",
            ANTHROPIC,
            json!({"model": "helper", "messages": messages, "max_tokens": 9}),
        ),
        ("/v1/responses", RESPONSES, json!({"model": "helper", "input": "Which form?"})),
    ]
}

async fn ask(caller: &Caller, path: &str, key: &str, body: &Value) -> Answer {
    let request = caller.request(reqwest::Method::POST, path);
    Answer::read(request.header("idempotency-key", key).json(body)).await
}

#[sqlx::test]
async fn the_same_request_is_answered_from_its_run(pool: PgPool) {
    for (path, wire, mut body) in faces() {
        let (provider, folder) = (FakeProvider::start().await, helper());
        let app = app(&pool, &provider, wire, &folder).start().await;
        for (index, is_streaming) in [false, true].into_iter().enumerate() {
            body["stream"] = json!(is_streaming);
            let key = format!("{path}-{index}");
            provider.says(wire, "Form 7.");
            let first = ask(&app.admin, path, &key, &body).await;
            assert!(first.status == 200 && first.text.contains("Form 7."), "{}", first.text);
            let again = ask(&app.admin, path, &key, &body).await;
            let run = |answer: &Answer| answer.header("x-rolecall-run").to_owned();
            assert_eq!((again.status, run(&again)), (200, run(&first)), "{}", again.text);
            let kind = |answer: &Answer| answer.header("content-type").to_owned();
            assert_eq!(kind(&again), kind(&first));
            if is_streaming {
                assert!(again.text.contains("Form 7."), "{}", again.text);
            } else {
                assert_eq!(again.body, first.body, "{path}");
            }
            assert_eq!(provider.received().len(), index + 1, "{path} asks once");
            body["metadata"] = json!({"other": key});
            let other = ask(&app.admin, path, &key, &body).await;
            assert_eq!(other.status, 422, "{}", other.text);
            assert!(other.body["error"]["message"].is_string(), "{}", other.text);
        }
        app.stop().await;
    }
}

#[sqlx::test]
async fn a_response_in_the_background_is_begun_once(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, RESPONSES, &folder).start().await;
    let body = json!({"model": "helper", "input": "Which form?", "background": true});
    provider.says(RESPONSES, "Form 7.");
    let first = ask(&app.admin, "/v1/responses", "b", &body).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let again = loop {
        let again = ask(&app.admin, "/v1/responses", "b", &body).await;
        if again.status != 409 {
            break again;
        }
    };
    assert_eq!((again.status, &again.body["id"]), (200, &first.body["id"]), "{}", again.text);
    assert_eq!(again.body["status"], "completed");
    assert_eq!(again.body["output"][0]["content"][0]["text"], "Form 7.");
    assert_eq!(provider.received().len(), 1);
    app.stop().await;
}

#[sqlx::test]
async fn an_answer_that_is_not_kept_is_not_told_again(pool: PgPool) {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(&pool, &provider, OPENAI, &folder);
    let app = app.configure(|config| config.conversation.stores_content = false).start().await;
    let (path, wire, body) = faces()[0].clone();
    provider.says(wire, "Form 7.");
    assert_eq!(ask(&app.admin, path, "k", &body).await.status, 200);
    let again = ask(&app.admin, path, "k", &body).await;
    assert_eq!(again.body["error"]["code"], "content_not_kept", "{}", again.text);
    assert_eq!(provider.received().len(), 1);
    app.stop().await;
}
