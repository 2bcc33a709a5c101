//! What has become older than it is kept goes by itself.

use std::time::Duration;

use serde_json::json;
use sqlx::PgPool;

use crate::support::TestApp;

const KEPT_DAYS: u32 = 30;

async fn count(pool: &PgPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(pool).await.expect("is read")
}

async fn age(pool: &PgPool, statements: &[&'static str]) {
    for statement in statements {
        sqlx::query(*statement).execute(pool).await.expect("is written");
    }
}

#[sqlx::test]
async fn old_records_and_conversations_go_and_others_and_the_sums_stay(pool: PgPool) {
    let app = TestApp::start(pool.clone()).await;
    let run = json!({"agent": "code-reviewer", "input": "look"});
    let old = app.admin.post("/v1/runs", run.clone()).await.body;
    let kept = app.admin.post("/v1/runs", run).await.body;
    let mut conversations = Vec::new();
    for _ in 0..2 {
        conversations.push(app.admin.post("/v1/conversations", json!({})).await.body["id"].clone());
    }
    app.stop().await;
    let id = |body: &serde_json::Value| body["id"].as_str().expect("an id").to_owned();
    // More than a batch of them.
    age(
        &pool,
        &["INSERT INTO dispatches (id, key_id, outcome, roster_revision, decision, created_at)
         SELECT gen_random_uuid(), gen_random_uuid(), 'none', 1, '{}', now() - interval '31 days'
         FROM generate_series(1, 2500)"],
    )
    .await;
    sqlx::query("UPDATE runs SET created_at = now() - interval '31 days', ended_at = now() - interval '31 days' WHERE id = $1::uuid")
        .bind(uuid::Uuid::parse_str(&id(&old)).expect("an id"))
        .execute(&pool)
        .await
        .expect("is written");
    let untouched = conversations[0].as_str().expect("an id");
    sqlx::query("UPDATE conversations SET updated_at = now() - interval '31 days' WHERE id = $1")
        .bind(uuid::Uuid::parse_str(untouched).expect("an id"))
        .execute(&pool)
        .await
        .expect("is written");

    let app = TestApp::builder(pool.clone())
        .configure(|config| config.retention_days = Some(KEPT_DAYS))
        .start()
        .await;
    for _ in 0..500 {
        let left = count(&pool, "SELECT count(*) FROM dispatches").await;
        if left == 2 && count(&pool, "SELECT count(*) FROM conversations").await == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        count(&pool, "SELECT count(*) FROM dispatches").await,
        2,
        "the runs' own, made today"
    );
    app.admin.get(&format!("/v1/runs/{}", id(&old))).await.problem(404, "run_not_found");
    assert_eq!(app.admin.get(&format!("/v1/runs/{}", id(&kept))).await.body["status"], "completed");
    assert_eq!(count(&pool, "SELECT count(DISTINCT run_id) FROM run_events").await, 1);
    app.admin
        .get(&format!("/v1/conversations/{untouched}"))
        .await
        .problem(404, "conversation_not_found");
    assert_eq!(count(&pool, "SELECT count(*) FROM conversations").await, 1);
    let sums = app.admin.get("/admin/v1/usage").await.body;
    assert_eq!(sums["items"][0]["runs"]["total"], 2, "what was used is not forgotten");
}

#[sqlx::test]
async fn a_conversation_that_a_run_is_just_claiming_stays(pool: PgPool) {
    age(
        &pool,
        &["INSERT INTO conversations (id, key_id, updated_at)
           VALUES ('019a0000-0000-7000-8000-000000000001', gen_random_uuid(), now() - interval '31 days')",
          "INSERT INTO instances (id) VALUES ('019a0000-0000-7000-8000-000000000002')"],
    )
    .await;
    // As a run on another instance does it.
    let mut claiming = rolecall::db::begin(&pool).await.expect("begins");
    for statement in [
        "UPDATE conversations SET claim_count = claim_count + 1",
        "INSERT INTO conversation_claims (run_id, conversation_id, number, instance_id)
         SELECT gen_random_uuid(), id, 1, '019a0000-0000-7000-8000-000000000002' FROM conversations",
    ] {
        sqlx::query(statement).execute(&mut *claiming).await.expect("is written");
    }
    let app = TestApp::builder(pool.clone())
        .configure(|config| config.retention_days = Some(KEPT_DAYS))
        .start()
        .await;
    // Meanwhile the first removal is made, or waits.
    tokio::time::sleep(Duration::from_secs(1)).await;
    claiming.commit().await.expect("is committed");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(count(&pool, "SELECT count(*) FROM conversation_claims").await, 1);
    app.stop().await;
}

#[sqlx::test]
async fn without_a_limit_nothing_goes(pool: PgPool) {
    age(&pool, &[
        "INSERT INTO dispatches (id, key_id, outcome, roster_revision, decision, created_at)
         VALUES (gen_random_uuid(), gen_random_uuid(), 'none', 1, '{}', now() - interval '9 years')",
    ])
    .await;
    let app = TestApp::start(pool.clone()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(count(&pool, "SELECT count(*) FROM dispatches").await, 1);
    app.stop().await;
}
