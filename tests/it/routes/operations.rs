use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;

use crate::support::{AgentFolder, TestApp, agent_file};

const ROSTER_REVISION: &str = "x-rolecall-roster-revision";

#[sqlx::test]
async fn health_needs_no_key_and_names_each_dependency(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let stranger = app.admin.with_key("");
    assert_eq!(stranger.get("/livez").await.status, 200);
    let ready = stranger.get("/readyz").await.body;
    assert_eq!(ready["status"], "ready");
    assert_eq!(ready["dependencies"]["database"]["status"], "up");
    assert_eq!(ready["dependencies"]["provider"]["status"], "offline");
    let head = stranger.request(Method::HEAD, "/").send().await.expect("answers");
    assert_eq!(head.status(), 200);
}

#[sqlx::test]
async fn the_openapi_document_describes_every_path(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let document = app.admin.with_key("").get("/openapi.json").await.body;
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let operations: Vec<String> = document["paths"]
        .as_object()
        .expect("has paths")
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("has methods").keys();
            methods.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
        })
        .collect();
    insta::assert_json_snapshot!(operations);
}

#[test]
fn every_operation_has_a_name_and_every_answer_a_description() {
    let document = serde_json::to_value(rolecall::http::openapi()).expect("is JSON");
    let mut names = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("has paths") {
        for (method, operation) in item.as_object().expect("has methods") {
            let name = operation["operationId"].as_str().expect("has a name");
            assert!(names.insert(name.to_owned()), "{name} stands twice");
            let answers = operation["responses"].as_object().expect("has answers");
            for (status, answer) in answers {
                let text = answer["description"].as_str().unwrap_or_default();
                assert!(!text.is_empty(), "{method} {path} {status}");
            }
        }
    }
}

/// Operations that change something and take no body.
const WITHOUT_BODY: &[&str] = &["cancel_run", "cancel_response", "disable_agent", "enable_agent"];

#[test]
fn every_body_is_described_by_its_fields() {
    let document = serde_json::to_value(rolecall::http::openapi()).expect("is JSON");
    for (path, item) in document["paths"].as_object().expect("has paths") {
        for method in ["post", "put", "patch"] {
            let Some(operation) = item.get(method) else { continue };
            let name = operation["operationId"].as_str().unwrap_or_default();
            if WITHOUT_BODY.contains(&name) {
                continue;
            }
            let content = &operation["requestBody"]["content"];
            let schemas =
                content.as_object().into_iter().flatten().map(|(_, body)| &body["schema"]);
            for schema in schemas {
                let Some(place) = schema["$ref"].as_str() else { continue };
                let pointer = place.trim_start_matches('#');
                assert!(document.pointer(pointer).is_some(), "{method} {path}: {place}");
            }
            assert!(content.is_object(), "{method} {path} has no body");
        }
    }
}

#[sqlx::test]
async fn every_answer_of_both_planes_names_the_roster_that_is_served(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let put = app.admin.put_agent("a", agent_file("a", "one")).await;
    let revision = app.admin.get("/readyz").await.body["roster_revision"].to_string();
    assert_ne!(revision, "0");
    assert_eq!(put.header(ROSTER_REVISION), revision, "it serves what was put");
    let stranger = app.admin.with_key("");
    for answer in [
        app.admin.get("/v1/agents").await,
        app.admin.get("/v1/agents/nobody").await,
        app.admin.get("/v1/nowhere").await,
        app.admin.get("/admin/v1/nowhere").await,
        app.admin.delete("/v1/dispatch").await,
        app.admin.post("/v1/dispatch", json!({"surprise": 1})).await,
        app.admin.dispatch("x").await,
        app.admin.post("/v1/runs", json!({"input": "x", "agent": "a"})).await,
        app.admin.get("/admin/v1/keys").await,
        stranger.get("/admin/v1/agents").await,
    ] {
        assert_eq!(answer.header(ROSTER_REVISION), revision, "{}", answer.text);
    }
    for path in ["/livez", "/readyz", "/openapi.json", "/v1"] {
        assert_eq!(stranger.get(path).await.header(ROSTER_REVISION), "", "{path}");
    }
}

#[sqlx::test]
async fn a_harmless_request_id_is_kept_and_another_replaced(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let id = |sent: &'static str| {
        let request = app.admin.request(Method::GET, "/livez").header("x-request-id", sent);
        async move {
            let response = request.send().await.expect("answers");
            response.headers()["x-request-id"].to_str().expect("is text").to_owned()
        }
    };
    assert_eq!(id("abc-123").await, "abc-123");
    assert_ne!(id("a b").await, "a b");
}

#[sqlx::test]
async fn unknown_paths_and_methods_are_problems(pool: PgPool) {
    let app = TestApp::start(pool).await;
    app.admin.get("/nowhere").await.problem(404, "not_found");
    app.admin.get("/v1/nothing").await.problem(404, "not_found");
    let wrong = app.admin.delete("/v1/dispatch").await;
    wrong.problem(405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), "POST");
    assert_eq!(app.admin.post("/admin/v1/sync", json!({})).await.status, 200);
}
