use rolecall::provider::DialectName;
use serde_json::json;
use sqlx::PgPool;

use crate::support::{FakeProvider, TestApp, Wire};

#[sqlx::test]
async fn a_prompt_is_what_a_run_would_send(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let app = TestApp::builder(pool).provider(&provider, DialectName::Anthropic).start().await;
    let body = json!({"agent": "nextjs-backend-engineer", "input": "hello", "max_tokens": 50});
    let prompt = app.admin.post("/v1/prompts", body).await.body;
    assert_eq!(prompt["agent"], "nextjs-backend-engineer");
    assert_eq!(prompt["provider"], "anthropic");
    assert_eq!(prompt["request"]["max_tokens"], 50);
    assert_eq!(prompt["request"]["model"], "claude-sonnet-5-5");
    assert_eq!(prompt["request"]["messages"][0]["content"], "hello");
    assert!(prompt["tokens"]["estimate"].as_u64() > Some(100));
    assert_eq!(prompt["tokens"]["exact"], false);
    assert!(provider.received().is_empty(), "nothing is sent");
}

#[sqlx::test]
async fn a_prompt_warns_of_what_is_left_out_as_a_run_does(pool: PgPool) {
    let provider = FakeProvider::start().await;
    provider.says(Wire(DialectName::OpenaiResponses), "Done.");
    let app = TestApp::builder(pool)
        .provider(&provider, DialectName::OpenaiResponses)
        .default_model("responses/m")
        .start()
        .await;
    let body = json!({
        "agent": "code-reviewer", "input": "hello", "model": "responses/m",
        "stop": ["END"], "tool_choice": "required",
    });
    let prompt = app.admin.post("/v1/prompts", body.clone()).await.body;
    let warnings = json!(["parameter_dropped:tool_choice", "parameter_dropped:stop"]);
    assert_eq!(prompt["warnings"], warnings);
    assert_eq!(app.admin.post("/v1/runs", body).await.body["warnings"], warnings);
}
