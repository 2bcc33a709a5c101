use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{AgentFolder, Answer, TestApp, agent_file};

/// Action, subject and detail of each entry, oldest first.
async fn entries(app: &TestApp, query: &str) -> Vec<(Value, Value, Value)> {
    let answer = app.admin.get(&format!("/admin/v1/audit{query}")).await;
    items(&answer)
        .iter()
        .rev()
        .map(|item| (item["action"].clone(), item["subject"].clone(), item["detail"].clone()))
        .collect()
}

fn items(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body["items"].as_array().expect("a list").clone()
}

fn entry(action: &str, subject: &str, detail: Value) -> (Value, Value, Value) {
    (json!(action), json!(subject), detail)
}

#[sqlx::test]
async fn each_change_of_an_agent_is_on_record(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let first = app.admin.put_agent("a", agent_file("a", "one")).await.body["sha256"].clone();
    let second = app.admin.put_agent("a", agent_file("a", "two")).await.body["sha256"].clone();
    app.admin.post("/admin/v1/agents/a/activate", json!({"revision": 1})).await;
    app.admin.post("/admin/v1/agents/a/disable", json!({})).await;
    app.admin.post("/admin/v1/agents/a/enable", json!({})).await;
    app.admin.delete("/admin/v1/agents/a").await;
    app.admin.post("/admin/v1/agents/a/activate", json!({"revision": 1})).await;
    // What is refused leaves no trace.
    app.admin.post("/admin/v1/agents/a/activate", json!({"revision": 9})).await;
    app.admin.put_agent("a", "no agent file").await;
    assert_eq!(
        entries(&app, "?subject=a").await,
        [
            entry("agent.put", "a", json!({"revision": 1, "sha256": first, "new": true})),
            entry("agent.put", "a", json!({"revision": 2, "sha256": second, "new": false})),
            entry("agent.activate", "a", json!({"from": 2, "to": 1, "revived": false})),
            entry("agent.disable", "a", json!({"revision": 1})),
            entry("agent.enable", "a", json!({"revision": 1})),
            entry("agent.archive", "a", json!({"revision": 1})),
            entry("agent.activate", "a", json!({"from": 1, "to": 1, "revived": true})),
        ]
    );
}

#[sqlx::test]
async fn a_sync_leaves_one_entry_for_each_agent_that_it_changes(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("a", "one")).write("b.md", agent_file("b", "two"));
    folder.write("bad.md", "---\nno end");
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let sync = async |prune: bool| {
        let last = app.admin.get("/admin/v1/audit?limit=1").await.body["items"][0]["id"].clone();
        app.admin.post("/admin/v1/sync", json!({"prune": prune, "dry_run": true})).await;
        app.admin.post("/admin/v1/sync", json!({"prune": prune})).await;
        let all = items(&app.admin.get("/admin/v1/audit").await);
        let new = all.iter().take_while(|item| item["id"] != last);
        let mut new: Vec<_> =
            new.map(|item| (item["subject"].clone(), item["detail"].clone())).collect();
        new.reverse();
        new
    };
    let change = |action: &str, path: &str, revision: i32| {
        let name = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".md");
        (json!(name), json!({"action": action, "path": path, "revision": revision}))
    };
    let start: Vec<_> = entries(&app, "?action=agent.sync").await;
    assert_eq!(start.len(), 2);
    assert_eq!(start[0].2, json!({"action": "created", "path": "a.md", "revision": 1}));
    assert_eq!(sync(false).await, []);

    folder.write("a.md", agent_file("a", "changed")).write("c.md", agent_file("c", "new"));
    assert_eq!(sync(false).await, [change("updated", "a.md", 2), change("created", "c.md", 1)]);
    folder.remove("a.md");
    assert_eq!(sync(true).await, [change("archived", "a.md", 2)]);
    folder.write("a.md", agent_file("a", "changed"));
    assert_eq!(sync(false).await, [change("revived", "a.md", 2)]);
    folder.remove("b.md").write("team/b.md", agent_file("b", "two"));
    assert_eq!(sync(true).await, [change("moved", "team/b.md", 1)]);
    app.admin.put_agent("c", agent_file("c", "by the API")).await;
    folder.write("c.md", agent_file("c", "shadowed"));
    assert_eq!(sync(false).await, []);
}

#[sqlx::test]
async fn an_entry_names_its_author(pool: PgPool) {
    let folder = AgentFolder::new();
    folder.write("a.md", agent_file("a", "one"));
    let app = TestApp::builder(pool).agents(&folder).start().await;
    let key = json!({"name": "gardener", "scopes": ["admin"]});
    let key = app.admin.post("/admin/v1/keys", key).await.body;
    let gardener = app.admin.with_key(key["key"].as_str().expect("is shown"));
    gardener.put_agent("b", agent_file("b", "two")).await;
    let authors: Vec<_> = items(&app.admin.get("/admin/v1/audit").await)
        .into_iter()
        .map(|item| (item["author"].clone(), item["key_id"].clone(), item["action"].clone()))
        .collect();
    assert_eq!(authors.len(), 4, "{authors:?}");
    assert_eq!(authors[0], (json!("gardener"), key["id"].clone(), json!("agent.put")));
    assert_eq!(
        (&authors[1].0, &authors[1].2),
        (&json!("ROLECALL_ADMIN_KEY"), &json!("key.create"))
    );
    assert_eq!(authors[2], (json!("start"), Value::Null, json!("agent.sync")));
    assert_eq!(authors[3], (json!("start"), Value::Null, json!("key.create")));
}

#[sqlx::test]
async fn keys_are_on_record_without_their_secrets(pool: PgPool) {
    let app = TestApp::start(pool.clone()).await;
    let new = json!({"name": "ci", "scopes": ["run", "read"], "agents": ["code-reviewer"]});
    let made = app.admin.post("/admin/v1/keys", new.clone()).await.body;
    let id = made["id"].as_str().expect("has an id");
    let path = format!("/admin/v1/keys/{id}");
    assert_eq!(app.admin.delete(&path).await.status, 204);
    assert_eq!(app.admin.delete(&path).await.status, 404, "and leaves no trace");
    assert_eq!(
        entries(&app, &format!("?subject={id}")).await,
        [entry("key.create", id, new.clone()), entry("key.revoke", id, new)]
    );
    let secret = made["key"].as_str().and_then(|key| key.rsplit('_').next()).expect("is shown");
    let rows: Vec<String> = sqlx::query_scalar("SELECT audit_entries::text FROM audit_entries")
        .fetch_all(&pool)
        .await
        .expect("is read");
    assert!(rows.iter().all(|row| !row.contains(secret) && !row.contains("an admin key for")));
}

#[sqlx::test]
async fn entries_are_found_by_subject_and_action_in_pages(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool).agents(&folder).start().await;
    for text in ["one", "two", "three"] {
        app.admin.put_agent("a", agent_file("a", text)).await;
        app.admin.put_agent("b", agent_file("b", text)).await;
    }
    app.admin.delete("/admin/v1/agents/a").await;
    assert_eq!(entries(&app, "?action=agent.put").await.len(), 6);
    assert_eq!(entries(&app, "?subject=a").await.len(), 4);
    assert_eq!(entries(&app, "?subject=a&action=agent.put").await.len(), 3);
    assert_eq!(entries(&app, "?subject=nobody").await, []);
    assert_eq!(entries(&app, "?action=agent.vanish").await, []);

    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let query = format!("?subject=a&action=agent.put&limit=2{cursor}");
        let page = app.admin.get(&format!("/admin/v1/audit{query}")).await;
        seen.extend(items(&page).iter().map(|item| item["detail"]["revision"].clone()));
        let Some(next) = page.body["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, [json!(3), json!(2), json!(1)]);

    for query in ["?cursor=x", "?limit=0", "?limit=1001", "?limit=x", "?surprise=1", "?subject=%00"]
    {
        app.admin.get(&format!("/admin/v1/audit{query}")).await.problem(400, "invalid_request");
    }
    app.caller(&["run"]).await.get("/admin/v1/audit").await.problem(403, "forbidden");
}

#[sqlx::test]
async fn a_change_that_fails_is_not_on_record(pool: PgPool) {
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool.clone()).agents(&folder).start().await;
    // Entry and change stand or fall together.
    for statement in [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$",
        "CREATE TRIGGER refusal BEFORE INSERT ON audit_entries FOR EACH ROW EXECUTE FUNCTION refuse()",
    ] {
        sqlx::query(statement).execute(&pool).await.expect("is made");
    }
    app.admin.put_agent("a", agent_file("a", "one")).await.problem(500, "internal");
    app.admin.get("/admin/v1/agents/a").await.problem(404, "agent_not_found");
    let key = json!({"name": "ci", "scopes": ["run"]});
    app.admin.post("/admin/v1/keys", key).await.problem(500, "internal");
    assert_eq!(items(&app.admin.get("/admin/v1/keys").await).len(), 1);
    sqlx::query("DROP TRIGGER refusal ON audit_entries").execute(&pool).await.expect("is dropped");
    assert_eq!(app.admin.put_agent("a", agent_file("a", "one")).await.status, 201);
}
