//! The reference servers of the protocol.

use rolecall::tools::{ToolContent, Wanted};
use serde_json::json;

use crate::support::{TestServers, stdio_server};

const EVERYTHING: &str = "node_modules/@modelcontextprotocol/server-everything/dist/index.js";
const FILESYSTEM: &str = "node_modules/@modelcontextprotocol/server-filesystem/dist/index.js";
const MEMORY: &str = "node_modules/@modelcontextprotocol/server-memory/dist/index.js";

#[tokio::test]
async fn the_everything_server_gives_images_structure_links_and_long_calls() {
    let everything = stdio_server("everything", EVERYTHING, &["stdio"], &[]);
    let servers = TestServers::up([everything]).await;
    let echo = servers.call("mcp__everything__echo", json!({"message": "hello"})).await;
    assert!(!echo.is_error && echo.text().contains("hello"), "{echo:?}");

    let image = servers.call("mcp__everything__get-tiny-image", json!({})).await;
    let is_image = |piece: &ToolContent| matches!(piece, ToolContent::Image { media_type, data } if media_type == "image/png" && data.len() > 100);
    assert!(image.content.iter().any(is_image), "{:?}", image.text());

    let arguments = json!({"location": "Chicago"});
    let structure = servers.call("mcp__everything__get-structured-content", arguments).await;
    assert!(structure.text().contains("temperature"), "{structure:?}");

    let links = servers.call("mcp__everything__get-resource-links", json!({"count": 2})).await;
    assert!(links.text().contains("[link to "), "{links:?}");

    let arguments = json!({"duration": 2, "steps": 4});
    let long = servers.call("mcp__everything__trigger-long-running-operation", arguments).await;
    assert!(!long.is_error && long.text().contains("completed"), "{long:?}");
    servers.servers.stop().await;
}

#[tokio::test]
async fn the_filesystem_server_reads_what_it_is_allowed_to() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // The server compares real paths.
    let path = folder.path().canonicalize().expect("exists");
    std::fs::write(path.join("note.txt"), "a note").expect("is written");
    let root = path.display().to_string();
    let servers = TestServers::up([stdio_server("files", FILESYSTEM, &[&root], &[])]).await;
    let read = |path: String| servers.call("mcp__files__read_text_file", json!({"path": path}));
    let note = read(format!("{root}/note.txt")).await;
    assert_eq!((note.is_error, note.text().as_str()), (false, "a note"));
    let refused = read("/etc/passwd".to_owned()).await;
    assert!(refused.is_error && refused.text().contains("denied"), "{refused:?}");
    servers.servers.stop().await;
}

#[tokio::test]
async fn the_memory_server_keeps_what_it_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("memory.jsonl").display().to_string();
    let memory = stdio_server("memory", MEMORY, &[], &[("MEMORY_FILE_PATH", &file)]);
    let servers = TestServers::up([memory]).await;
    let entity = json!({"name": "Ada", "entityType": "person", "observations": ["writes"]});
    let made = servers.call("mcp__memory__create_entities", json!({"entities": [entity]})).await;
    assert!(!made.is_error, "{made:?}");
    let graph = servers.call("mcp__memory__read_graph", json!({})).await;
    assert!(graph.text().contains("Ada"), "{graph:?}");
    servers.servers.stop().await;
}

#[tokio::test]
async fn an_offer_is_the_same_each_time() {
    let everything = |name| stdio_server(name, EVERYTHING, &["stdio"], &[]);
    let servers = TestServers::up([everything("b"), everything("a")]).await;
    let names = || {
        let offer = servers.servers.offer(&Wanted::default());
        offer.tools.iter().map(|tool| tool.name.clone()).collect::<Vec<_>>()
    };
    let first = names();
    assert!(first[0].starts_with("mcp__a__") && first.len() > 20, "{first:?}");
    assert_eq!(first, names());
    servers.servers.stop().await;
}
