use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{AgentFolder, Answer, Caller, TestApp, agent_file};

const LOGIN: &str = "I need to create an API route that handles user login with JWT tokens";
const LASAGNE: &str = "what is a good recipe for lasagne";
const LIST: &str = "/admin/v1/feedback";

/// Asks for an agent, and says what was right. Returns the decision and the answer to the feedback.
async fn correct(caller: &Caller, input: &str, agent: Value) -> (Value, Answer) {
    let decision = caller.dispatch(input).await.body;
    let answer = say(caller, &decision, agent).await;
    (decision, answer)
}

async fn say(caller: &Caller, decision: &Value, agent: Value) -> Answer {
    caller.post(&path(decision), json!({"agent": agent})).await
}

fn path(decision: &Value) -> String {
    format!("/v1/dispatches/{}/feedback", decision["id"].as_str().expect("has an id"))
}

async fn list(app: &TestApp, query: &str) -> Value {
    let answer = app.admin.get(&format!("{LIST}{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body
}

#[sqlx::test]
async fn what_was_right_is_kept_and_listed(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let caller = app.caller(&["dispatch"]).await;
    let none = list(&app, "").await;
    assert_eq!((&none["revision"], &none["count"]), (&json!(0), &json!(0)));
    assert_eq!((&none["items"], &none["next_cursor"]), (&json!([]), &Value::Null));

    let (login, answer) = correct(&caller, LOGIN, json!("nextjs-backend-engineer")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(
        answer.body,
        json!({"dispatch_id": login["id"], "agent": "nextjs-backend-engineer", "was_right": true,
               "feedback_revision": 1})
    );
    let (_, answer) = correct(&caller, LOGIN, json!("code-reviewer")).await;
    assert_eq!((&answer.body["was_right"], answer.status), (&json!(false), 200));
    let (lasagne, answer) = correct(&caller, LASAGNE, json!(null)).await;
    assert_eq!(
        answer.body,
        json!({"dispatch_id": lasagne["id"], "agent": null, "was_right": false, "feedback_revision": 3})
    );

    let all = list(&app, "").await;
    assert_eq!((&all["revision"], &all["count"]), (&json!(3), &json!(3)));
    let items = all["items"].as_array().expect("a list");
    let agents: Vec<_> = items.iter().map(|item| item["agent"].clone()).collect();
    assert_eq!(agents, [json!(null), json!("code-reviewer"), json!("nextjs-backend-engineer")]);
    let mut first = items[2].clone();
    let at = first["created_at"].take();
    assert!(at.as_str().is_some_and(|at| at.ends_with('Z')), "{at}");
    assert_eq!(
        first,
        json!({"dispatch_id": login["id"], "input": LOGIN, "agent": "nextjs-backend-engineer",
               "first_agent": "nextjs-backend-engineer", "confidence": login["confidence"],
               "was_right": true, "created_at": null})
    );
    assert_eq!(items[0]["first_agent"], lasagne["ranked"][0]["agent"]);
}

#[sqlx::test]
async fn a_list_has_pages_and_a_filter(pool: PgPool) {
    let app = TestApp::start(pool).await;
    for agent in ["code-reviewer", "code-reviewer", "nextjs-backend-engineer"] {
        correct(&app.admin, LOGIN, json!(agent)).await;
    }
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = list(&app, &query).await;
        assert_eq!(page["count"], 3);
        let items = page["items"].as_array().expect("a list");
        seen.extend(items.iter().map(|item| item["agent"].clone()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["nextjs-backend-engineer", "code-reviewer", "code-reviewer"]);
    let filtered = list(&app, "?agent=code-reviewer").await;
    assert_eq!(filtered["count"], 2);
    assert_eq!(filtered["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(list(&app, "?agent=nobody").await["count"], 0);
    for query in ["?limit=0", "?cursor=x", "?agnet=a"] {
        app.admin.get(&format!("{LIST}{query}")).await.problem(400, "invalid_request");
    }
    app.caller(&["run"]).await.get(LIST).await.problem(403, "forbidden");
}

#[sqlx::test]
async fn a_decision_has_one_correction(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (first, _) = correct(&app.admin, LOGIN, json!("code-reviewer")).await;
    let (second, _) = correct(&app.admin, LOGIN, json!(null)).await;
    let again = say(&app.admin, &first, json!("nextjs-backend-engineer")).await;
    assert_eq!(
        (&again.body["was_right"], &again.body["feedback_revision"]),
        (&json!(true), &json!(3))
    );
    let items = list(&app, "").await["items"].clone();
    let told: Vec<_> = items
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| (item["dispatch_id"].clone(), item["agent"].clone()))
        .collect();
    // What was said last comes first.
    assert_eq!(
        told,
        [
            (first["id"].clone(), json!("nextjs-backend-engineer")),
            (second["id"].clone(), json!(null))
        ]
    );
}

#[sqlx::test]
async fn feedback_is_on_a_callers_own_decisions(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (owner, other) = (app.caller(&["dispatch"]).await, app.caller(&["run"]).await);
    let decision = owner.dispatch(LOGIN).await.body;
    let right = json!("nextjs-backend-engineer");
    say(&other, &decision, right.clone()).await.problem(404, "dispatch_not_found");
    say(&app.caller(&["read"]).await, &decision, right.clone()).await.problem(403, "forbidden");
    assert_eq!(list(&app, "").await["count"], 0);
    assert_eq!(say(&owner, &decision, right.clone()).await.status, 200);
    assert_eq!(say(&app.admin, &decision, right.clone()).await.status, 200);
    let nowhere = json!({"id": "019a0000-0000-7000-8000-000000000000"});
    say(&app.admin, &nowhere, right).await.problem(404, "dispatch_not_found");
    say(&app.admin, &json!({"id": "x"}), json!(null)).await.problem(400, "invalid_request");
}

#[sqlx::test]
async fn an_agent_has_to_be_there_and_permitted(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let decision = app.admin.dispatch(LOGIN).await.body;
    for nobody in ["nobody", "Code Reviewer", "", "a\u{0}b"] {
        say(&app.admin, &decision, json!(nobody)).await.problem(404, "agent_not_found");
    }
    app.admin.post("/admin/v1/agents/code-reviewer/disable", json!({})).await;
    assert_eq!(say(&app.admin, &decision, json!("code-reviewer")).await.status, 200);
    app.admin.delete("/admin/v1/agents/code-reviewer").await;
    say(&app.admin, &decision, json!("code-reviewer")).await.problem(404, "agent_not_found");

    let key = json!({"name": "a", "scopes": ["dispatch"], "agents": ["nextjs-backend-engineer"]});
    let caller = app.caller_for(key).await;
    let (decision, answer) = correct(&caller, LOGIN, json!("nextjs-backend-engineer")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    say(&caller, &decision, json!("nextjs-frontend-engineer")).await.problem(403, "forbidden");
}

#[sqlx::test]
async fn the_agent_has_to_be_said(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let path = path(&app.admin.dispatch(LOGIN).await.body);
    for body in [json!({}), json!({"agent": 7}), json!({"agent": null, "why": "x"}), json!([])] {
        let answer = app.admin.post(&path, body).await;
        answer.problem(400, "invalid_request");
    }
    let unsaid = app.admin.post(&path, json!({})).await;
    assert!(unsaid.text.contains("missing field `agent`"), "{}", unsaid.text);
    assert_eq!(list(&app, "").await["count"], 0);
}

#[sqlx::test]
async fn every_kind_of_decision_can_be_corrected(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let named = json!({"input": LOGIN, "agent": "code-reviewer"});
    let named = app.admin.post("/v1/dispatch", named).await.body;
    let answer = say(&app.admin, &named, json!("nextjs-backend-engineer")).await;
    assert_eq!((answer.status, &answer.body["was_right"]), (200, &json!(false)));
    assert_eq!(list(&app, "").await["items"][0]["first_agent"], "code-reviewer");
    // A run's decision too, and one that has been written.
    let run = app.admin.post("/v1/runs", json!({"input": LOGIN})).await.body;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let decision = json!({"id": run["dispatch_id"]});
    let answer = say(&app.admin, &decision, run["agent"]["name"].clone()).await;
    assert_eq!((answer.status, &answer.body["was_right"]), (200, &json!(true)));
    // One without a candidate.
    let none = json!({"input": "x", "candidates": {"labels": ["no-such-label"]}});
    let none = app.admin.post("/v1/dispatch", none).await.body;
    assert_eq!(say(&app.admin, &none, json!("code-reviewer")).await.status, 200);
    let last = list(&app, "?limit=1").await["items"][0].clone();
    assert_eq!((&last["first_agent"], &last["was_right"]), (&json!(null), &json!(false)));
}

#[sqlx::test]
async fn a_long_request_is_kept_as_far_as_it_is_read(pool: PgPool) {
    let app = TestApp::start(pool.clone()).await;
    let long = format!("{LOGIN} a\u{0}b {}", "\u{e4}".repeat(20_000));
    let (_, answer) = correct(&app.admin, &long, json!(null)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let input = list(&app, "").await["items"][0]["input"].as_str().expect("a text").to_owned();
    assert!(input.starts_with(LOGIN) && (19_000..=20_000).contains(&input.len()));
    app.stop().await;
    let on_record: String = sqlx::query_scalar("SELECT input FROM dispatches")
        .fetch_one(&pool)
        .await
        .expect("is on record");
    assert!(on_record.starts_with(&input) && on_record.len() < 20_010);
}

#[sqlx::test]
async fn without_its_text_a_decision_teaches_nothing(pool: PgPool) {
    let with_texts = TestApp::start(pool.clone()).await;
    let old = with_texts.admin.dispatch(LOGIN).await.body;
    with_texts.stop().await;
    let app = TestApp::builder(pool)
        .configure(|config| config.dispatch.stores_content = false)
        .start()
        .await;
    let (_, answer) = correct(&app.admin, LOGIN, json!(null)).await;
    let detail = answer.problem(409, "content_not_kept")["detail"].to_string();
    assert!(detail.contains("storage.content: true"), "{detail}");
    // No text is copied while none is to be kept.
    say(&app.admin, &old, json!(null)).await.problem(409, "content_not_kept");
    assert_eq!(list(&app, "").await["count"], 0);
}

#[sqlx::test]
async fn without_the_database_nothing_is_learned(pool: PgPool) {
    let app = TestApp::start(pool.clone()).await;
    pool.close().await;
    // The decision itself is still to be written, and is found.
    let (_, answer) = correct(&app.admin, LOGIN, json!("code-reviewer")).await;
    answer.problem(503, "unavailable");
    app.admin.get(LIST).await.problem(503, "unavailable");
    app.admin.delete(LIST).await.problem(503, "unavailable");
    assert_eq!(app.admin.dispatch(LOGIN).await.body["outcome"], "picked");
}

#[sqlx::test]
async fn feedback_can_be_forgotten(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let mut last = Value::Null;
    for agent in [json!("code-reviewer"), json!("nextjs-backend-engineer"), json!(null)] {
        last = correct(&app.admin, LOGIN, agent).await.0;
    }
    let forget = async |query: &str| app.admin.delete(&format!("{LIST}{query}")).await;
    assert_eq!(forget("?agent=nobody").await.body, json!({"forgotten": 0, "revision": 3}));
    assert_eq!(forget("?agent=").await.body, json!({"forgotten": 0, "revision": 3}));
    // A slip of the pen must not cost everything.
    forget("?agnet=code-reviewer").await.problem(400, "invalid_request");
    assert_eq!(forget("?agent=code-reviewer").await.body, json!({"forgotten": 1, "revision": 4}));
    let left = list(&app, "").await;
    assert_eq!((&left["revision"], &left["count"]), (&json!(4), &json!(2)));
    assert_eq!(forget("").await.body, json!({"forgotten": 2, "revision": 5}));
    assert_eq!(forget("").await.body, json!({"forgotten": 0, "revision": 5}));
    let left = list(&app, "").await;
    assert_eq!(
        (&left["revision"], &left["count"], &left["items"]),
        (&json!(5), &json!(0), &json!([]))
    );
    assert_eq!(say(&app.admin, &last, json!(null)).await.body["feedback_revision"], 6);
    app.caller(&["run"]).await.delete(LIST).await.problem(403, "forbidden");

    let audit = app.admin.get("/admin/v1/audit?action=feedback.forget").await.body;
    let entries: Vec<_> = audit["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| (entry["subject"].clone(), entry["detail"].clone(), entry["author"].clone()))
        .collect();
    let author = json!("ROLECALL_ADMIN_KEY");
    assert_eq!(
        entries,
        [
            (json!("*"), json!({"forgotten": 2}), author.clone()),
            (json!("code-reviewer"), json!({"forgotten": 1}), author)
        ]
    );
}

#[sqlx::test]
async fn feedback_outlives_the_process_and_what_becomes_of_the_agent(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool.clone()).agents(&folder).start().await;
    app.admin.put_agent("a", agent_file("a", "Waters the tomatoes.")).await;
    correct(&app.admin, "water the tomatoes", json!("a")).await;
    app.stop().await;

    let app = TestApp::builder(pool).agents(&folder).start().await;
    let kept = list(&app, "?agent=a").await;
    assert_eq!((&kept["revision"], &kept["count"]), (&json!(1), &json!(1)));
    app.admin.put_agent("a", agent_file("a", "Prunes the roses.")).await;
    assert_eq!(list(&app, "?agent=a").await, kept);
    app.admin.delete("/admin/v1/agents/a").await;
    assert_eq!(list(&app, "?agent=a").await, kept);
    app.admin.put_agent("a", agent_file("a", "Waters the tomatoes again.")).await;
    assert_eq!(list(&app, "?agent=a").await, kept);
}

#[sqlx::test]
async fn many_at_once_are_all_kept(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let said = (0..40).map(|_| correct(&app.admin, LOGIN, json!("code-reviewer")));
    let mut revisions: Vec<_> = futures_util::future::join_all(said)
        .await
        .iter()
        .map(|(_, answer)| answer.body["feedback_revision"].as_i64().unwrap_or_default())
        .collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=40).collect::<Vec<i64>>());
    let all = list(&app, "").await;
    assert_eq!((&all["revision"], &all["count"]), (&json!(40), &json!(40)));
}

#[sqlx::test]
async fn what_is_fitted_to_it_is_shown(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let caller = app.caller(&["dispatch"]).await;
    correct(&caller, LOGIN, json!("nextjs-backend-engineer")).await;
    // In the background, once it has been quiet for a moment.
    let fit = loop {
        let fit = list(&app, "").await["fit"].take();
        if fit["feedback_revision"] == 1 {
            break fit;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    let (held_out, right) = (fit["held_out"].as_u64(), fit["right"].as_u64());
    assert!(held_out > Some(40) && right <= held_out && right > Some(0), "{fit}");
}
