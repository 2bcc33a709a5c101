//! What an instance has in mind of the feedback: as much as it may, and no more than is stored.

use rolecall::dispatch::{Correction, Corrections, Feedback};
use serde_json::json;
use sqlx::PgPool;

use crate::support::TestApp;

const LOGIN: &str = "I need to create an API route that handles user login with JWT tokens";

async fn open(pool: &PgPool) -> Feedback {
    Feedback::open(pool.clone()).await.expect("is read")
}

async fn refreshed(feedback: &Feedback) -> std::sync::Arc<Corrections> {
    feedback.refresh().await.expect("is read");
    feedback.corrections()
}

async fn execute(pool: &PgPool, statement: &'static str) {
    sqlx::query(statement).execute(pool).await.expect("is done");
}

/// Stores as many corrections, one revision each: for `a`, for `b` and for nobody by turns.
async fn store(pool: &PgPool, count: i32) {
    let mut transaction = rolecall::db::begin(pool).await.expect("begins");
    sqlx::query(
        "INSERT INTO feedback (dispatch_id, revision, key_id, agent_name, input, confidence, first_agent)
         SELECT gen_random_uuid(), feedback_revision + number, gen_random_uuid(),
            (ARRAY['a', 'b', NULL])[1 + number % 3], 'number ' || feedback_revision + number, 0.5, 'a'
         FROM change_counters, generate_series(1, $1) AS number",
    )
    .bind(count)
    .execute(&mut *transaction)
    .await
    .expect("is stored");
    sqlx::query("UPDATE change_counters SET feedback_revision = feedback_revision + $1")
        .bind(count)
        .execute(&mut *transaction)
        .await
        .expect("is counted");
    transaction.commit().await.expect("is committed");
}

fn assert_same(one: &Corrections, other: &Corrections) {
    assert_eq!((one.revision, one.all()), (other.revision, other.all()));
    for agent in ["a", "b"] {
        assert_eq!(one.of_agent(agent), other.of_agent(agent));
    }
    assert_eq!(one.of_nobody(), other.of_nobody());
}

#[sqlx::test]
async fn it_says_what_was_said(pool: PgPool) {
    let app = TestApp::start(pool.clone()).await;
    let feedback = open(&pool).await;
    assert_eq!(feedback.corrections().revision, 0);
    let decision = app.admin.dispatch(LOGIN).await.body;
    let id = decision["id"].as_str().expect("has an id");
    let path = format!("/v1/dispatches/{id}/feedback");
    let mut expected = Correction {
        id: id.parse().expect("a UUID"),
        text: LOGIN.to_owned(),
        agent: Some("nextjs-backend-engineer".to_owned()),
    };
    app.admin.post(&path, json!({"agent": "nextjs-backend-engineer"})).await;
    let corrections = refreshed(&feedback).await;
    assert_eq!(corrections.revision, 1);
    assert_eq!(*corrections.of_agent("nextjs-backend-engineer")[0], expected);

    app.admin.post(&path, json!({"agent": null})).await;
    expected.agent = None;
    let corrections = refreshed(&feedback).await;
    assert_eq!((corrections.revision, corrections.all().len()), (2, 1));
    assert_eq!(*corrections.of_nobody()[0], expected);
    assert!(corrections.of_agent("nextjs-backend-engineer").is_empty());

    app.admin.delete("/admin/v1/feedback").await;
    assert_eq!((refreshed(&feedback).await.revision, feedback.corrections().all().len()), (3, 0));
    assert_same(&feedback.corrections(), &open(&pool).await.corrections());
}

#[sqlx::test]
async fn reading_on_finds_the_same_as_reading_anew(pool: PgPool) {
    let feedback = open(&pool).await;
    for count in [1, 0, 7, 400, 250] {
        store(&pool, count).await;
        assert_same(&*refreshed(&feedback).await, &open(&pool).await.corrections());
    }
    let corrections = feedback.corrections();
    assert_eq!((corrections.of_agent("a").len(), corrections.of_nobody().len()), (200, 200));
    let last = corrections.all().last().expect("there is one");
    assert_eq!((last.text.as_str(), corrections.revision), ("number 658", 658));
    assert_eq!(last.agent.as_deref(), Some("b"));
}

#[sqlx::test]
async fn what_is_forgotten_or_set_back_is_read_anew(pool: PgPool) {
    let feedback = open(&pool).await;
    store(&pool, 9).await;
    assert_eq!(refreshed(&feedback).await.all().len(), 9);
    // Forgotten, and more was said before anybody looked.
    execute(&pool, "DELETE FROM feedback WHERE agent_name = 'a'").await;
    let count = "UPDATE change_counters
         SET feedback_revision = feedback_revision + 1, feedback_forgotten = feedback_revision + 1";
    execute(&pool, count).await;
    store(&pool, 3).await;
    let corrections = refreshed(&feedback).await;
    assert_eq!((corrections.revision, corrections.all().len()), (13, 9));
    assert_eq!(corrections.of_agent("a").len(), 1);
    // As a restore from a backup does.
    execute(&pool, "DELETE FROM feedback WHERE revision > 5").await;
    execute(&pool, "UPDATE change_counters SET feedback_revision = 5, feedback_forgotten = 0")
        .await;
    assert_same(&*refreshed(&feedback).await, &open(&pool).await.corrections());
    assert_eq!(feedback.corrections().revision, 5);
}

#[sqlx::test]
async fn long_texts_make_room_for_each_other(pool: PgPool) {
    let feedback = open(&pool).await;
    // 40 MB of text in 2,500 corrections of 50 agents, all of them newer than 100 short ones.
    execute(
        &pool,
        "INSERT INTO feedback (dispatch_id, revision, key_id, agent_name, input, confidence)
         SELECT gen_random_uuid(), number, gen_random_uuid(), 'agent-' || number % 50,
            CASE WHEN number <= 100 THEN 'short' ELSE repeat('x', 16384) END, 0.5
         FROM generate_series(1, 2600) AS number",
    )
    .await;
    execute(&pool, "UPDATE change_counters SET feedback_revision = 2600").await;
    let corrections = refreshed(&feedback).await;
    assert_eq!(corrections.all().len(), 32 * 1024 * 1024 / 16_384);
    assert_same(&corrections, &open(&pool).await.corrections());
}
