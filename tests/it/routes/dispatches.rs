use serde_json::json;
use sqlx::PgPool;

use crate::support::{AgentFolder, TestApp};

const LOGIN: &str = "I need to create an API route that handles user login with JWT tokens";

#[sqlx::test]
async fn a_request_finds_its_agent_with_reasons(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let answer = app.admin.dispatch(LOGIN).await;
    assert_eq!(answer.status, 200);
    let decision = &answer.body;
    assert_eq!(decision["outcome"], "picked");
    let agent = json!({
        "name": "nextjs-backend-engineer", "revision": 1, "degraded_by": ["context7"],
    });
    assert_eq!(decision["agent"], agent, "its tool server is not configured");
    assert_eq!(decision["strategy"], "local");
    assert!(decision["confidence"].as_f64() > Some(0.5), "{decision}");
    let first = &decision["ranked"][0];
    assert_eq!(first["agent"], "nextjs-backend-engineer");
    let reasons = first["reasons"].as_array().expect("has reasons");
    let source = std::fs::read_to_string(
        crate::support::shipped_agents().join("nextjs-backend-engineer.md"),
    )
    .expect("is shipped");
    assert!(!reasons.is_empty());
    for reason in reasons {
        let text = reason["text"].as_str().expect("a text").trim_end_matches('…');
        assert!(source.contains(text), "the reason is the file's own text: {text}");
    }
    let shares: f64 = reasons.iter().filter_map(|reason| reason["share"].as_f64()).sum();
    assert!(shares > 0.3 && shares <= 1.0001, "{shares}");
}

#[sqlx::test]
async fn words_of_a_request_are_told_and_kept_only_if_texts_are(pool: PgPool) {
    let request = format!("{LOGIN}, as our Laravel pages do");
    for stores_content in [true, false] {
        let configured = |config: &mut rolecall::config::Config| {
            config.dispatch.stores_content = stores_content;
        };
        let app = TestApp::builder(pool.clone()).configure(configured).start().await;
        let told = app.admin.dispatch(&request).await.body;
        assert_eq!(told["unknown_technologies"], json!(["Laravel"]));
        assert!(told.to_string().contains(r#""words":["#), "{told}");
        let path = format!("/v1/dispatches/{}", told["id"].as_str().expect("has an id"));
        let kept = app.admin.get(&path).await.body.to_string();
        app.stop().await;
        assert!(kept.contains(r#""share":"#), "{kept}");
        assert_eq!(kept.contains("Laravel"), stores_content, "{kept}");
        assert_eq!(kept.contains(r#""words":["#), stores_content, "{kept}");
    }
}

#[sqlx::test]
async fn what_belongs_to_nobody_is_none(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let answer = app.admin.dispatch("what is a good recipe for lasagne").await;
    assert_eq!(answer.status, 200);
    assert_eq!((&answer.body["outcome"], &answer.body["agent"]), (&json!("none"), &json!(null)));
}

#[sqlx::test]
async fn a_named_agent_is_a_decision_too(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let dispatch =
        |name: &'static str| app.admin.post("/v1/dispatch", json!({"input": "x", "agent": name}));
    let decision = dispatch("code-reviewer").await.body;
    assert_eq!(decision["strategy"], "named");
    assert_eq!(decision["confidence"], 1.0);
    assert_eq!(decision["agent"]["name"], "code-reviewer");
    dispatch("nobody").await.problem(404, "agent_not_found");
    app.admin.delete("/admin/v1/agents/code-reviewer").await;
    dispatch("code-reviewer").await.problem(404, "agent_not_found");
}

#[sqlx::test]
async fn a_disabled_agent_that_is_named_is_a_conflict(pool: PgPool) {
    let app = TestApp::start(pool.clone()).await;
    sqlx::query("UPDATE agents SET state = 'disabled' WHERE name = 'nextjs-backend-engineer'")
        .execute(&pool)
        .await
        .expect("is disabled");
    sqlx::query("UPDATE change_counters SET roster_revision = roster_revision + 1")
        .execute(&pool)
        .await
        .expect("is counted");
    // A change that another process makes is found within a second or so.
    for _ in 0..100 {
        let body = json!({"input": "x", "agent": "nextjs-backend-engineer"});
        let answer = app.admin.post("/v1/dispatch", body).await;
        if answer.status == 409 {
            answer.problem(409, "agent_disabled");
            let picked = app.admin.dispatch(LOGIN).await.body["agent"]["name"].clone();
            assert_ne!(picked, "nextjs-backend-engineer");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the change is not taken over");
}

#[sqlx::test]
async fn candidates_narrow_the_roster(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let ranked = async |candidates: serde_json::Value| {
        let body = json!({"input": LOGIN, "candidates": candidates, "top_k": 100});
        let answer = app.admin.post("/v1/dispatch", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let ranked = answer.body["ranked"].as_array().expect("is ranked").clone();
        ranked
            .iter()
            .map(|one| one["agent"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let all = ranked(json!({})).await;
    assert!(all.len() > 3);
    assert_eq!(ranked(json!({"names": [all[1]]})).await, [all[1].clone()]);
    let without_first = ranked(json!({"exclude": [all[0]]})).await;
    assert!(!without_first.is_empty() && !without_first.contains(&all[0]));
    assert!(ranked(json!({"labels": ["no-such-label"]})).await.is_empty());
    let body = json!({"input": LOGIN, "candidates": {"names": ["nobody"]}});
    app.admin.post("/v1/dispatch", body).await.problem(404, "agent_not_found");
}

#[sqlx::test]
async fn a_follow_up_stays_with_what_the_conversation_began_with(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let body = json!({"messages": [
        {"role": "user", "content": LOGIN},
        {"role": "assistant", "content": "Shall I write the handler?"},
        {"role": "user", "content": [{"type": "text", "text": "yes, and centre the div with Tailwind"}]},
    ]});
    let decision = app.admin.post("/v1/dispatch", body).await.body;
    assert_eq!(decision["agent"]["name"], "nextjs-backend-engineer");
}

#[sqlx::test]
async fn a_decision_can_be_looked_up_by_its_owner(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let (owner, other) = (app.caller(&["dispatch"]).await, app.caller(&["run"]).await);
    let decision = owner.dispatch(LOGIN).await.body;
    let path = format!("/v1/dispatches/{}", decision["id"].as_str().expect("has an id"));
    // At once from memory, later from the database.
    assert_eq!(owner.get(&path).await.body, decision);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let mut stored = owner.get(&path).await.body;
    assert_eq!(stored["ranked"], decision["ranked"]);
    stored["ranked"] = decision["ranked"].clone();
    assert_eq!(stored, decision);
    assert_eq!(app.admin.get(&path).await.status, 200);
    other.get(&path).await.problem(404, "dispatch_not_found");
}

#[sqlx::test]
async fn equal_requests_are_answered_equally(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let one = app.admin.dispatch(LOGIN).await.body;
    let other = app.admin.dispatch(LOGIN).await.body;
    assert_eq!((&one["ranked"], &one["confidence"]), (&other["ranked"], &other["confidence"]));
}

#[sqlx::test]
async fn an_agent_without_a_description_is_picked_only_by_name(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write(
        "silent.md",
        "---\nname: silent\n---\nYou water the tomatoes and prune the roses.\n",
    );
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let decision = app.admin.dispatch("water the tomatoes and prune the roses").await.body;
    assert_eq!((&decision["outcome"], &decision["ranked"]), (&json!("none"), &json!([])));
    let named = json!({"input": "x", "agent": "silent"});
    assert_eq!(app.admin.post("/v1/dispatch", named).await.body["outcome"], "picked");
}
