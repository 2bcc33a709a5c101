use serde_json::json;
use sqlx::PgPool;

use crate::support::TestApp;

#[sqlx::test]
async fn the_roster_is_listed_in_pages(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let caller = app.caller(&["read"]).await;
    let all = caller.get("/v1/agents").await.body;
    let names: Vec<&str> = all["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert!(names.len() >= 12 && names.is_sorted());
    assert_eq!(all["next_cursor"], json!(null));

    let mut paged = Vec::new();
    let mut path = "/v1/agents?limit=5".to_owned();
    loop {
        let page = caller.get(&path).await.body;
        let items = page["items"].as_array().expect("a list");
        assert!(items.len() <= 5);
        paged.extend(items.iter().filter_map(|one| one["name"].as_str().map(str::to_owned)));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/agents?limit=5&cursor={cursor}");
    }
    assert_eq!(paged, names);
    caller.get("/v1/agents?limit=0").await.problem(400, "invalid_request");
    caller.get("/v1/agents?limt=5").await.problem(400, "invalid_request");
}

#[sqlx::test]
async fn an_agent_is_shown_without_its_prompt(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let caller = app.caller(&["read"]).await;
    let agent = caller.get("/v1/agents/nextjs-backend-engineer").await.body;
    assert_eq!(agent["tool_servers"], json!(["context7"]));
    assert!(agent["examples"].as_array().is_some_and(|examples| examples.len() >= 2));
    assert!(agent.get("prompt").is_none());
    caller.get("/v1/agents/nobody").await.problem(404, "agent_not_found");
    caller.get("/v1/agents/a%2Fb").await.problem(400, "invalid_request");
}

#[sqlx::test]
async fn a_key_for_some_agents_sees_and_gets_only_those(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let key =
        json!({"name": "some", "scopes": ["run"], "agents": ["code-reviewer", "test-engineer"]});
    let caller = app.caller_for(key).await;
    let list = caller.get("/v1/agents").await.body;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2));
    caller.get("/v1/agents/nextjs-backend-engineer").await.problem(403, "forbidden");
    for (path, body) in [
        ("/v1/dispatch", json!({"input": "x", "agent": "nextjs-backend-engineer"})),
        (
            "/v1/dispatch",
            json!({"input": "x", "candidates": {"names": ["nextjs-backend-engineer"]}}),
        ),
        ("/v1/runs", json!({"input": "x", "agent": "nextjs-backend-engineer"})),
    ] {
        caller.post(path, body).await.problem(403, "forbidden");
    }
    let decision =
        caller.dispatch("write an API route for login with JWT and review the tests").await.body;
    for ranked in decision["ranked"].as_array().expect("a ranking") {
        assert!(
            ["code-reviewer", "test-engineer"]
                .contains(&ranked["agent"].as_str().unwrap_or_default())
        );
    }
}
