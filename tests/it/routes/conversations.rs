//! Stored conversations as a resource: made, listed, read, deleted; whose they are.

use rolecall::provider::DialectName;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{AskedTool, Caller, FakeProvider, Reply, TestApp, Wire};

const ANTHROPIC: Wire = Wire(DialectName::Anthropic);

async fn with_provider(pool: PgPool) -> (FakeProvider, TestApp) {
    let provider = FakeProvider::start().await;
    let app = TestApp::builder(pool).provider(&provider, ANTHROPIC.0).start().await;
    (provider, app)
}

async fn create(caller: &Caller, body: Value) -> String {
    let made = caller.post("/v1/conversations", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.body["id"].as_str().expect("an id").to_owned();
    assert_eq!(made.header("location"), format!("/v1/conversations/{id}"));
    id
}

async fn messages(caller: &Caller, id: &str) -> Value {
    let page = caller.get(&format!("/v1/conversations/{id}/messages")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    page.body["items"].clone()
}

fn run_in(id: &str, input: &str) -> Value {
    json!({"agent": "code-reviewer", "input": input, "conversation_id": id})
}

#[sqlx::test]
async fn what_was_said_elsewhere_can_be_brought_along(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let id = create(
        &app.admin,
        json!({
            "agent": "code-reviewer",
            "metadata": {"ticket": "A\u{0}7"},
            "messages": [
                {"role": "user", "content": "Look at this\u{0}"},
                {"role": "assistant", "content": [{"type": "text", "text": "Looked."}]},
            ],
        }),
    )
    .await;
    let found = app.admin.get(&format!("/v1/conversations/{id}")).await.body;
    assert_eq!(found["agent"], "code-reviewer");
    assert_eq!(found["metadata"], json!({"ticket": "A\u{0}7"}), "kept as it was given");
    assert_eq!(found["message_count"], 2);
    let said = messages(&app.admin, &id).await;
    assert_eq!((&said[0]["position"], &said[1]["position"]), (&json!(1), &json!(2)));
    assert_eq!((&said[0]["role"], &said[1]["role"]), (&json!("user"), &json!("assistant")));
    let content = json!([{"type": "text", "text": "Look at this\u{0}"}]);
    assert_eq!((&said[0]["content"], &said[0]["run_id"]), (&content, &json!(null)));

    let empty = create(&app.admin, json!({})).await;
    let found = app.admin.get(&format!("/v1/conversations/{empty}")).await.body;
    assert_eq!((&found["agent"], &found["message_count"]), (&json!(null), &json!(0)));
    assert_eq!(messages(&app.admin, &empty).await, json!([]));
}

#[sqlx::test]
async fn what_cannot_be_is_refused(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let create = |body| app.admin.post("/v1/conversations", body);
    create(json!({"agent": "nobody"})).await.problem(404, "agent_not_found");
    create(json!({"metadata": "text"})).await.problem(400, "invalid_request");
    create(json!({"title": "x"})).await.problem(400, "invalid_request");
    let problem = create(json!({"messages": [{"role": "assistant", "content": "Hello"}]})).await;
    let problem = problem.problem(400, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/messages/0/role");
    let without_call = json!({"messages": [
        {"role": "user", "content": "Look"},
        {"role": "tool", "tool_call_id": "7", "content": "found"},
    ]});
    let problem = create(without_call).await;
    let problem = problem.problem(400, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/messages");

    let nobody = Uuid::nil();
    for path in
        [format!("/v1/conversations/{nobody}"), format!("/v1/conversations/{nobody}/messages")]
    {
        app.admin.get(&path).await.problem(404, "conversation_not_found");
    }
    for path in ["/v1/runs", "/v1/prompts", "/v1/dispatch"] {
        let body = json!({"input": "Look", "conversation_id": nobody});
        app.admin.post(path, body).await.problem(404, "conversation_not_found");
    }
    app.admin.get("/v1/conversations/x").await.problem(400, "invalid_request");
    app.admin.get("/v1/conversations?cursor=x").await.problem(400, "invalid_request");
}

#[sqlx::test]
async fn lists_come_in_pages(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let said = |number: usize| json!({"role": "user", "content": number.to_string()});
    let all: Vec<Value> = (0..5).map(said).collect();
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(create(&app.admin, json!({"messages": all})).await);
    }
    made.reverse();
    let page = app.admin.get("/v1/conversations?limit=2").await.body;
    let cursor = page["next_cursor"].as_str().expect("goes on");
    let rest = app.admin.get(&format!("/v1/conversations?limit=2&cursor={cursor}")).await.body;
    let ids = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().expect("items");
        items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
    };
    assert_eq!([ids(&page), ids(&rest)].concat(), made, "the newest first");
    assert_eq!(rest["next_cursor"], json!(null));

    let path = format!("/v1/conversations/{}/messages", made[0]);
    let (mut positions, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.admin.get(&format!("{path}?limit=2{cursor}")).await.body;
        let items = page["items"].as_array().expect("items").clone();
        positions.extend(items.iter().map(|item| item["position"].as_i64().expect("a number")));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(positions, [1, 2, 3, 4, 5], "the oldest first");
}

#[sqlx::test]
async fn a_conversation_belongs_to_the_key_that_made_it(pool: PgPool) {
    let (provider, app) = with_provider(pool).await;
    let (owner, other) = (app.caller(&["run"]).await, app.caller(&["run"]).await);
    let id = create(&owner, json!({})).await;
    let path = format!("/v1/conversations/{id}");
    other.get(&path).await.problem(404, "conversation_not_found");
    other.get(&format!("{path}/messages")).await.problem(404, "conversation_not_found");
    other.delete(&path).await.problem(404, "conversation_not_found");
    for target in ["/v1/runs", "/v1/prompts", "/v1/dispatch"] {
        let body = json!({"input": "Look", "conversation_id": id});
        other.post(target, body).await.problem(404, "conversation_not_found");
    }
    assert_eq!(other.get("/v1/conversations").await.body["items"], json!([]));
    assert_eq!(owner.get("/v1/conversations").await.body["items"][0]["id"], json!(id));
    assert!(provider.received().is_empty());

    assert_eq!(app.admin.get("/v1/conversations").await.body["items"][0]["id"], json!(id));
    provider.says(ANTHROPIC, "Looked.");
    assert_eq!(app.admin.post("/v1/runs", run_in(&id, "Look")).await.status, 200);
    assert_eq!(messages(&owner, &id).await.as_array().map(Vec::len), Some(2));
    assert_eq!(app.admin.delete(&path).await.status, 204);
    owner.get(&path).await.problem(404, "conversation_not_found");

    let weak = app.caller(&["dispatch"]).await;
    weak.post("/v1/conversations", json!({})).await.problem(403, "forbidden");
}

#[sqlx::test]
async fn a_deleted_conversation_leaves_no_word(pool: PgPool) {
    let (provider, app) = with_provider(pool.clone()).await;
    let id = create(&app.admin, json!({"metadata": {"about": "zebras"}})).await;
    let asked = AskedTool::new("z", "look_up", json!({"q": "zebras"}));
    provider.asks_for_tools(ANTHROPIC, &[asked]);
    let mut body = run_in(&id, "Tell me of zebras");
    body["tools"] = json!([{"name": "look_up", "parameters": {"type": "object"}}]);
    body["metadata"] = json!({"note": "zebras"});
    let first = app.admin.post("/v1/runs", body).await.body;
    assert_eq!(first["finish_reason"], "tool_calls", "{first}");
    provider.says(ANTHROPIC, "Of zebras I know nothing.");
    let results = json!([{"role": "tool", "tool_call_id": "z", "content": "zebras are striped"}]);
    let second =
        app.admin.post("/v1/runs", json!({"messages": results, "conversation_id": id})).await.body;
    assert_eq!(second["status"], "completed", "{second}");
    let pick = json!({"input": "Test zebras in Rust", "conversation_id": id});
    let pick = app.admin.post("/v1/dispatch", pick).await.body;
    assert!(texts_of(&pool).await.contains("zebra"));

    let path = format!("/v1/conversations/{id}");
    assert_eq!(app.admin.delete(&path).await.status, 204);
    let left = texts_of(&pool).await;
    assert!(!left.contains("zebra"), "{left}");
    app.admin.get(&path).await.problem(404, "conversation_not_found");
    app.admin.delete(&path).await.problem(404, "conversation_not_found");
    // What it cost is still known.
    let run_path = format!("/v1/runs/{}", second["id"].as_str().expect("an id"));
    let run = app.admin.get(&run_path).await.body;
    assert_eq!((&run["usage"], &run["output"]), (&second["usage"], &json!(null)));
    let pick_path = format!("/v1/dispatches/{}", pick["id"].as_str().expect("an id"));
    let decision = app.admin.get(&pick_path).await.body;
    assert_eq!((&decision["agent"], &decision["ranked"]), (&pick["agent"], &json!([])));
}

/// Every row of the tables that hold what callers and models say.
async fn texts_of(pool: &PgPool) -> String {
    let mut texts = Vec::new();
    for table in ["conversations", "conversation_messages", "runs", "run_events", "dispatches"] {
        let query = format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} AS t");
        let text: String =
            sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(pool).await.expect("is read");
        texts.push(text);
    }
    texts.join(" ")
}

#[sqlx::test]
async fn a_conversation_with_a_run_under_way_is_not_deleted(pool: PgPool) {
    let (provider, app) = with_provider(pool).await;
    let id = create(&app.admin, json!({})).await;
    let (reply, pace) = Reply::paced();
    provider.replies(reply);
    let mut body = run_in(&id, "Look");
    body["background"] = json!(true);
    let run = app.admin.post("/v1/runs", body).await;
    assert_eq!((run.status, &run.body["conversation_id"]), (202, &json!(id)));
    provider.wait_for_requests(1).await;
    let path = format!("/v1/conversations/{id}");
    app.admin.delete(&path).await.problem(409, "conflict");
    let cancel = format!("/v1/runs/{}/cancel", run.body["id"].as_str().expect("an id"));
    assert_eq!(app.admin.post(&cancel, json!({})).await.body["status"], "cancelled");
    assert_eq!(app.admin.delete(&path).await.status, 204);
    drop(pace);
}

#[sqlx::test]
async fn without_texts_there_are_no_conversations(pool: PgPool) {
    let app = TestApp::start(pool.clone()).await;
    let id = create(&app.admin, json!({})).await;
    let app = TestApp::builder(pool)
        .configure(|config| {
            config.conversation.stores_content = false;
            config.dispatch.stores_content = false;
        })
        .start()
        .await;
    let refused = app.admin.post("/v1/conversations", json!({})).await;
    let problem = refused.problem(409, "content_not_kept");
    assert!(problem["detail"].as_str().is_some_and(|text| text.contains("storage.content")));
    app.admin.post("/v1/runs", run_in(&id, "Look")).await.problem(409, "content_not_kept");
    assert_eq!(app.admin.delete(&format!("/v1/conversations/{id}")).await.status, 204);
}

#[sqlx::test]
async fn without_the_database_only_conversations_wait(pool: PgPool) {
    let (provider, app) = with_provider(pool.clone()).await;
    let id = create(&app.admin, json!({})).await;
    pool.close().await;
    let refused = app.admin.post("/v1/runs", run_in(&id, "Look")).await;
    refused.problem(503, "unavailable");
    assert!(!refused.header("retry-after").is_empty());
    app.admin.get(&format!("/v1/conversations/{id}")).await.problem(503, "unavailable");
    provider.says(ANTHROPIC, "Looked.");
    let stateless = json!({"agent": "code-reviewer", "input": "Look"});
    assert_eq!(app.admin.post("/v1/runs", stateless).await.status, 200);
}
