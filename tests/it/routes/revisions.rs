use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{AgentFolder, Answer, TestApp, agent_file};

const PATH: &str = "/admin/v1/agents/a/revisions";

/// An agent with the revisions 1 from its file and 2 and 3 by the API, 3 being live.
async fn app_with_history(pool: PgPool, folder: &AgentFolder) -> TestApp {
    folder.write("a.md", agent_file("a", "one"));
    let app = TestApp::builder(pool).agents(folder).start().await;
    for text in ["two", "three"] {
        assert_eq!(app.admin.put_agent("a", agent_file("a", text)).await.status, 200);
    }
    app
}

fn numbers(answer: &Answer) -> Vec<i64> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let items = answer.body["items"].as_array().expect("a list");
    items.iter().filter_map(|item| item["revision"].as_i64()).collect()
}

#[sqlx::test]
async fn revisions_are_listed_newest_first(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = app_with_history(pool, &folder).await;
    let all = app.admin.get(PATH).await;
    assert_eq!((numbers(&all), &all.body["next_cursor"]), (vec![3, 2, 1], &Value::Null));
    let newest = &all.body["items"][0];
    let live = app.admin.get("/admin/v1/agents/a").await.body;
    assert_eq!(newest["sha256"], live["sha256"]);
    assert!(newest["created_at"].as_str().is_some_and(|time| time.ends_with('Z')));
    let facts = |index: usize| {
        let item = &all.body["items"][index];
        let field = |name: &str| item[name].clone();
        ["live", "source", "author", "format", "parse_mode"].map(field)
    };
    let api = [json!(true), json!("api"), json!("ROLECALL_ADMIN_KEY")];
    assert_eq!(facts(0)[..3], api);
    let first = ["file", "start", "claude-code", "strict"].map(|text| json!(text));
    assert_eq!((&facts(2)[0], &facts(2)[1..]), (&json!(false), &first[..]));

    let page = app.admin.get(&format!("{PATH}?limit=2")).await;
    assert_eq!(numbers(&page), [3, 2]);
    let cursor = page.body["next_cursor"].as_str().expect("goes on");
    let rest = app.admin.get(&format!("{PATH}?limit=2&cursor={cursor}")).await;
    assert_eq!((numbers(&rest), &rest.body["next_cursor"]), (vec![1], &Value::Null));

    app.admin.delete("/admin/v1/agents/a").await;
    assert_eq!(numbers(&app.admin.get(PATH).await), [3, 2, 1], "history outlives the agent");
}

#[sqlx::test]
async fn a_revision_says_what_it_said_then(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = app_with_history(pool, &folder).await;
    let first = app.admin.get(&format!("{PATH}/1")).await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!((&first.body["revision"], &first.body["live"]), (&json!(1), &json!(false)));
    assert_eq!(first.body["definition"]["description"], "one");
    assert_eq!(first.body["diagnostics"][0]["code"], "when_to_use_missing");
    let live = app.admin.get(&format!("{PATH}/3")).await.body;
    let agent = app.admin.get("/admin/v1/agents/a").await.body;
    assert_eq!(live["live"], true);
    for field in ["definition", "sha256", "diagnostics"] {
        assert_eq!(live[field], agent[field], "{field}");
    }
}

#[sqlx::test]
async fn a_revision_gives_its_bytes(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = app_with_history(pool, &folder).await;
    let request = app.admin.request(Method::GET, &format!("{PATH}/1/source"));
    let answer = request.send().await.expect("answers");
    assert_eq!(answer.headers()["etag"], "\"1\"");
    assert_eq!(answer.headers()["content-type"], "text/markdown; charset=utf-8");
    assert_eq!(answer.bytes().await.expect("is whole"), agent_file("a", "one"));
    app.admin.get(&format!("{PATH}/4/source")).await.problem(404, "revision_not_found");
    app.admin.get(&format!("{PATH}/1..2/source")).await.problem(400, "invalid_request");
}

#[sqlx::test]
async fn a_range_is_a_diff(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = app_with_history(pool, &folder).await;
    let diff = app.admin.get(&format!("{PATH}/2..3")).await;
    assert_eq!(diff.status, 200, "{}", diff.text);
    let expected = "--- a@2\n+++ a@3\n@@ -1,6 +1,6 @@\n ---\n name: a\n-description: two\n\
                    +description: three\n ---\n \n You are a.\n";
    assert_eq!(diff.body, json!({"from": 2, "to": 3, "diff": expected}));
    let back = app.admin.get(&format!("{PATH}/3..1")).await.body;
    assert_eq!((&back["from"], &back["to"]), (&json!(3), &json!(1)));
    assert!(back["diff"].as_str().is_some_and(|diff| diff.contains("+description: one\n")));
    assert_eq!(app.admin.get(&format!("{PATH}/2..2")).await.body["diff"], "");
}

#[sqlx::test]
async fn what_is_no_revision_is_refused(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = app_with_history(pool, &folder).await;
    for unknown in ["0", "4", "99999999999999999999", "2147483648", "1..4", "0..1", "9999999999..1"]
    {
        let answer = app.admin.get(&format!("{PATH}/{unknown}")).await;
        answer.problem(404, "revision_not_found");
    }
    for bad in
        ["-1", "+1", "x", "1.", "1..", "..1", "1...2", "1..2..3", "1.5", "%20", "1%00", "1-2"]
    {
        app.admin.get(&format!("{PATH}/{bad}")).await.problem(400, "invalid_request");
    }
    for cursor in ["x", "2", "99999999999", "%00"] {
        let answer = app.admin.get(&format!("{PATH}?cursor={cursor}")).await;
        answer.problem(400, "invalid_request");
    }
    for below in ["", "/1", "/1..2", "/1/source"] {
        let path = format!("/admin/v1/agents/nobody/revisions{below}");
        app.admin.get(&path).await.problem(404, "agent_not_found");
        let path = format!("/admin/v1/agents/A%20B/revisions{below}");
        app.admin.get(&path).await.problem(404, "agent_not_found");
        let path = format!("/admin/v1/agents/a%2Fb/revisions{below}");
        app.admin.get(&path).await.problem(400, "invalid_request");
        let stranger = app.caller(&["run"]).await;
        stranger.get(&format!("{PATH}{below}")).await.problem(403, "forbidden");
    }
}

#[sqlx::test]
async fn a_revision_that_this_version_cannot_read_still_gives_its_bytes(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = app_with_history(pool.clone(), &folder).await;
    sqlx::query(
        "INSERT INTO revisions (agent_name, revision, sha256, source_bytes, format, parse_mode,
            diagnostics, source, author)
         VALUES ('a', 4, 'x', '\\x00ff', 'format-to-come', 'strict', '[]', 'api', 'x')",
    )
    .execute(&pool)
    .await
    .expect("is written");
    let revision = app.admin.get(&format!("{PATH}/4")).await;
    assert_eq!((revision.status, &revision.body["definition"]), (200, &Value::Null));
    assert_eq!(revision.body["format"], "format-to-come");
    assert_eq!(app.admin.get(&format!("{PATH}/4/source")).await.text.len(), 4);
    assert_eq!(app.admin.get(&format!("{PATH}/3..4")).await.status, 200);
    let activated = app.admin.post("/admin/v1/agents/a/activate", json!({"revision": 4})).await;
    let problem = activated.problem(409, "conflict");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("cannot be read")));
    assert_eq!(app.admin.get("/admin/v1/agents/a").await.body["revision"], 3);
}
