//! The server that the founding agent is told to use, as its package, with a stand-in for the library behind it.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use rolecall::tools::{ServerSettings, Wanted};
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{HttpToolServer, TestServers, http_server, stdio_server, tool_settings};

pub const CONTEXT7: &str = "node_modules/@upstash/context7-mcp/dist/index.js";

/// What the package asks over HTTP.
pub async fn library() -> String {
    let found = json!({"results": [{
        "id": "/vercel/next.js", "title": "Next.js", "description": "The React framework",
        "totalSnippets": 10, "trustScore": 10, "versions": []
    }]});
    let router = Router::new()
        .route("/v2/libs/search", get(move || async move { axum::Json(found) }))
        .route(
            "/v2/context",
            get(|| async { "### Route handlers\nexport async function GET() {}" }),
        );
    serve(router).await
}

/// A library that has a bad day.
async fn broken_library(status: StatusCode) -> String {
    serve(Router::new().fallback(move || async move { status })).await
}

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("http://{}", listener.local_addr().expect("has an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

pub fn context7(library: &str) -> ServerSettings {
    stdio_server("context7", CONTEXT7, &[], &[("CONTEXT7_API_URL", library)])
}

async fn looks_up(servers: &TestServers) {
    let names: Vec<String> = servers.offer().tools.iter().map(|tool| tool.name.clone()).collect();
    assert_eq!(names, ["mcp__context7__resolve-library-id", "mcp__context7__query-docs"]);
    let arguments = json!({"query": "routes", "libraryName": "Next.js"});
    let found = servers.call("mcp__context7__resolve-library-id", arguments).await;
    assert!(!found.is_error && found.text().contains("/vercel/next.js"), "{found:?}");
    let arguments = json!({"query": "routes", "libraryId": "/vercel/next.js"});
    let docs = servers.call("mcp__context7__query-docs", arguments).await;
    assert!(!docs.is_error && docs.text().contains("Route handlers"), "{docs:?}");
}

#[tokio::test]
async fn documentation_is_looked_up_through_a_child_process() {
    let servers = TestServers::up([context7(&library().await)]).await;
    looks_up(&servers).await;
    servers.servers.stop().await;
}

#[tokio::test]
async fn documentation_is_looked_up_over_http() {
    let library = library().await;
    let arguments = ["--transport", "http", "--port", "PORT"];
    let server =
        HttpToolServer::package(CONTEXT7, &arguments, &[("CONTEXT7_API_URL", &library)]).await;
    let url = format!("{}/mcp", server.url);
    let servers = TestServers::up([http_server("context7", &url)]).await;
    looks_up(&servers).await;
    servers.servers.stop().await;
}

#[tokio::test]
async fn a_failure_that_is_told_as_text_is_a_failure() {
    let arguments = json!({"query": "routes", "libraryId": "/vercel/next.js"});
    let nobody = "http://127.0.0.1:9".to_owned();
    for library in [
        nobody,
        broken_library(StatusCode::TOO_MANY_REQUESTS).await,
        broken_library(StatusCode::INTERNAL_SERVER_ERROR).await,
    ] {
        let servers = TestServers::up([context7(&library)]).await;
        let outcome = servers.call("mcp__context7__query-docs", arguments.clone()).await;
        assert!(outcome.is_error, "{library}: {outcome:?}");
        servers.servers.stop().await;
    }
}

#[tokio::test]
async fn the_former_name_of_a_tool_stands_for_it() {
    let mut settings = tool_settings([context7(&library().await)]);
    settings.renamed = rolecall::definition::RENAMED_SERVER_TOOLS;
    let servers = TestServers::up_with(settings).await;
    let tools = ["mcp__context7__get-library-docs".to_owned()];
    let wanted = Wanted { tools: Some(&tools), ..Wanted::default() };
    let offer = servers.servers.offer(&wanted);
    assert_eq!(offer.tools.len(), 1);
    let found = offer.find("mcp__context7__get-library-docs").expect("is found");
    assert_eq!(found.tool, "query-docs");
    servers.servers.stop().await;
}
