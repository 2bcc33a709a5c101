//! Servers at URLs, and what goes wrong there.

use std::time::Duration;

use rolecall::tools::{Condition, ServerState};
use serde_json::json;

use crate::support::{HttpToolServer, TestServers, http_server, stdio_server, tool_settings};

const EVERYTHING: &str = "node_modules/@modelcontextprotocol/server-everything/dist/index.js";

fn is_down(server: &ServerState) -> bool {
    server.state == Condition::Down
}

#[tokio::test]
async fn the_everything_server_answers_over_http() {
    let server = HttpToolServer::package(EVERYTHING, &["streamableHttp"], &[]).await;
    let url = format!("{}/mcp", server.url);
    let servers = TestServers::up([http_server("everything", &url)]).await;
    let echo = servers.call("mcp__everything__echo", json!({"message": "hello"})).await;
    assert!(!echo.is_error && echo.text().contains("hello"), "{echo:?}");
    let arguments = json!({"duration": 1, "steps": 2});
    let long = servers.call("mcp__everything__trigger-long-running-operation", arguments).await;
    assert!(!long.is_error, "{long:?}");
    servers.servers.stop().await;
}

#[tokio::test]
async fn statuses_of_calls_are_errors_without_their_bodies() {
    let server = HttpToolServer::faulty();
    let servers = TestServers::up([http_server("far", &format!("{}/mcp", server.url))]).await;
    for code in [429, 500, 503, 404, 401] {
        let outcome = servers.call("mcp__far__status", json!({"code": code})).await;
        let text = outcome.text();
        assert!(outcome.is_error && !text.contains("nobody"), "{code}: {text}");
    }
    for tool in ["garbage", "wrong"] {
        let outcome = servers.call(&format!("mcp__far__{tool}"), json!({})).await;
        assert!(outcome.is_error, "{tool}: {outcome:?}");
    }
    servers.wait_for("far", |server| server.state == Condition::Up).await;
    let echo = servers.call("mcp__far__echo", json!({"text": "still"})).await;
    assert_eq!(echo.text(), "still");
    let big = servers.call("mcp__far__big", json!({"bytes": 10_000_000})).await;
    assert!(big.text().contains("was cut"));
    servers.servers.stop().await;
}

#[tokio::test]
async fn a_server_that_cannot_be_used_says_why() {
    let server = HttpToolServer::faulty();
    for (path, said) in [
        ("/auth", "asks for authorization"),
        ("/forbidden", "asks for authorization"),
        ("/redirect", "redirects are not followed"),
        ("/broken", "status 500"),
        ("/html", "not the protocol's"),
    ] {
        let url = format!("{}{path}", server.url);
        let servers = TestServers::start(tool_settings([http_server("far", &url)]));
        let state = servers.wait_for("far", is_down).await;
        let error = state.error.unwrap_or_default();
        assert!(error.contains(said) && !error.contains("nobody"), "{path}: {error}");
        servers.servers.stop().await;
    }
    let seen = reqwest::get(format!("{}/seen", server.url)).await.expect("answers");
    let seen: Vec<String> = seen.json().await.expect("is a list");
    assert!(!seen.iter().any(|path| path == "/mcp"), "a redirect was followed: {seen:?}");
    let servers =
        TestServers::start(tool_settings([http_server("none", "http://127.0.0.1:9/mcp")]));
    let state = servers.wait_for("none", is_down).await;
    assert!(state.error.expect("is told").contains("cannot be reached"));
    servers.servers.stop().await;
}

#[tokio::test]
async fn a_server_that_is_gone_is_noticed_by_a_call_and_by_the_probe() {
    let server = HttpToolServer::faulty();
    let mut settings = tool_settings([
        http_server("far", &format!("{}/mcp", server.url)),
        stdio_server("near", "fault-server.mjs", &[], &[]),
    ]);
    settings.probe_interval = Duration::from_millis(300);
    let servers = TestServers::up_with(settings).await;
    drop(server);
    servers.wait_for("far", is_down).await;
    let echo = servers.call("mcp__near__echo", json!({"text": "x"})).await;
    assert!(!echo.is_error);
    servers.servers.stop().await;
}
