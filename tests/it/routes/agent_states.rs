use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{AgentFolder, Answer, TestApp, agent_file};

async fn activate(app: &TestApp, revision: impl Into<Value>) -> Answer {
    app.admin.post("/admin/v1/agents/a/activate", json!({"revision": revision.into()})).await
}

/// What is counted with each change, and how many changes are on record.
async fn traces(app: &TestApp) -> (Value, usize) {
    let ready = app.admin.get("/readyz").await.body;
    let audit = app.admin.get("/admin/v1/audit?limit=1000").await.body;
    (ready["roster_revision"].clone(), audit["items"].as_array().expect("a list").len())
}

#[sqlx::test]
async fn a_rollback_is_served_at_once_and_undone_as_easily(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool).agents(&folder).start().await;
    app.admin.put_agent("a", agent_file("A", "Waters tomatoes.")).await;
    app.admin.put_agent("a", agent_file("a", "Cooks soup.")).await;
    let back = activate(&app, 1).await;
    assert_eq!(back.status, 200, "{}", back.text);
    assert_eq!((&back.body["revision"], &back.body["changed"]), (&json!(1), &json!(true)));
    assert_eq!((&back.body["state"], back.header("etag")), (&json!("live"), "\"1\""));
    assert_eq!(back.body["definition"]["description"], "Waters tomatoes.");
    let listed = app.admin.get("/admin/v1/agents").await.body;
    assert_eq!(listed["items"][0]["display_name"], "A", "the name is the revision's");
    let picked = app.admin.dispatch("who waters the tomatoes?").await.body;
    assert_eq!(picked["agent"], json!({"name": "a", "revision": 1}));

    let forth = activate(&app, 2).await.body;
    assert_eq!(
        (&forth["revision"], &forth["definition"]["display_name"]),
        (&json!(2), &json!("a"))
    );
    // Numbers are never used again.
    activate(&app, 1).await;
    let put = app.admin.put_agent("a", agent_file("a", "Bakes.")).await.body;
    assert_eq!(put["revision"], 3);
}

#[sqlx::test]
async fn a_rollback_of_a_file_is_not_undone_by_the_unchanged_file(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("team/a.md", agent_file("a", "one"));
    let app = TestApp::builder(pool).agents(&folder).start().await;
    folder.write("team/a.md", agent_file("a", "two"));
    app.admin.post("/admin/v1/sync", json!({})).await;
    let back = activate(&app, 1).await.body;
    assert_eq!((&back["source"], &back["labels"]), (&json!("file"), &json!(["team"])));
    let sync = app.admin.post("/admin/v1/sync", json!({})).await.body;
    assert_eq!(sync["files"][0]["action"], "unchanged");
    assert_eq!(app.admin.get("/admin/v1/agents/a").await.body["revision"], 1);
    folder.write("team/a.md", agent_file("a", "three"));
    app.admin.post("/admin/v1/sync", json!({})).await;
    assert_eq!(app.admin.get("/admin/v1/agents/a").await.body["revision"], 3);
}

#[sqlx::test]
async fn activating_revives_the_archived_and_leaves_the_disabled(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool).agents(&folder).start().await;
    for text in ["one", "two"] {
        app.admin.put_agent("a", agent_file("a", text)).await;
    }
    app.admin.delete("/admin/v1/agents/a").await;
    let revived = activate(&app, 2).await.body;
    assert_eq!((&revived["state"], &revived["changed"]), (&json!("live"), &json!(true)));
    app.admin.post("/admin/v1/agents/a/disable", json!({})).await;
    let back = activate(&app, 1).await.body;
    assert_eq!((&back["state"], &back["revision"]), (&json!("disabled"), &json!(1)));
}

#[sqlx::test]
async fn what_is_so_already_is_not_changed(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool).agents(&folder).start().await;
    app.admin.put_agent("a", agent_file("a", "one")).await;
    let before = traces(&app).await;
    let same = activate(&app, 1).await;
    assert_eq!((same.status, &same.body["changed"]), (200, &json!(false)));
    let enabled = app.admin.post("/admin/v1/agents/a/enable", json!({})).await;
    assert_eq!((enabled.status, &enabled.body["changed"]), (200, &json!(false)));
    app.admin.put_agent("a", agent_file("a", "one")).await;
    let request = app.admin.request(Method::PUT, "/admin/v1/agents/a?dry_run=true");
    Answer::read(request.body(agent_file("a", "two"))).await;
    app.admin.post("/admin/v1/sync", json!({})).await;
    assert_eq!(traces(&app).await, before);

    for (path, method) in [("/disable", Method::POST), ("", Method::DELETE)] {
        let path = format!("/admin/v1/agents/a{path}");
        let changed = Answer::read(app.admin.request(method.clone(), &path)).await;
        assert_eq!((changed.status, &changed.body["changed"]), (200, &json!(true)));
        let before = traces(&app).await;
        let again = Answer::read(app.admin.request(method, &path)).await;
        assert_eq!((again.status, &again.body["changed"]), (200, &json!(false)));
        assert_eq!(traces(&app).await, before);
    }
}

#[sqlx::test]
async fn a_disabled_agent_is_not_picked_until_it_is_enabled(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("a", "Waters tomatoes."));
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let ask = async || app.admin.dispatch("who waters the tomatoes?").await.body["agent"].clone();
    let name = async || app.admin.post("/v1/dispatch", json!({"input": "x", "agent": "a"})).await;
    assert_eq!(ask().await["name"], "a");

    // An empty body will do.
    let request = app.admin.request(Method::POST, "/admin/v1/agents/a/disable");
    let disabled = Answer::read(request).await;
    assert_eq!((disabled.status, &disabled.body["state"]), (200, &json!("disabled")));
    assert_eq!((&disabled.body["changed"], disabled.header("etag")), (&json!(true), "\"1\""));
    assert_eq!(ask().await, Value::Null);
    name().await.problem(409, "agent_disabled");
    let run = app.admin.post("/v1/runs", json!({"input": "x", "agent": "a"})).await;
    run.problem(409, "agent_disabled");
    assert_eq!(run.header("x-should-retry"), "false", "only an operator can help");
    let listed = app.admin.get("/v1/agents").await.body;
    assert_eq!(listed["items"], json!([]));

    // Neither a sync nor a new revision switches it on.
    folder.write("a.md", agent_file("a", "Waters tomatoes and peas."));
    app.admin.post("/admin/v1/sync", json!({})).await;
    let put = app.admin.put_agent("a", agent_file("a", "Waters tomatoes and beans.")).await.body;
    assert_eq!((&put["state"], &put["revision"]), (&json!("disabled"), &json!(3)));
    name().await.problem(409, "agent_disabled");

    let enabled = app.admin.post("/admin/v1/agents/a/enable", json!({})).await;
    assert_eq!((&enabled.body["state"], &enabled.body["changed"]), (&json!("live"), &json!(true)));
    assert_eq!(ask().await, json!({"name": "a", "revision": 3}));
    assert_eq!(name().await.status, 200);
}

#[sqlx::test]
async fn what_was_disabled_when_it_was_archived_comes_back_disabled(pool: PgPool) {
    let folder = AgentFolder::new();
    let file = |text: &str| folder.write("a.md", agent_file("a", text));
    file("one");
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let sync = async |prune: bool| {
        app.admin.post("/admin/v1/sync", json!({"prune": prune})).await.body["files"].clone()
    };
    let state = async || app.admin.get("/admin/v1/agents/a").await.body["state"].clone();
    app.admin.post("/admin/v1/agents/a/disable", json!({})).await;

    folder.remove("a.md");
    assert_eq!(
        (&sync(true).await[0]["action"], state().await),
        (&json!("archived"), json!("archived"))
    );
    file("one");
    assert_eq!(
        (&sync(false).await[0]["action"], state().await),
        (&json!("updated"), json!("disabled"))
    );
    app.admin.delete("/admin/v1/agents/a").await;
    file("two");
    assert_eq!(
        (&sync(false).await[0]["action"], state().await),
        (&json!("updated"), json!("disabled"))
    );
    app.admin.delete("/admin/v1/agents/a").await;
    assert_eq!(activate(&app, 1).await.body["state"], "disabled");
    app.admin.delete("/admin/v1/agents/a").await;
    for query in ["?dry_run=true", ""] {
        let path = format!("/admin/v1/agents/a{query}");
        let put = app.admin.request(Method::PUT, &path).body(agent_file("a", "three"));
        assert_eq!(Answer::read(put).await.body["state"], "disabled", "{path}");
    }
    let path = "/admin/v1/agents/a?dry_run=true";
    let put = app.admin.request(Method::PUT, path).body(agent_file("a", "four"));
    assert_eq!(Answer::read(put).await.body["state"], "disabled");

    app.admin.post("/admin/v1/agents/a/enable", json!({})).await;
    app.admin.delete("/admin/v1/agents/a").await;
    assert_eq!(activate(&app, 1).await.body["state"], "live", "it was enabled in between");
}

#[sqlx::test]
async fn an_archived_agent_is_neither_disabled_nor_enabled(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool).agents(&folder).start().await;
    app.admin.put_agent("a", agent_file("a", "one")).await;
    app.admin.delete("/admin/v1/agents/a").await;
    for verb in ["disable", "enable"] {
        let answer = app.admin.post(&format!("/admin/v1/agents/a/{verb}"), json!({})).await;
        let detail = answer.problem(409, "conflict")["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("activate"), "{detail}");
    }
    assert_eq!(app.admin.get("/admin/v1/agents/a").await.body["state"], "archived");
}

#[sqlx::test]
async fn an_old_etag_changes_nothing(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool).agents(&folder).start().await;
    for text in ["one", "two"] {
        app.admin.put_agent("a", agent_file("a", text)).await;
    }
    for (verb, body) in
        [("activate", json!({"revision": 1})), ("disable", json!({})), ("enable", json!({}))]
    {
        let post = async |header: &str, value: &str| {
            let request = app.admin.request(Method::POST, &format!("/admin/v1/agents/a/{verb}"));
            Answer::read(request.header(header, value).json(&body)).await
        };
        let refused = post("if-match", "\"1\"").await;
        assert_eq!(refused.problem(412, "revision_mismatch")["live_revision"], 2);
        post("if-none-match", "*").await.problem(412, "revision_mismatch");
        post("if-match", "nonsense").await.problem(400, "invalid_request");
    }
    let agent = app.admin.get("/admin/v1/agents/a").await.body;
    assert_eq!((&agent["revision"], &agent["state"]), (&json!(2), &json!("live")));
    let request = app.admin.request(Method::POST, "/admin/v1/agents/a/activate");
    let request = request.header("if-match", "\"2\"").json(&json!({"revision": 1}));
    assert_eq!(Answer::read(request).await.status, 200);
}

#[sqlx::test]
async fn what_cannot_be_activated_is_refused(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool).agents(&folder).start().await;
    app.admin.put_agent("a", agent_file("a", "one")).await;
    for unknown in [0, -1, 2, i64::from(i32::MAX) + 1, i64::MAX] {
        activate(&app, unknown).await.problem(404, "revision_not_found");
    }
    for bad in [json!("1"), json!(1.5), json!(null), json!(18_446_744_073_709_551_615_u64)] {
        let problem = activate(&app, bad).await;
        assert_eq!(problem.problem(400, "invalid_request")["errors"][0]["pointer"], "/revision");
    }
    let path = |name: &str, verb: &str| format!("/admin/v1/agents/{name}/{verb}");
    app.admin.post(&path("a", "activate"), json!({})).await.problem(400, "invalid_request");
    for verb in ["disable", "enable"] {
        let answer = app.admin.post(&path("a", verb), json!({"surprise": 1})).await;
        answer.problem(400, "invalid_request");
    }
    let run = app.caller(&["run"]).await;
    for (verb, body) in
        [("activate", json!({"revision": 1})), ("disable", json!({})), ("enable", json!({}))]
    {
        let nobody = app.admin.post(&path("nobody", verb), body.clone()).await;
        nobody.problem(404, "agent_not_found");
        let slash = app.admin.post(&path("a%2Fb", verb), body.clone()).await;
        slash.problem(400, "invalid_request");
        run.post(&path("a", verb), body).await.problem(403, "forbidden");
    }
}
