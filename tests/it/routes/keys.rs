use serde_json::json;
use sqlx::{ConnectOptions, PgPool};

use crate::support::{TestApp, rolecall};

#[sqlx::test]
async fn a_key_is_shown_once_and_stored_as_a_hash(pool: PgPool) {
    let app = TestApp::start(pool.clone()).await;
    let created = app.admin.post("/admin/v1/keys", json!({"name": "ci", "scopes": ["run"]})).await;
    assert_eq!(created.status, 201);
    let key = created.body["key"].as_str().expect("is shown");
    assert!(key.starts_with("rc_"));
    let list = app.admin.get("/admin/v1/keys").await;
    assert!(list.text.contains("\"ci\"") && !list.text.contains(key));
    let secret = key.rsplit('_').next().expect("has a secret");
    let rows: Vec<String> = sqlx::query_scalar("SELECT api_keys::text FROM api_keys")
        .fetch_all(&pool)
        .await
        .expect("is read");
    assert!(!rows.is_empty() && rows.iter().all(|row| !row.contains(secret)));
}

#[sqlx::test]
async fn scopes_contain_each_other_and_nothing_more(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let paths = [
        ("read", "/v1/agents"),
        ("dispatch", "/v1/dispatches/00000000-0000-7000-8000-000000000000"),
        ("run", "/v1/runs/00000000-0000-7000-8000-000000000000"),
        ("admin", "/admin/v1/agents"),
    ];
    for (rank, (scope, _)) in paths.iter().enumerate() {
        let caller = app.caller(&[scope]).await;
        for (needed, (_, path)) in paths.iter().enumerate() {
            let status = caller.get(path).await.status;
            assert_eq!(status == 403, needed > rank, "{scope} at {path}: {status}");
        }
    }
}

#[sqlx::test]
async fn bad_keys_are_401_and_say_nothing_more(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let created =
        app.admin.post("/admin/v1/keys", json!({"name": "a", "scopes": ["run"]})).await.body;
    let key = created["key"].as_str().expect("is shown").to_owned();
    let mut wrong = key.clone();
    wrong.pop();
    for bad in ["", "nonsense", "rc_", "rc_x_y", wrong.as_str(), key[..12].as_ref()] {
        let answer = app.admin.with_key(bad).get("/v1/agents").await;
        answer.problem(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let good = app.admin.with_key(&key);
    assert_eq!(good.get("/v1/agents").await.status, 200);
    let header = app.admin.with_key("").request(reqwest::Method::GET, "/v1/agents");
    let answer = header.header("x-api-key", &key).send().await.expect("answers");
    assert_eq!(answer.status(), 200);

    let path = format!("/admin/v1/keys/{}", created["id"].as_str().expect("has an id"));
    assert_eq!(app.admin.delete(&path).await.status, 204);
    good.get("/v1/agents").await.problem(401, "unauthenticated");
    app.admin.delete(&path).await.problem(404, "key_not_found");
}

#[sqlx::test]
async fn a_stored_admin_key_that_is_restricted_to_agents_administers_nothing(pool: PgPool) {
    let app = TestApp::start(pool.clone()).await;
    let restricted =
        app.caller_for(json!({"name": "a", "scopes": ["run"], "agents": ["code-reviewer"]})).await;
    sqlx::raw_sql(
        "UPDATE api_keys SET scopes = '{admin}' WHERE name = 'a';
         UPDATE change_counters SET keys_revision = keys_revision + 1",
    )
    .execute(&pool)
    .await
    .expect("is written");
    // Whatever key is made next, the keys are read anew.
    let other = app.caller(&["run"]).await;
    let run = other.post("/v1/runs", json!({"agent": "code-reviewer", "input": "x"})).await;
    for path in ["/admin/v1/agents", "/admin/v1/keys", "/admin/v1/audit"] {
        restricted.get(path).await.problem(403, "forbidden");
    }
    let key = json!({"name": "b", "scopes": ["admin"]});
    restricted.post("/admin/v1/keys", key).await.problem(403, "forbidden");
    let path = format!("/v1/runs/{}", run.body["id"].as_str().expect("has an id"));
    restricted.get(&path).await.problem(404, "run_not_found");
    assert_eq!(restricted.get("/v1/agents/code-reviewer").await.status, 200);
}

#[sqlx::test]
async fn an_admin_key_of_any_text_can_be_used(pool: PgPool) {
    let key = "schlüssel für alle 鍵";
    let given = format!("{key}\n").into();
    let app = TestApp::builder(pool).configure(|config| config.admin_key = Some(given)).start();
    let admin = app.await.admin.with_key(key);
    assert_eq!(admin.get("/admin/v1/agents").await.status, 200);
    let request = admin.with_key("").request(reqwest::Method::GET, "/admin/v1/agents");
    let answer = request.header("x-api-key", key).send().await.expect("answers");
    assert_eq!(answer.status(), 200);
}

#[sqlx::test]
async fn an_expired_key_is_good_for_nothing(pool: PgPool) {
    let app = TestApp::start(pool).await;
    let soon = chrono::Utc::now() + chrono::TimeDelta::milliseconds(700);
    let caller = app.caller_for(json!({"name": "a", "scopes": ["run"], "expires_at": soon})).await;
    assert_eq!(caller.get("/v1/agents").await.status, 200);
    tokio::time::sleep(std::time::Duration::from_millis(900)).await;
    caller.get("/v1/agents").await.problem(401, "unauthenticated");
    let past = json!({"name": "a", "scopes": ["run"], "expires_at": "2020-01-01T00:00:00Z"});
    let problem = app.admin.post("/admin/v1/keys", past).await;
    assert_eq!(problem.problem(400, "invalid_request")["errors"][0]["pointer"], "/expires_at");
}

#[sqlx::test]
async fn the_command_line_refuses_what_the_api_refuses(pool: PgPool) {
    let url = pool.connect_options().to_url_lossy().to_string();
    let create = |arguments: &[&str]| {
        let mut command = rolecall();
        command.args(["key", "create", "--json"]).args(arguments).env("DATABASE_URL", &url);
        command.output().expect("the program runs")
    };
    let run = ["--name", "a", "--scope", "run"];
    for (arguments, named) in [
        (vec!["--name", " ", "--scope", "run"], "`name`"),
        (vec!["--name", "a\nb", "--scope", "run"], "`name`"),
        ([&run[..], &["--agent", "b", "--agent", "No Slug"]].concat(), "`agents/1`"),
        ([&run[..], &["--scope", "admin", "--agent", "b"]].concat(), "`agents`"),
        ([&run[..], &["--expires-at", "2020-01-01T00:00:00Z"]].concat(), "`expires_at`"),
    ] {
        let output = create(&arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && error.contains(named), "{arguments:?}: {error}");
    }
    let output = create(&[&run[..], &["--scope", "run", "--scope", "read"]].concat());
    let key: serde_json::Value = serde_json::from_slice(&output.stdout).expect("prints JSON");
    assert_eq!(key["scopes"], json!(["run", "read"]), "each is stored once");
}

#[sqlx::test]
async fn keys_outlive_the_database(pool: PgPool) {
    let app = TestApp::start(pool.clone()).await;
    let caller = app.caller(&["run"]).await;
    pool.close().await;
    assert_eq!(caller.get("/v1/agents").await.status, 200);
    let picked = caller.dispatch("an API route for login with JWT").await;
    assert_eq!((picked.status, &picked.body["outcome"]), (200, &json!("picked")));
    let run = caller.post("/v1/runs", json!({"agent": "code-reviewer", "input": "x"})).await;
    assert_eq!(run.status, 200, "{}", run.text);
    // It is looked for the database twice a second.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let ready = app.admin.get("/readyz").await;
    assert_eq!((ready.status, &ready.body["status"]), (200, &json!("degraded")));
    assert_eq!(ready.body["dependencies"]["database"]["status"], "down");
    app.admin.put_agent("a", "---\nname: a\n---\n").await.problem(503, "unavailable");
}
