//! Two processes over one database of which one is killed in the middle of many changes: what was answered is there
//! once, and whoever is left or comes later serves the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgPool};

use crate::support::{AgentFolder, Caller, Service, agent_file};

const AGENTS: usize = 20;
const PUTS: usize = 200;
const PATIENCE: Duration = Duration::from_secs(10);

type Revision = (String, i64, String);

fn name(number: usize) -> String {
    format!("agent-{:02}", number % AGENTS)
}

fn content(number: usize) -> String {
    agent_file(&name(number), &format!("content {number}"))
}

/// Puts, and returns the revision if it was answered that there is one.
async fn put(caller: &Caller, number: usize) -> Option<Revision> {
    let path = format!("/admin/v1/agents/{}", name(number));
    let response = caller.request(Method::PUT, &path).body(content(number)).send().await.ok()?;
    let status = response.status().as_u16();
    let body: Value = response.json().await.ok()?;
    assert!(matches!(status, 200 | 201), "{status} {body}");
    assert_eq!(body["changed"], true, "each content is new");
    let text = |field: &str| body[field].as_str().expect("a text").to_owned();
    Some((text("name"), body["revision"].as_i64().expect("a number"), text("sha256")))
}

/// Waits until something has been counted that often.
async fn reached(counter: &AtomicUsize, count: usize) {
    let started = Instant::now();
    while counter.load(Ordering::SeqCst) < count {
        assert!(started.elapsed() < PATIENCE, "{count} puts are answered");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[sqlx::test]
async fn what_was_answered_is_there_once_though_a_replica_was_killed(pool: PgPool) {
    let folder = AgentFolder::new();
    let file = |number: usize, text: &str| {
        folder.write(&format!("{}.md", name(number)), agent_file(&name(number), text));
    };
    (0..AGENTS / 2).for_each(|number| file(number, "from a file"));
    let url = pool.connect_options().to_url_lossy().to_string();
    let environment = [("DATABASE_URL", url.as_str())];
    let data = [(), (), ()].map(|()| tempfile::tempdir().expect("a temporary folder"));
    let survivor = Service::start(data[0].path(), &folder.path(), &environment).await;
    let victim = Service::start(data[1].path(), &folder.path(), &environment).await;

    let answered = Arc::new(AtomicUsize::new(0));
    let puts = (0..PUTS).map(|number| {
        let caller = [&survivor.caller, &victim.caller][number / AGENTS % 2].clone();
        let answered = Arc::clone(&answered);
        async move {
            let revision = put(&caller, number).await;
            if revision.is_some() {
                answered.fetch_add(1, Ordering::SeqCst);
            }
            revision
        }
    });
    let sync = async {
        reached(&answered, PUTS / 4).await;
        (0..AGENTS / 2).for_each(|number| file(number, "changed file"));
        survivor.caller.post("/admin/v1/sync", json!({})).await
    };
    let killing = async {
        reached(&answered, PUTS / 3).await;
        victim.signal(Signal::SIGKILL);
    };
    let (answers, synced, ()) = tokio::join!(join_all(puts), sync, killing);
    assert_eq!(synced.status, 200, "{}", synced.text);
    let unanswered = answers.iter().filter(|answer| answer.is_none()).count();
    println!("{unanswered} of {PUTS} puts were not answered");
    assert!((1..=PUTS / 2).contains(&unanswered), "{unanswered}: all were the victim's");

    let answered: BTreeSet<Revision> = answers.into_iter().flatten().collect();
    assert_eq!(answered.len(), PUTS - unanswered, "no two puts made one revision");
    assert_stored_once(&pool, &answered).await;
    let third = Service::start(data[2].path(), &folder.path(), &environment).await;
    assert_serve_what_is_stored(&pool, &[&survivor, &third]).await;
}

/// Checks that every answered revision is stored, every content once, and the audit tells of each.
async fn assert_stored_once(pool: &PgPool, answered: &BTreeSet<Revision>) {
    let rows: Vec<(String, i32, String, String, Vec<u8>)> = sqlx::query_as(
        "SELECT agent_name, revision, sha256, source, source_bytes FROM revisions
         ORDER BY agent_name, revision",
    )
    .fetch_all(pool)
    .await
    .expect("is read");
    let sent: BTreeSet<Vec<u8>> = (0..PUTS).map(|number| content(number).into()).collect();
    let (mut by_api, mut contents) = (BTreeSet::new(), BTreeSet::new());
    let mut numbers: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (name, number, sha256, source, bytes) in rows {
        numbers.entry(name.clone()).or_default().push(number);
        if source == "api" {
            by_api.insert((name, i64::from(number), sha256));
            assert!(sent.contains(&bytes), "only what was sent is stored");
            assert!(contents.insert(bytes), "what was sent once is stored once");
        }
    }
    assert!(by_api.is_superset(answered), "what was answered is stored");
    assert_eq!(numbers.len(), AGENTS);
    for (name, numbers) in numbers {
        assert!((1..).zip(&numbers).all(|(one, other)| one == *other), "{name}: {numbers:?}");
    }
    let entries: Vec<(String, Value)> = sqlx::query_as(
        "SELECT subject, detail FROM audit_entries WHERE action = 'agent.put' ORDER BY id",
    )
    .fetch_all(pool)
    .await
    .expect("is read");
    assert_eq!(entries.len(), by_api.len(), "one entry for each revision");
    let told: BTreeSet<Revision> = entries
        .into_iter()
        .map(|(subject, detail)| {
            let sha256 = detail["sha256"].as_str().expect("a hash").to_owned();
            (subject, detail["revision"].as_i64().expect("a number"), sha256)
        })
        .collect();
    assert_eq!(told, by_api);
}

async fn assert_serve_what_is_stored(pool: &PgPool, services: &[&Service]) {
    let heads: Vec<(String, i32, String)> = sqlx::query_as(
        "SELECT name, live_revision, sha256 FROM agents
         JOIN revisions ON agent_name = name AND revision = live_revision ORDER BY name",
    )
    .fetch_all(pool)
    .await
    .expect("is read");
    let heads: Vec<Value> =
        heads.into_iter().map(|(name, revision, sha256)| json!([name, revision, sha256])).collect();
    for service in services {
        let started = Instant::now();
        loop {
            let agents = service.caller.get("/admin/v1/agents").await.body;
            let agents = agents["items"].as_array().expect("a list").iter();
            let served: Vec<Value> = agents
                .map(|agent| json!([agent["name"], agent["revision"], agent["sha256"]]))
                .collect();
            if served == heads {
                break;
            }
            assert!(started.elapsed() < PATIENCE, "{served:?} and not {heads:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
