//! Whatever is sent, the answer is a clear problem and nothing is stored by half.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{AgentFolder, Answer, TestApp, agent_file};

#[sqlx::test]
async fn bad_bodies_name_the_field(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let message = |role: &str| json!([{"role": role, "content": "x"}]);
    for (path, body, pointer) in [
        ("/v1/dispatch", json!({}), "/input"),
        ("/v1/dispatch", json!({"input": "  "}), "/input"),
        ("/v1/dispatch", json!({"input": 7}), "/input"),
        ("/v1/dispatch", json!({"input": "x", "messages": []}), "/input"),
        ("/v1/dispatch", json!({"messages": []}), "/messages"),
        ("/v1/dispatch", json!({"messages": message("system")}), "/messages/0/role"),
        ("/v1/dispatch", json!({"messages": message("assistant")}), "/messages/0/role"),
        // Only what a provider has sealed goes back to it.
        (
            "/v1/dispatch",
            json!({"messages": [{"role": "user", "content": [{"type": "thought", "model": "m", "block": {}}]}]}),
            "/messages/0/content",
        ),
        (
            "/v1/dispatch",
            json!({"messages": [{"role": "user", "content": 1}]}),
            "/messages/0/content",
        ),
        ("/v1/dispatch", json!({"input": "x", "top_k": 0}), "/top_k"),
        ("/v1/dispatch", json!({"input": "x", "top_k": "many"}), "/top_k"),
        ("/v1/dispatch", json!({"input": "x", "strategy": "magic"}), "/strategy"),
        ("/v1/dispatch", json!({"input": "x", "candidates": {"nmes": []}}), "/candidates/nmes"),
        ("/v1/dispatch", json!({"input": "x", "candidates": {"names": []}}), "/candidates/names"),
        ("/v1/dispatch", json!({"input": "x", "candidates": {"labels": []}}), "/candidates/labels"),
        ("/v1/runs", json!({"input": "x", "candidates": {"names": []}}), "/candidates/names"),
        ("/v1/prompts", json!({"input": "x", "candidates": {"labels": []}}), "/candidates/labels"),
        ("/v1/dispatch", json!({"input": "x", "surprise": 1}), "/surprise"),
        ("/v1/runs", json!({"input": "x", "surprise": 1}), "/surprise"),
        ("/v1/runs", json!({"input": "x", "max_tokens": 0}), "/max_tokens"),
        ("/v1/runs", json!({"input": "x", "max_tokens": -1}), "/max_tokens"),
        ("/v1/runs", json!({"input": "x", "metadata": "text"}), "/metadata"),
        (
            "/v1/runs",
            json!({"input": "x", "tools": [{"name": "a", "parametres": {}}]}),
            "/tools/0/parametres",
        ),
        (
            "/v1/runs",
            json!({"messages": [
                {"role": "user", "content": "x"},
                {"role": "assistant", "tool_calls": [{"id": "a", "name": "b", "arguments": "{}"}]},
            ]}),
            "/messages/1/tool_calls/0/arguments",
        ),
        ("/v1/prompts", json!({"input": "x", "stream": "yes"}), "/stream"),
        ("/admin/v1/keys", json!({"name": "", "scopes": ["run"]}), "/name"),
        ("/admin/v1/keys", json!({"name": "a\u{0}b", "scopes": ["run"]}), "/name"),
        (
            "/admin/v1/keys",
            json!({"name": "x", "scopes": ["run"], "agents": ["a", "b\u{0}"]}),
            "/agents/1",
        ),
        ("/admin/v1/keys", json!({"name": "x", "scopes": []}), "/scopes"),
        ("/admin/v1/keys", json!({"name": "x", "scopes": ["root"]}), "/scopes/0"),
        ("/admin/v1/keys", json!({"name": "x", "scopes": ["admin"], "agents": ["a"]}), "/agents"),
        ("/admin/v1/sync", json!({"prune": 1}), "/prune"),
    ] {
        let answer = app.admin.post(path, body.clone()).await;
        let problem = answer.problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{path} {body}: {}", answer.text);
    }
}

#[sqlx::test]
async fn a_change_refuses_parameters_that_it_does_not_know(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool).agents(&folder).start().await;
    app.admin.put_agent("a", agent_file("a", "x")).await;
    folder.write("b.md", agent_file("b", "y"));
    let key = "/admin/v1/keys/00000000-0000-7000-8000-000000000000";
    for (method, path, body) in [
        (Method::POST, "/admin/v1/sync", json!({})),
        (Method::POST, "/admin/v1/agents/a/disable", json!({})),
        (Method::POST, "/admin/v1/agents/a/enable", json!({})),
        (Method::POST, "/admin/v1/agents/a/activate", json!({"revision": 1})),
        (Method::DELETE, "/admin/v1/agents/a", json!({})),
        (Method::DELETE, "/admin/v1/feedback", json!({})),
        (Method::POST, "/admin/v1/evals/dispatch", json!({})),
        (Method::POST, "/admin/v1/keys", json!({"name": "a", "scopes": ["run"]})),
        (Method::PATCH, key, json!({"limits": {}})),
        (Method::DELETE, key, json!({})),
        (Method::PUT, "/admin/v1/mcp-servers/a", json!({"url": "http://127.0.0.1:9"})),
        (Method::DELETE, "/admin/v1/mcp-servers/a", json!({})),
    ] {
        let request = app.admin.request(method, &format!("{path}?dry_run=true")).json(&body);
        let answer = Answer::read(request).await;
        let problem = answer.problem(400, "invalid_request");
        assert!(problem["detail"].as_str().is_some_and(|it| it.contains("dry_run")), "{problem}");
    }
    let agents = app.admin.get("/admin/v1/agents").await.body;
    assert_eq!(agents["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(agents["items"][0]["state"], "live");
}

#[sqlx::test]
async fn a_list_is_no_object(pool: PgPool) {
    let app = TestApp::start(pool).await;
    for (path, body) in [
        ("/admin/v1/agents/code-reviewer/activate", json!([1])),
        ("/admin/v1/sync", json!([true, false])),
        ("/v1/dispatch", json!(["x", null, null, null, null, null, null])),
        ("/v1/runs", json!([])),
    ] {
        let problem = app.admin.post(path, body).await;
        let detail = problem.problem(400, "invalid_request")["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("expected an object"), "{path}: {detail}");
    }
}

#[sqlx::test]
async fn a_cursor_that_no_list_gave_is_refused(pool: PgPool) {
    let app = TestApp::start(pool).await;
    app.admin.put_agent("a", agent_file("a", "x")).await;
    let document = app.admin.get("/openapi.json").await.body;
    let is_list = |operations: &Value| {
        let parameters = operations["get"]["parameters"].as_array();
        parameters.into_iter().flatten().any(|parameter| parameter["name"] == "cursor")
    };
    let paths = document["paths"].as_object().expect("is an object").iter();
    let lists: Vec<_> = paths.filter(|(_, operations)| is_list(operations)).collect();
    assert!(lists.len() > 10, "{lists:?}");
    for (path, _) in lists {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let path = path.replace("{name}", "a").replace("{id}", id);
        for cursor in ["", "zebra", "a", "1", "0000000061", id] {
            let answer = app.admin.get(&format!("{path}?cursor={cursor}")).await;
            let problem = answer.problem(400, "invalid_request");
            assert_eq!(problem["errors"][0]["pointer"], "/cursor", "{path} {cursor}");
        }
    }
}

#[sqlx::test]
async fn what_is_no_json_is_refused(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let post = |content_type: &'static str, body: &'static str| {
        let request = app.admin.request(Method::POST, "/v1/dispatch");
        Answer::read(request.header("content-type", content_type).body(body))
    };
    for body in ["", "{", "{\"input\": \"x\"} trailing", "not json", "\u{0}"] {
        post("application/json", body).await.problem(400, "invalid_request");
    }
    post("application/json", "[]").await.problem(400, "invalid_request");
    post("text/plain", "{}").await.problem(415, "unsupported_media_type");
    assert_eq!(post("application/json; charset=utf-8", "{\"input\": \"x\"}").await.status, 200);
}

#[sqlx::test]
async fn a_body_over_the_limit_is_refused(pool: PgPool) {
    let app =
        TestApp::builder(pool).configure(|config| config.http.body_bytes = 10_000).start().await;
    let answer = app.admin.dispatch(&"x".repeat(20_000)).await;
    answer.problem(413, "payload_too_large");
}

#[sqlx::test]
async fn bad_agent_files_are_refused_whole(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool.clone()).agents(&folder).start().await;
    let long = agent_file("a", &"x".repeat(5 * 1024 * 1024));
    app.admin.put_agent("a", long).await.problem(413, "payload_too_large");
    app.admin.put_agent("a%2Fb", agent_file("a", "x")).await.problem(400, "invalid_request");
    for (source, class) in [
        (b"---\nname: a\ndescription: \xff\n---\n".to_vec(), "encoding_invalid"),
        (b"# just text\n".to_vec(), "frontmatter_missing"),
        (b"---\nno field\n".to_vec(), "frontmatter_unclosed"),
        (b"---\n---\nbody\n".to_vec(), "frontmatter_empty"),
        ("---\nname: \u{65e5}\u{672c}\n---\n".into(), "name_invalid"),
        (Vec::new(), "frontmatter_missing"),
        (b"---\nname: \"a\\0\"\n---\n".to_vec(), "encoding_invalid"),
        (b"---\nname: a\nmodel: \"b\\0\"\n---\n".to_vec(), "encoding_invalid"),
        (format!("---\nname: {}\n---\n", "a".repeat(60_000)).into(), "name_too_long"),
    ] {
        let answer = app.admin.put_agent("a", source).await;
        let problem = answer.problem(422, "invalid_definition");
        let first = &problem["diagnostics"][0];
        assert_eq!(first["code"], class);
        assert!(first["line"].as_u64() >= Some(1) && first["help"].as_str() > Some(""));
    }
    let request = app.admin.request(Method::PUT, "/admin/v1/agents/a");
    let image = request.header("content-type", "image/png").body(agent_file("a", "x"));
    Answer::read(image).await.problem(415, "unsupported_media_type");
    let stored: (i64, i64) =
        sqlx::query_as("SELECT (SELECT count(*) FROM agents), (SELECT count(*) FROM revisions)")
            .fetch_one(&pool)
            .await
            .expect("is read");
    assert_eq!(stored, (0, 0));
}

#[sqlx::test]
async fn a_conversation_that_is_not_there_is_a_404(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let body = |id: &str| json!({"input": "x", "conversation_id": id});
    let unknown = body("019a0000-0000-7000-8000-000000000000");
    app.admin.post("/v1/runs", unknown.clone()).await.problem(404, "conversation_not_found");
    app.admin.post("/v1/dispatch", unknown).await.problem(404, "conversation_not_found");
    app.admin.post("/v1/dispatch", body("nonsense")).await.problem(400, "invalid_request");
    app.admin.get("/v1/runs/nonsense").await.problem(400, "invalid_request");
}

#[sqlx::test]
async fn hostile_texts_are_only_texts(pool: PgPool) {
    let app = TestApp::start(pool.clone()).await;
    for text in
        ["'; DROP TABLE agents; --", "${ANTHROPIC_API_KEY}", "{{7*7}}", "\u{202e}abc", "a\u{0}b"]
    {
        let answer = app.admin.dispatch(text).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let path = format!("/v1/dispatches/{}", answer.body["id"].as_str().expect("an id"));
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert_eq!(app.admin.get(&path).await.status, 200);
    }
    assert_ne!(app.admin.get("/v1/agents").await.body["items"], Value::Array(Vec::new()));
    app.stop().await;
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM dispatches")
        .fetch_one(&pool)
        .await
        .expect("is read");
    assert_eq!(stored, 5, "each is on record");
}
