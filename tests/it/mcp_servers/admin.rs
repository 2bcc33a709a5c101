//! What operators see of tool servers.

use std::time::{Duration, Instant};

use sqlx::PgPool;

use crate::support::{TestApp, fault_server, http_server, tool_settings};

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
    assert_eq!(page["next_cursor"], "gone");
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
