use serde_json::json;
use sqlx::PgPool;

use super::{CONFIGURATION, answer_at_once};
use crate::support::{Deployment, TestApp};

async fn count(pool: &PgPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(pool).await.expect("is counted")
}

#[sqlx::test]
async fn deleted_texts_do_not_come_back_with_a_journal(pool: PgPool) {
    let mut deployment = Deployment::start(&pool, CONFIGURATION).await;
    answer_at_once(&deployment);
    let caller = deployment.service.caller.clone();
    let conversation = caller.post("/v1/conversations", json!({})).await.body["id"].clone();
    // Nothing of the run comes out of the journal.
    let mut holding = rolecall::db::begin(&pool).await.expect("begins");
    sqlx::query("LOCK TABLE dispatches IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *holding)
        .await
        .expect("is locked");
    let body = json!({"input": "review my pull request", "conversation_id": conversation});
    let run = caller.post("/v1/runs", body).await;
    assert_eq!((run.status, &run.body["status"]), (200, &json!("completed")), "{}", run.text);
    deployment.service.kill();
    holding.rollback().await.expect("is over");
    assert_eq!(count(&pool, "SELECT count(*) FROM runs").await, 0);

    let other = TestApp::start(pool.clone()).await;
    let path = format!("/v1/conversations/{}", conversation.as_str().expect("an id"));
    let deleted = other.admin.delete(&path).await;
    assert!(deleted.status < 300, "{}", deleted.text);
    other.stop().await;
    assert_eq!(count(&pool, "SELECT count(*) FROM forgotten_texts").await, 1);

    deployment.start_again().await;
    let path = format!("/v1/runs/{}", run.body["id"].as_str().expect("an id"));
    let found = deployment.service.caller.get(&path).await.body;
    assert_eq!((&found["status"], &found["output"]), (&json!("completed"), &json!(null)));
    assert_eq!(count(&pool, "SELECT count(*) FROM run_events").await, 0);
    assert_eq!(count(&pool, "SELECT count(*) FROM dispatches").await, 1);
    assert_eq!(count(&pool, "SELECT count(*) FROM dispatches WHERE input IS NOT NULL").await, 0);
    // No journal is left that could bring them back.
    assert_eq!(count(&pool, "SELECT count(*) FROM forgotten_texts").await, 0);
}
