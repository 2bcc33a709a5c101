use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;

use crate::support::{AgentFolder, Answer, TestApp, agent_file, shipped_agents};

#[sqlx::test]
async fn a_put_file_is_served_byte_for_byte(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let source =
        std::fs::read(shipped_agents().join("nextjs-backend-engineer.md")).expect("is shipped");
    let answer = app.admin.put_agent("nextjs-backend-engineer", source.clone()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let body = &answer.body;
    assert_eq!((&body["revision"], &body["changed"]), (&json!(1), &json!(true)));
    // Its tool server is not configured.
    assert_eq!((&body["state"], &body["parse_mode"]), (&json!("degraded"), &json!("scan")));
    let codes: Vec<&str> = body["diagnostics"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|diagnostic| diagnostic["code"].as_str())
        .collect();
    assert_eq!(codes, ["yaml_invalid", "tool_server_not_configured"]);
    assert_eq!(body["definition"]["model"], "sonnet");
    assert_eq!(body["definition"]["color"], "red");
    assert_eq!(body["definition"]["tool_servers"], json!(["context7"]));

    let path = "/admin/v1/agents/nextjs-backend-engineer";
    let request = app.admin.request(Method::GET, &format!("{path}/source"));
    let bytes = request.send().await.expect("answers").bytes().await.expect("is whole");
    assert_eq!(bytes, source);
    assert_eq!(app.admin.get(path).await.header("etag"), "\"1\"");
    // It can be picked at once.
    let picked = app.admin.dispatch("an API route for login with JWT").await.body;
    assert_eq!(picked["agent"]["name"], "nextjs-backend-engineer");
}

#[sqlx::test]
async fn equal_bytes_make_no_revision_and_others_do(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool.clone()).agents(&folder).start().await;
    let put = |text: &str| app.admin.put_agent("a", agent_file("a", text));
    assert_eq!(put("one").await.status, 201);
    let again = put("one").await;
    assert_eq!(again.status, 200);
    assert_eq!((&again.body["revision"], &again.body["changed"]), (&json!(1), &json!(false)));
    let changed = put("two").await;
    assert_eq!((&changed.body["revision"], &changed.body["changed"]), (&json!(2), &json!(true)));
    let refused = sqlx::query("UPDATE revisions SET author = 'x'").execute(&pool).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("immutable")));
}

#[sqlx::test]
async fn a_greedy_file_is_told_whose_examples_it_takes(pool: PgPool) {
    let folder = AgentFolder::new();
    let example = "<example>user: 'water the tomatoes' assistant: 'ok'</example>";
    folder.write("gardener.md", agent_file("gardener", &format!("Looks after plants. {example}")));
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let modest = app.admin.put_agent("cook", agent_file("cook", "Cooks soup.")).await;
    assert_eq!(modest.body["steals"], json!([]));
    let greedy = "Water the tomatoes, water the tomatoes and water the tomatoes.";
    let greedy = app.admin.put_agent("water-tomatoes", agent_file("water-tomatoes", greedy)).await;
    let stolen = json!([{"agent": "gardener", "example": "water the tomatoes"}]);
    assert_eq!(greedy.body["steals"], stolen);
}

#[sqlx::test]
async fn a_dry_run_changes_nothing(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let request = app.admin.request(Method::PUT, "/admin/v1/agents/a?dry_run=true");
    let answer = Answer::read(request.body(agent_file("a", "one"))).await;
    assert_eq!((answer.status, &answer.body["changed"]), (200, &json!(true)));
    app.admin.get("/admin/v1/agents/a").await.problem(404, "agent_not_found");
}

#[sqlx::test]
async fn an_old_etag_is_refused(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let put = |header: &'static str, value: &'static str, text: &'static str| {
        let request = app.admin.request(Method::PUT, "/admin/v1/agents/a").header(header, value);
        Answer::read(request.body(agent_file("a", text)))
    };
    put("if-match", "\"1\"", "one").await.problem(412, "revision_mismatch");
    assert_eq!(put("if-none-match", "*", "one").await.status, 201);
    put("if-none-match", "*", "two").await.problem(412, "revision_mismatch");
    assert_eq!(put("if-match", "\"1\"", "two").await.status, 200);
    let problem = put("if-match", "\"1\"", "three").await;
    assert_eq!(problem.problem(412, "revision_mismatch")["live_revision"], 2);
    put("if-match", "nonsense", "three").await.problem(400, "invalid_request");
}

#[sqlx::test]
async fn an_archived_agent_answers_no_more_and_comes_back_by_a_put(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool).agents(&folder).start().await;
    app.admin.put_agent("a", agent_file("a", "one")).await;
    let archived = app.admin.delete("/admin/v1/agents/a").await;
    assert_eq!((archived.status, &archived.body["state"]), (200, &json!("archived")));
    app.admin.get("/v1/agents/a").await.problem(404, "agent_not_found");
    assert_eq!(app.admin.get("/admin/v1/agents/a").await.body["state"], "archived");
    let back = app.admin.put_agent("a", agent_file("a", "one")).await;
    assert_eq!((&back.body["state"], &back.body["revision"]), (&json!("live"), &json!(2)));
    app.admin.delete("/admin/v1/agents/nobody").await.problem(404, "agent_not_found");
}

#[sqlx::test]
async fn a_file_of_another_name_is_refused(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let problem = app.admin.put_agent("b", agent_file("a", "one")).await;
    problem.problem(422, "name_mismatch");
    app.admin.put_agent("B", agent_file("B", "one")).await.problem(422, "name_mismatch");
    // A file without a name takes the path's.
    let unnamed = app.admin.put_agent("c", "---\ndescription: x\n---\nbody").await;
    assert_eq!((unnamed.status, &unnamed.body["name"]), (201, &json!("c")));
}
