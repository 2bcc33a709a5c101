//! Several instances over one database: whatever is changed at once, each change counts once, and all agree.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{AgentFolder, Answer, TestApp, agent_file};

const AGENTS: usize = 20;
const PUTS: usize = 200;

type Revision = (String, i64, String);

fn name(number: usize) -> String {
    format!("agent-{number:02}")
}

/// The agent, the revision and the hash of a put's answer.
fn put_revision(answer: &Answer) -> Revision {
    assert!(matches!(answer.status, 200 | 201), "{} {}", answer.status, answer.text);
    assert_eq!(answer.body["changed"], true);
    assert_eq!(answer.header("etag"), format!("\"{}\"", answer.body["revision"]));
    let text = |field: &str| answer.body[field].as_str().expect("a text").to_owned();
    (text("name"), answer.body["revision"].as_i64().expect("a number"), text("sha256"))
}

async fn stored_revisions(pool: &PgPool) -> Vec<(Revision, String)> {
    let rows: Vec<(String, i32, String, String)> = sqlx::query_as(
        "SELECT agent_name, revision, sha256, source FROM revisions ORDER BY agent_name, revision",
    )
    .fetch_all(pool)
    .await
    .expect("is read");
    let rows = rows.into_iter();
    rows.map(|(name, number, sha256, source)| ((name, number.into(), sha256), source)).collect()
}

#[sqlx::test]
async fn many_changes_through_two_replicas_count_once_each(pool: PgPool) {
    let folder = AgentFolder::new();
    // Some of the agents are there before; the sync in the middle meets them as files or as agents of the API.
    for number in 0..AGENTS / 2 {
        folder.write(&format!("{}.md", name(number)), agent_file(&name(number), "from a file"));
    }
    let replicas = [
        TestApp::builder(pool.clone()).agents(&folder).start().await,
        TestApp::builder(pool.clone()).agents(&folder).start().await,
    ];
    for number in 0..AGENTS / 2 {
        folder.write(&format!("{}.md", name(number)), agent_file(&name(number), "changed file"));
    }
    let puts = (0..PUTS).map(|number| {
        let admin = replicas[number % 2].admin.clone();
        let agent = name(number / 2 % AGENTS);
        let file = agent_file(&agent, &format!("content {number}"));
        async move { admin.put_agent(&agent, file).await }
    });
    let sync = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        replicas[1].admin.post("/admin/v1/sync", json!({})).await
    };
    let (answers, sync) = tokio::join!(join_all(puts), sync);
    assert_eq!(sync.status, 200, "{}", sync.text);

    let answered: BTreeSet<Revision> = answers.iter().map(put_revision).collect();
    assert_eq!(answered.len(), PUTS, "no two puts made one revision");
    let stored = stored_revisions(&pool).await;
    let by_api: BTreeSet<Revision> = stored
        .iter()
        .filter(|(_, source)| source == "api")
        .map(|(revision, _)| revision.clone())
        .collect();
    assert_eq!(by_api, answered, "what was answered is what is stored");
    let mut numbers: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for ((name, number, _), _) in &stored {
        numbers.entry(name).or_default().push(*number);
    }
    assert_eq!(numbers.len(), AGENTS);
    for (name, numbers) in numbers {
        let expected: Vec<i64> = (1..).take(numbers.len()).collect();
        assert_eq!(numbers, expected, "{name} counts from 1 without gaps");
    }
    let put_entries: i64 =
        sqlx::query_scalar("SELECT count(*) FROM audit_entries WHERE action = 'agent.put'")
            .fetch_one(&pool)
            .await
            .expect("is read");
    assert_eq!(put_entries, i64::try_from(PUTS).expect("is small"));
    assert_agree(&pool, &replicas).await;
}

/// Waits until every replica serves what is stored.
async fn assert_agree(pool: &PgPool, replicas: &[TestApp]) {
    let stored: i64 = sqlx::query_scalar("SELECT roster_revision FROM change_counters")
        .fetch_one(pool)
        .await
        .expect("is read");
    let heads: Vec<(String, i32)> =
        sqlx::query_as("SELECT name, live_revision FROM agents ORDER BY name")
            .fetch_all(pool)
            .await
            .expect("is read");
    let heads: Vec<Value> =
        heads.into_iter().map(|(name, revision)| json!([name, revision])).collect();
    for replica in replicas {
        let mut served = Vec::new();
        for _ in 0..100 {
            let answer = replica.admin.get("/admin/v1/agents").await;
            let items = answer.body["items"].as_array().expect("a list");
            served = items.iter().map(|item| json!([item["name"], item["revision"]])).collect();
            if answer.header("x-rolecall-roster-revision") == stored.to_string() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(served, heads);
        assert_eq!(replica.admin.get("/readyz").await.body["roster_revision"], stored);
    }
}

#[sqlx::test]
async fn a_crowd_of_changes_leaves_connections_to_others(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool.clone()).agents(&folder).start().await;
    // Another instance holds the registry's lock.
    let mut other = rolecall::db::begin(&pool).await.expect("a connection");
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(0x726f_6c65_6361_6c6c_i64)
        .execute(&mut *other)
        .await
        .expect("is locked");
    let puts = (0..PUTS).map(|number| {
        let admin = app.admin.clone();
        async move {
            let name = name(number);
            admin.put_agent(&name, agent_file(&name, "one")).await.status
        }
    });
    let puts = tokio::spawn(join_all(puts));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let reading = app.admin.get("/admin/v1/keys");
    let keys = tokio::time::timeout(Duration::from_secs(2), reading).await;
    assert_eq!(keys.expect("does not wait for the puts").status, 200);
    assert!(!puts.is_finished());
    other.rollback().await.expect("is unlocked");
    let statuses = puts.await.expect("does not panic");
    assert!(statuses.iter().all(|status| *status == 201), "{statuses:?}");
}

#[sqlx::test]
async fn a_database_that_went_back_in_time_is_followed(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool.clone()).agents(&folder).start().await;
    app.admin.put_agent("a", agent_file("a", "Used for painting walls and ceilings")).await;
    app.admin.put_agent("b", agent_file("b", "Used for baking bread and cake")).await;
    // As a backup would have it that was made before the second agent came.
    sqlx::raw_sql(
        "BEGIN;
         ALTER TABLE revisions DISABLE TRIGGER revisions_are_immutable;
         DELETE FROM agents WHERE name = 'b';
         DELETE FROM revisions WHERE agent_name = 'b';
         UPDATE change_counters SET roster_revision = roster_revision - 1;
         COMMIT;",
    )
    .execute(&pool)
    .await
    .expect("is restored");
    let started = std::time::Instant::now();
    while app.admin.get("/v1/agents/b").await.status != 404 {
        assert!(started.elapsed() < Duration::from_secs(5), "it is still served");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let input = json!({"input": "bake bread and cake"});
    let picked = app.admin.post("/v1/dispatch", input).await.body;
    assert!(!picked["ranked"].to_string().contains("\"b\""), "{picked}");
    assert_eq!(app.admin.get("/v1/agents/a").await.status, 200);
}
