use std::time::Duration;

use rolecall::provider::DialectName;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Caller, Events, FakeProvider, Pace, Reply, TestApp, anthropic};

/// A run in the background whose answer the test writes.
struct Background {
    provider: FakeProvider,
    pace: Pace,
    app: TestApp,
    path: String,
}

impl Background {
    async fn start(pool: PgPool) -> Self {
        let provider = FakeProvider::start().await;
        let (reply, pace) = Reply::paced();
        provider.replies(reply);
        let app = TestApp::builder(pool).provider(&provider, DialectName::Anthropic).start().await;
        let answer = app.admin.post("/v1/runs", in_background()).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let path = format!("/v1/runs/{}", answer.body["id"].as_str().expect("an id"));
        assert_eq!(answer.header("location"), path);
        assert!(
            ["picked", "connecting"].contains(&answer.body["status"].as_str().expect("a status"))
        );
        provider.wait_for_requests(1).await;
        Self { provider, pace, app, path }
    }

    async fn says(&self, text: &str) {
        self.pace.send(text).await;
    }

    async fn follow(&self, caller: &Caller, last_event_id: &str) -> Events {
        follow(caller, &self.path, last_event_id).await
    }
}

fn in_background() -> Value {
    json!({"agent": "code-reviewer", "input": "look at this", "background": true})
}

async fn follow(caller: &Caller, path: &str, last_event_id: &str) -> Events {
    let request = caller.request(reqwest::Method::GET, &format!("{path}/events"));
    Events::read(request.header("last-event-id", last_event_id)).await
}

async fn wait_for_status(caller: &Caller, path: &str, status: &str) -> Value {
    for _ in 0..200 {
        let run = caller.get(path).await.body;
        if run["status"] == status {
            return run;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the run does not become {status}");
}

#[sqlx::test]
async fn a_run_in_the_background_outlives_its_caller_and_is_followed_while_it_runs(pool: PgPool) {
    let run = Background::start(pool).await;
    run.says(&(anthropic::start() + &anthropic::text("Once "))).await;
    let mut events = run.follow(&run.app.admin, "").await;
    assert_eq!(events.wait_for("text.delta").await, json!({"text": "Once "}));
    let snapshot = run.app.admin.get(&run.path).await.body;
    assert_eq!((&snapshot["status"], &snapshot["output"]), (&json!("streaming"), &json!("Once ")));

    // Who follows may leave and come back: nothing is missed and nothing is told twice.
    drop(events);
    run.says(&(anthropic::text("upon ") + &anthropic::text("a time") + &anthropic::end())).await;
    let told = run.follow(&run.app.admin, "3").await.collect().await;
    let numbers: Vec<u64> = told.iter().map(|(id, _, _)| *id).collect();
    assert_eq!(numbers, [4, 5, 6, 7]);
    let names: Vec<&str> = told.iter().map(|(_, name, _)| name.as_str()).collect();
    assert_eq!(names, ["text.delta", "text.delta", "usage", "run.completed"]);
    assert_eq!(told[3].2["output"], "Once upon a time");
    assert_eq!(told[3].2, run.app.admin.get(&run.path).await.body);
}

#[sqlx::test]
async fn what_was_told_is_told_again_once_it_is_on_record(pool: PgPool) {
    let run = Background::start(pool.clone()).await;
    run.says(&(anthropic::start() + &anthropic::text("Nul \0, ") + &anthropic::text("é."))).await;
    run.says(&anthropic::end()).await;
    wait_for_status(&run.app.admin, &run.path, "completed").await;
    let at_once = run.follow(&run.app.admin, "").await.collect().await;
    let found = run.app.admin.get(&run.path).await.body;
    run.app.stop().await;

    let app = TestApp::start(pool).await;
    assert_eq!(follow(&app.admin, &run.path, "").await.collect().await, at_once);
    assert_eq!(follow(&app.admin, &run.path, "5").await.collect().await, at_once[5..]);
    assert!(follow(&app.admin, &run.path, "6").await.collect().await.is_empty());
    assert_eq!(app.admin.get(&run.path).await.body, found);
    assert_eq!(found["output"], "Nul \0, é.");
}

#[sqlx::test]
async fn another_instance_follows_and_cancels_a_run(pool: PgPool) {
    let run = Background::start(pool.clone()).await;
    let other = TestApp::start(pool).await;
    run.says(&(anthropic::start() + &anthropic::text("Once "))).await;
    let mut events = run.follow(&other.admin, "").await;
    assert_eq!(events.wait_for("text.delta").await, json!({"text": "Once "}));
    run.says(&anthropic::text("upon")).await;
    assert_eq!(events.wait_for("text.delta").await, json!({"text": "upon"}));

    let cancelled = other.admin.post(&format!("{}/cancel", run.path), json!({})).await;
    assert_eq!((cancelled.status, &cancelled.body["status"]), (200, &json!("cancelled")));
    assert_eq!(cancelled.body["output"], "Once upon");
    assert!(run.provider.wait_until_over(1).await < Duration::from_secs(1));
    let (_, name, end) = events.collect().await.pop().expect("has an end");
    assert_eq!((name.as_str(), &end["status"]), ("run.cancelled", &json!("cancelled")));
}

#[sqlx::test]
async fn a_cancelled_run_ends_its_stream_and_stays_as_it_ended(pool: PgPool) {
    let run = Background::start(pool).await;
    run.says(&(anthropic::start() + &anthropic::text("Once "))).await;
    let events = run.follow(&run.app.admin, "").await;
    let path = format!("{}/cancel", run.path);
    let cancelled = run.app.admin.post(&path, json!({})).await.body;
    assert_eq!(
        (&cancelled["status"], &cancelled["output"]),
        (&json!("cancelled"), &json!("Once "))
    );
    assert_eq!(cancelled["usage"]["input_tokens"], 12, "what was counted so far is kept");
    assert_eq!(events.collect().await.pop().expect("has an end").1, "run.cancelled");
    assert!(run.provider.wait_until_over(1).await < Duration::from_secs(1));
    assert_eq!(run.app.admin.post(&path, json!({})).await.body, cancelled);
}

#[sqlx::test]
async fn a_run_that_somebody_waits_for_can_be_cancelled_by_name(pool: PgPool) {
    let provider = FakeProvider::start().await;
    provider.replies(Reply::silence());
    let app = TestApp::builder(pool).provider(&provider, DialectName::Anthropic).start().await;
    let waiting = tokio::spawn({
        let caller = app.admin.clone();
        async move { caller.post("/v1/runs", json!({"agent": "code-reviewer", "input": "look"})).await }
    });
    provider.wait_for_requests(1).await;
    let runs = app.admin.get("/v1/runs").await.body;
    let path = format!("/v1/runs/{}/cancel", runs["items"][0]["id"].as_str().expect("an id"));
    assert_eq!(app.admin.post(&path, json!({})).await.body["status"], "cancelled");
    let answer = waiting.await.expect("does not panic");
    let attempts = &answer.problem(409, "run_cancelled")["attempts"];
    assert_eq!(attempts[0]["outcome"], "cancelled");
    assert_eq!(answer.header("x-should-retry"), "false", "clients would repeat what was cancelled");
}

#[sqlx::test]
async fn runs_are_listed_newest_first_in_pages_without_their_texts(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (owner, other) = (app.caller(&["run"]).await, app.caller(&["run"]).await);
    let mut ids = Vec::new();
    for agent in ["code-reviewer", "api-designer", "code-reviewer"] {
        let run = owner.post("/v1/runs", json!({"agent": agent, "input": "look"})).await.body;
        ids.insert(0, run["id"].clone());
    }
    let page = owner.get("/v1/runs?limit=2").await.body;
    assert_eq!([&page["items"][0]["id"], &page["items"][1]["id"]], [&ids[0], &ids[1]]);
    assert_eq!(page["items"][0]["status"], "completed");
    for text in ["output", "tool_calls"] {
        assert!(page["items"][0].get(text).is_none(), "{text} is not listed");
    }
    let cursor = page["next_cursor"].as_str().expect("goes on");
    let rest = owner.get(&format!("/v1/runs?limit=2&cursor={cursor}")).await.body;
    assert_eq!((&rest["items"][0]["id"], &rest["next_cursor"]), (&ids[2], &Value::Null));

    let count = |answer: Value| answer["items"].as_array().expect("a list").len();
    assert_eq!(count(owner.get("/v1/runs?agent=api-designer").await.body), 1);
    assert_eq!(count(owner.get("/v1/runs?status=completed").await.body), 3);
    assert_eq!(count(owner.get("/v1/runs?status=failed").await.body), 0);
    assert_eq!(count(other.get("/v1/runs").await.body), 0);
    assert_eq!(count(app.admin.get("/v1/runs").await.body), 3);
    owner.get("/v1/runs?status=lost").await.problem(400, "invalid_request");
    owner.get("/v1/runs?cursor=x").await.problem(400, "invalid_request");
}

#[sqlx::test]
async fn runs_of_others_are_not_there(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (owner, other) = (app.caller(&["run"]).await, app.caller(&["run"]).await);
    let run = owner.post("/v1/runs", json!({"agent": "code-reviewer", "input": "look"})).await.body;
    let path = format!("/v1/runs/{}", run["id"].as_str().expect("an id"));
    other.get(&format!("{path}/events")).await.problem(404, "run_not_found");
    other.post(&format!("{path}/cancel"), json!({})).await.problem(404, "run_not_found");
    app.admin
        .get("/v1/runs/019a0000-0000-7000-8000-000000000000/events")
        .await
        .problem(404, "run_not_found");
    let reader = app.caller(&["dispatch"]).await;
    reader.get("/v1/runs").await.problem(403, "forbidden");
}

#[sqlx::test]
async fn a_last_event_id_must_be_one(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let run = app.admin.post("/v1/runs", json!({"agent": "code-reviewer", "input": "look"})).await;
    let path = format!("/v1/runs/{}/events", run.body["id"].as_str().expect("an id"));
    let request = app.admin.request(reqwest::Method::GET, &path).header("last-event-id", "soon");
    crate::support::Answer::read(request).await.problem(400, "invalid_request");
}

#[sqlx::test]
async fn without_contents_only_the_end_can_be_told_again(pool: PgPool) {
    let app = TestApp::builder(pool.clone())
        .configure(|config| config.conversation.stores_content = false)
        .start()
        .await;
    let run = app.admin.post("/v1/runs", json!({"agent": "code-reviewer", "input": "look"})).await;
    let path = format!("/v1/runs/{}", run.body["id"].as_str().expect("an id"));
    app.stop().await;
    let app = TestApp::start(pool).await;
    let told = follow(&app.admin, &path, "").await.collect().await;
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].1.as_str(), &told[0].2["output"]), ("run.completed", &Value::Null));
}

#[sqlx::test]
async fn more_runs_than_the_instance_takes_are_told_to_come_back(pool: PgPool) {
    let provider = FakeProvider::start().await;
    provider.answers(|_| Reply::silence());
    let app = TestApp::builder(pool)
        .provider(&provider, DialectName::Anthropic)
        .configure(|config| config.conversation.concurrent_runs = 1)
        .start()
        .await;
    let first = app.admin.post("/v1/runs", in_background()).await;
    provider.wait_for_requests(1).await;
    let refused =
        app.admin.post("/v1/runs", json!({"agent": "code-reviewer", "input": "look"})).await;
    refused.problem(503, "unavailable");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("x-should-retry"), "", "it is worth coming back");

    // Whoever does not wait for it gets in line.
    let second = app.admin.post("/v1/runs", in_background()).await;
    assert_eq!((second.status, &second.body["status"]), (202, &json!("queued")));
    let path = |answer: &crate::support::Answer| {
        format!("/v1/runs/{}", answer.body["id"].as_str().expect("an id"))
    };
    assert_eq!(app.admin.get(&path(&second)).await.body["status"], "queued");
    app.admin.post(&format!("{}/cancel", path(&first)), json!({})).await;
    provider.wait_for_requests(2).await;
    let cancelled = app.admin.post(&format!("{}/cancel", path(&second)), json!({})).await;
    assert_eq!(cancelled.body["status"], "cancelled");
    assert_eq!(app.admin.get("/readyz").await.body["runs_under_way"], 0);
}
