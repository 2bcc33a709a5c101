use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::PgPool;

use super::CONFIGURATION;
use crate::support::{Deployment, Gate};

#[sqlx::test]
async fn a_question_that_stays_unanswered_keeps_no_change_away(pool: PgPool) {
    let gate = Gate::open_to(&pool).await;
    let deployment = Deployment::start_at(&gate.url, CONFIGURATION).await;
    let admin = deployment.service.caller.clone();
    let key = admin.post("/admin/v1/keys", json!({"name": "x", "scopes": ["run"]})).await;
    let caller = admin.with_key(key.body["key"].as_str().expect("a key is shown"));
    assert_eq!(caller.get("/v1/agents").await.status, 200);
    // All that is looked for waits for its answer when the connections fall silent.
    let mut holding = rolecall::db::begin(&pool).await.expect("begins");
    sqlx::query("LOCK TABLE change_counters IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *holding)
        .await
        .expect("is locked");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    gate.fall_silent();
    holding.rollback().await.expect("is over");
    // As another instance does it.
    for statement in [
        "UPDATE api_keys SET revoked_at = now() WHERE name = 'x'",
        "UPDATE change_counters SET keys_revision = keys_revision + 1",
    ] {
        sqlx::query(statement).execute(&pool).await.expect("is written");
    }
    let revoked_at = Instant::now();
    while caller.get("/v1/agents").await.status != 401 {
        assert!(revoked_at.elapsed() < Duration::from_mins(1), "it is never heard of");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
