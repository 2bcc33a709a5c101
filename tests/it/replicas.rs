//! Two processes over one database: what changes through one is soon served by the other.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::{ConnectOptions, PgPool};

use crate::support::{AgentFolder, Service, agent_file};

/// Two services, each with a data directory of its own and the same folder.
struct Replicas {
    one: Service,
    other: Service,
    _data: [tempfile::TempDir; 2],
}

impl Replicas {
    async fn start(pool: &PgPool, agents_dir: &Path) -> Self {
        let url = pool.connect_options().to_url_lossy().to_string();
        let environment = [("DATABASE_URL", url.as_str())];
        let data = [(), ()].map(|()| tempfile::tempdir().expect("a temporary folder"));
        let one = Service::start(data[0].path(), agents_dir, &environment).await;
        let other = Service::start(data[1].path(), agents_dir, &environment).await;
        Self { one, other, _data: data }
    }

    /// Puts the agent through one, again and again, and says how long the other took each time.
    async fn put_rounds(&self, rounds: u32, first_revision: i64) -> Vec<Duration> {
        let mut took = Vec::new();
        for revision in (first_revision..).take(rounds as usize) {
            let source = agent_file("a", &format!("revision {revision}"));
            let mut answer = self.one.caller.put_agent("a", source.clone()).await;
            // Where the database takes no new connection, one of the pool has to be free.
            while answer.status == 503 {
                answer = self.one.caller.put_agent("a", source.clone()).await;
            }
            assert_eq!(answer.body["revision"], revision, "{}", answer.text);
            took.push(wait_for_revision(&self.other, "a", revision).await);
        }
        took
    }
}

async fn wait_for_revision(service: &Service, name: &str, revision: i64) -> Duration {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(5) {
        let agent = service.caller.get(&format!("/v1/agents/{name}")).await;
        if agent.body["revision"] == revision {
            return started.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("revision {revision} of {name} does not arrive");
}

/// Process ids of the connections that listen, on the server's side.
async fn listening(pool: &PgPool) -> Vec<i32> {
    sqlx::query_scalar(
        "SELECT pid FROM pg_stat_activity
         WHERE query LIKE 'LISTEN%' AND datname = current_database() ORDER BY pid",
    )
    .fetch_all(pool)
    .await
    .expect("the server answers")
}

async fn wait_until_both_listen(pool: &PgPool, but_not: &[i32]) -> Vec<i32> {
    for _ in 0..500 {
        let listening = listening(pool).await;
        if listening.len() == 2 && listening.iter().all(|pid| !but_not.contains(pid)) {
            return listening;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("both services listen within 5 s");
}

async fn end_connections(pool: &PgPool, connections: &[i32]) {
    let query = "SELECT pg_terminate_backend(pid) FROM unnest($1) AS pid";
    sqlx::query(query).bind(connections).execute(pool).await.expect("they are ended");
}

#[sqlx::test]
async fn a_change_through_one_is_served_by_the_other_at_once(pool: PgPool) {
    let folder = AgentFolder::new();
    let mut replicas = Replicas::start(&pool, &folder.path()).await;
    let connections = wait_until_both_listen(&pool, &[]).await;
    // Each round waits for the one before: by the poll of every second alone, ten take nine seconds.
    let took = replicas.put_rounds(10, 1).await;
    println!("a put through one, served by the other: {took:?}");
    assert!(took.iter().all(|took| *took < Duration::from_secs(1)), "{took:?}");
    assert!(took.iter().sum::<Duration>() < Duration::from_secs(5), "{took:?}");

    let key = json!({"name": "new", "scopes": ["read"]});
    let key = replicas.one.caller.post("/admin/v1/keys", key).await;
    let caller = replicas.other.caller.with_key(key.body["key"].as_str().expect("is shown"));
    let started = Instant::now();
    while caller.get("/v1/agents").await.status != 200 {
        assert!(started.elapsed() < Duration::from_secs(1), "the key works at the other");
    }

    end_connections(&pool, &connections).await;
    // At once, while nobody listens, and when both listen again.
    let took = replicas.put_rounds(1, 11).await;
    println!("without a connection that listens: {took:?}");
    wait_until_both_listen(&pool, &connections).await;
    let took = replicas.put_rounds(10, 12).await;
    println!("with a new one: {took:?}");
    assert!(took.iter().sum::<Duration>() < Duration::from_secs(5), "{took:?}");

    let started = Instant::now();
    assert!(replicas.one.stop() && replicas.other.stop());
    println!("both stopped after {:?}", started.elapsed());
}

#[sqlx::test]
async fn where_nobody_can_listen_changes_are_looked_for(pool: PgPool) {
    let folder = AgentFolder::new();
    let mut replicas = Replicas::start(&pool, &folder.path()).await;
    let connections = wait_until_both_listen(&pool, &[]).await;
    replicas.put_rounds(3, 1).await;
    allow_connections(&pool, false).await;
    end_connections(&pool, &connections).await;
    let took = replicas.put_rounds(3, 4).await;
    println!("by the poll alone: {took:?}");
    assert!(took.iter().all(|took| *took < Duration::from_secs(2)), "{took:?}");
    allow_connections(&pool, true).await;
    wait_until_both_listen(&pool, &connections).await;
    assert!(replicas.other.stop());
    let log = replicas.other.whole_log();
    assert_eq!(log.matches("failed to listen for changes").count(), 1, "{log}");
    assert!(log.contains("heard of again"), "{log}");
}

/// Whether the test's database takes new connections; those that are there go on.
async fn allow_connections(pool: &PgPool, are_allowed: bool) {
    let options = pool.connect_options();
    let database = options.get_database().expect("is named");
    let query = format!("ALTER DATABASE \"{database}\" ALLOW_CONNECTIONS {are_allowed}");
    let elsewhere = options.as_ref().clone().database("postgres");
    let mut connection = elsewhere.connect().await.expect("connects");
    sqlx::raw_sql(sqlx::AssertSqlSafe(query)).execute(&mut connection).await.expect("is altered");
}

#[sqlx::test]
async fn many_changes_in_a_row_end_with_the_last(pool: PgPool) {
    let folder = AgentFolder::new();
    let replicas = Replicas::start(&pool, &folder.path()).await;
    wait_until_both_listen(&pool, &[]).await;
    for number in 1..=200 {
        let source = agent_file("a", &format!("number {number}"));
        assert_eq!(replicas.one.caller.put_agent("a", source).await.body["revision"], number);
    }
    let took = wait_for_revision(&replicas.other, "a", 200).await;
    println!("the last of 200 changes: {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[sqlx::test]
async fn a_changed_file_is_live_in_both(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("a", "first"));
    let replicas = Replicas::start(&pool, &folder.path()).await;
    for revision in 2..5 {
        folder.write("a.md", agent_file("a", &format!("number {revision}")));
        let one = wait_for_revision(&replicas.one, "a", revision).await;
        let other = wait_for_revision(&replicas.other, "a", revision).await;
        println!("a changed file is live in one after {one:?}, in the other {other:?} later");
        assert!(one + other < Duration::from_secs(2), "{one:?} {other:?}");
    }
}

#[sqlx::test]
async fn feedback_given_to_one_is_known_to_the_other(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("a", "Waters the tomatoes."));
    let replicas = Replicas::start(&pool, &folder.path()).await;
    wait_until_both_listen(&pool, &[]).await;
    for revision in 1..=3 {
        let decision = replicas.one.caller.dispatch("water the tomatoes").await.body;
        let path = format!("/v1/dispatches/{}/feedback", decision["id"].as_str().expect("an id"));
        // Each says it in turn; the other one's decisions are found when they are written.
        let said_to = if revision % 2 == 1 { &replicas.one } else { &replicas.other };
        let mut answer = said_to.caller.post(&path, json!({"agent": "a"})).await;
        while answer.status == 404 {
            answer = said_to.caller.post(&path, json!({"agent": "a"})).await;
        }
        assert_eq!(answer.body["feedback_revision"], revision, "{}", answer.text);
        wait_for_feedback(&replicas.one, revision).await;
        wait_for_feedback(&replicas.other, revision).await;
    }
    let forgotten = replicas.one.caller.delete("/admin/v1/feedback?agent=a").await.body;
    assert_eq!(forgotten, json!({"forgotten": 3, "revision": 4}));
    wait_for_feedback(&replicas.other, 4).await;
}

/// Waits until the service picks with this revision of the feedback.
async fn wait_for_feedback(service: &Service, revision: i64) {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(2) {
        let feedback = service.caller.get("/admin/v1/feedback").await;
        if feedback.body["revision"] == revision {
            println!("revision {revision} of the feedback: {:?}", started.elapsed());
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("revision {revision} of the feedback does not arrive");
}
