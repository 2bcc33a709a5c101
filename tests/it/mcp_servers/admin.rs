//! What operators see of tool servers.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgPool};

use crate::support::{
    Answer, Caller, HttpToolServer, Service, TestApp, fault_server, http_server, shipped_agents,
    tool_settings,
};

#[sqlx::test]
async fn servers_are_listed_with_their_condition_and_tools(pool: PgPool) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let servers =
        [fault_server("near", &[]), http_server("gone", "http://127.0.0.1:9/secret-path")];
    let app = TestApp::builder(pool)
        .configure(|config| config.tools = tool_settings(servers))
        .start()
        .await;
    let deadline = Instant::now() + Duration::from_mins(1);
    let list = loop {
        let list = app.admin.get("/admin/v1/mcp-servers").await.body;
        if list["items"][0]["state"] == "down" && list["items"][1]["state"] == "up" {
            break list;
        }
        assert!(Instant::now() < deadline, "{list}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let (gone, near) = (&list["items"][0], &list["items"][1]);
    assert_eq!((&gone["name"], &gone["transport"]), (&"gone".into(), &"http".into()));
    assert!(gone["error"].as_str().is_some_and(|error| error.contains("cannot be reached")));
    assert!(!list.to_string().contains("secret-path"));
    assert_eq!((&near["source"], &near["server"]), (&"config".into(), &"fault-server 1".into()));
    let tool = &near["tools"][0];
    assert_eq!((&tool["name"], &tool["offered_as"]), (&"die".into(), &"mcp__near__die".into()));
    assert_eq!(list["next_cursor"], serde_json::Value::Null);

    let page = app.admin.get("/admin/v1/mcp-servers?limit=1").await.body;
    assert_eq!(page["items"][0]["name"], "gone");
    let cursor = page["next_cursor"].as_str().expect("goes on");
    let page = app.admin.get(&format!("/admin/v1/mcp-servers?limit=1&cursor={cursor}")).await.body;
    assert_eq!(page["items"][0]["name"], "near");
    let one = app.admin.get("/admin/v1/mcp-servers/near").await;
    assert_eq!(one.body["state"], "up");
    app.admin.get("/admin/v1/mcp-servers/none").await.problem(404, "mcp_server_not_found");
    let reader = app.caller(&["run"]).await;
    reader.get("/admin/v1/mcp-servers").await.problem(403, "forbidden");

    let ready = app.admin.with_key("").get("/readyz").await;
    assert_eq!((ready.status, &ready.body["status"]), (200, &"ready".into()));
    let told = &ready.body["dependencies"]["tool_servers"];
    assert_eq!(told["gone"]["status"], "down");
    assert_eq!(told["near"]["status"], "up");
    assert!(told["gone"].get("error").is_none(), "why is for admins");
    app.stop().await;
}

async fn put(caller: &Caller, name: &str, body: Value) -> Answer {
    let path = format!("/admin/v1/mcp-servers/{name}");
    Answer::read(caller.request(Method::PUT, &path).json(&body)).await
}

async fn wait_for(caller: &Caller, name: &str, is_so: impl Fn(&Answer) -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let answer = caller.get(&format!("/admin/v1/mcp-servers/{name}")).await;
        if is_so(&answer) {
            return;
        }
        assert!(Instant::now() < deadline, "{}", answer.text);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[sqlx::test]
async fn a_server_is_stored_by_url_and_reaches_every_instance(pool: PgPool) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let far = HttpToolServer::faulty();
    let url = pool.connect_options().to_url_lossy().to_string();
    let data = tempfile::tempdir().expect("a temporary folder");
    let environment = [("DATABASE_URL", url.as_str())];
    let other = Service::start(data.path(), &shipped_agents(), &environment).await;
    let app = TestApp::builder(pool)
        .configure(|config| config.tools = tool_settings([fault_server("near", &[])]))
        .start()
        .await;
    let body = json!({"url": format!("{}/mcp", far.url), "default": true});
    let made = put(&app.admin, "far", body.clone()).await;
    assert_eq!((made.status, &made.body["source"]), (201, &"api".into()), "{}", made.text);
    for caller in [&app.admin, &other.caller] {
        wait_for(caller, "far", |answer| answer.body["state"] == "up").await;
    }
    assert_eq!(put(&app.admin, "far", body).await.status, 200);
    let audit = app.admin.get("/admin/v1/audit?subject=far").await.body;
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(1), "{audit}");
    assert_eq!(audit["items"][0]["action"], "tool_server.put");
    assert!(!audit.to_string().contains("/mcp"), "a path may be a secret");

    let removed = other.caller.delete("/admin/v1/mcp-servers/far").await;
    assert_eq!(removed.status, 204);
    wait_for(&app.admin, "far", |answer| answer.status == 404).await;
    app.admin.delete("/admin/v1/mcp-servers/far").await.problem(404, "mcp_server_not_found");
    app.stop().await;
}

#[sqlx::test]
async fn no_command_header_or_password_is_taken_over_the_api(pool: PgPool) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let app = TestApp::builder(pool)
        .configure(|config| config.tools = tool_settings([fault_server("near", &[])]))
        .start()
        .await;
    for body in [
        json!({"command": "sh", "args": ["-c", "id"]}),
        json!({"url": "http://127.0.0.1:9", "command": "sh"}),
        json!({"url": "http://127.0.0.1:9", "headers": {"authorization": "${OPENAI_API_KEY}"}}),
        json!({"url": "http://127.0.0.1:9", "env": {}}),
        json!({"url": "file:///etc/passwd"}),
        json!({"url": "https://user:password@x.example/mcp"}),
        json!({}),
    ] {
        put(&app.admin, "far", body).await.problem(400, "invalid_request");
    }
    let good = json!({"url": "http://127.0.0.1:9/mcp"});
    put(&app.admin, "a__b", good.clone()).await.problem(400, "invalid_request");
    put(&app.admin, "Near", good.clone()).await.problem(409, "conflict");
    app.admin.delete("/admin/v1/mcp-servers/near").await.problem(409, "conflict");
    let runner = app.caller(&["run"]).await;
    put(&runner, "far", good).await.problem(403, "forbidden");
    app.stop().await;
}
