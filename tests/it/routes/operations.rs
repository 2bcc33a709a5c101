use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;

use crate::support::{AgentFolder, Answer, Caller, TestApp, agent_file};

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

#[test]
fn every_operation_says_what_it_refuses() {
    let document = serde_json::to_value(rolecall::http::openapi()).expect("is JSON");
    for (path, item) in document["paths"].as_object().expect("has paths") {
        for (method, operation) in item.as_object().expect("has methods") {
            if !operation["security"].is_null() {
                // It needs no key, or not always.
                continue;
            }
            let names_something = path.contains('{') && method != "put";
            let told = ["400", "401", "403"].into_iter().chain(names_something.then_some("404"));
            for status in told {
                assert!(operation["responses"][status].is_object(), "{method} {path}: {status}");
            }
        }
    }
}

#[test]
fn a_problem_names_all_of_its_members() {
    let document = serde_json::to_value(rolecall::http::openapi()).expect("is JSON");
    let schemas = &document["components"]["schemas"];
    let told = schemas["Problem"].to_string() + &schemas["ProblemMembers"].to_string();
    let members = [
        "type", "title", "status", "detail", "code", "request_id", "errors", "ranked", "outcome",
        "dispatch_id", "run_id", "attempts", "diagnostics", "live_revision",
    ];
    for member in members {
        assert!(told.contains(&format!("\"{member}\":")), "{member}: {told}");
    }
    let required = told.matches("\"required\"").count();
    assert_eq!(required, 1, "only what every problem has is required: {told}");
    assert!(!schemas["Problem"]["allOf"][1]["required"].to_string().contains("errors"), "{told}");
}

/// What answers a request that is refused, by what is wrong with it, stands in the document.
#[sqlx::test]
async fn refusals_are_in_the_document(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let reader = app.caller(&["read"]).await;
    let document = app.admin.get("/openapi.json").await.body;
    for (path, item) in document["paths"].as_object().expect("has paths") {
        for (method, operation) in item.as_object().expect("has methods") {
            if !operation["security"].is_null() {
                continue;
            }
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let unknown = path
                .replace("{id}", "01890a5d-ac96-774b-bcce-b302099a8057")
                .replace("{name}", "nobody")
                .replace("{range}", "1");
            let odd = path.replace(['{', '}'], "%2F");
            let ask = |caller: &Caller, path: &str| caller.request(method.clone(), path);
            let json = |body: &'static str| {
                ask(&app.admin, &unknown).header("content-type", "application/json").body(body)
            };
            let requests = [
                ask(&app.admin.with_key(""), &unknown),
                ask(&reader, &unknown),
                ask(&app.admin, &format!("{unknown}?surprise=1")),
                ask(&app.admin, &odd),
                json("{"),
                json(r#"{"input": "x", "agent": "nobody"}"#),
                json(
                    r#"{"model": "nobody", "input": "x", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}"#,
                ),
            ];
            for request in requests {
                let answer = Answer::read(request).await;
                if [400, 401, 403, 404].contains(&answer.status) {
                    let told = &operation["responses"][answer.status.to_string()];
                    assert!(told.is_object(), "{method} {path}: {}", answer.text);
                }
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
