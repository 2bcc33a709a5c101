//! A tool server on a socket: MCP over streamable HTTP, each answer one JSON. Its tools do what a test tells them to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

#[derive(Clone)]
pub struct FakeToolServer {
    pub url: String,
    state: Arc<Shared>,
}

struct Shared {
    tools: Mutex<BTreeMap<String, FakeTool>>,
    /// The names of the tools that were called, in the order in which the calls came.
    calls: Mutex<Vec<String>>,
    /// The traces that calls named, if they did.
    traces: Mutex<Vec<Option<String>>>,
    begun: watch::Sender<usize>,
    /// How many calls are over: answered, or left by the service.
    over: watch::Sender<usize>,
}

/// What a tool does.
#[derive(Clone)]
pub struct FakeTool {
    /// The result of the call, as MCP has it.
    result: Value,
    delay: Duration,
}

impl FakeTool {
    pub fn says(text: &str) -> Self {
        let content = json!([{"type": "text", "text": text}]);
        Self { result: json!({"content": content, "isError": false}), delay: Duration::ZERO }
    }

    pub fn fails(text: &str) -> Self {
        let mut tool = Self::says(text);
        tool.result["isError"] = json!(true);
        tool
    }

    pub fn shows(media_type: &str, data: &str) -> Self {
        let content = json!([{"type": "image", "mimeType": media_type, "data": data}]);
        Self { result: json!({"content": content}), delay: Duration::ZERO }
    }

    /// Later.
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

impl FakeToolServer {
    pub async fn start(tools: &[(&str, FakeTool)]) -> Self {
        let tools = tools.iter().map(|(name, tool)| ((*name).to_owned(), tool.clone())).collect();
        let state = Arc::new(Shared {
            tools: Mutex::new(tools),
            calls: Mutex::default(),
            traces: Mutex::default(),
            begun: watch::Sender::new(0),
            over: watch::Sender::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/mcp", listener.local_addr().expect("has an address"));
        let router = Router::new().route("/mcp", post(answer)).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    /// The tools that were called so far, in the order in which the calls came.
    pub fn calls(&self) -> Vec<String> {
        self.state.calls.lock().expect("not poisoned").clone()
    }

    /// The trace that each call named, if it did.
    pub fn traces(&self) -> Vec<Option<String>> {
        self.state.traces.lock().expect("not poisoned").clone()
    }

    pub async fn wait_for_calls(&self, count: usize) {
        wait_for(&self.state.begun, count, "calls arrive").await;
    }

    /// Waits until that many calls are over, answered or left.
    pub async fn wait_until_over(&self, count: usize) {
        wait_for(&self.state.over, count, "calls end").await;
    }
}

async fn wait_for(counter: &watch::Sender<usize>, count: usize, what: &str) {
    let mut changes = counter.subscribe();
    let reached = changes.wait_for(|now| *now >= count);
    let reached = tokio::time::timeout(Duration::from_secs(10), reached).await;
    reached.unwrap_or_else(|_| panic!("{what}: {count} within 10 s")).expect("the counter lives");
}

async fn answer(State(state): State<Arc<Shared>>, Json(request): Json<Value>) -> Response {
    let Some(id) = request.get("id") else { return StatusCode::ACCEPTED.into_response() };
    let params = &request["params"];
    let result = match request["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "fake", "version": "1"},
        }),
        "ping" => json!({}),
        "tools/list" => state.list_tools(),
        "tools/call" => state.call(params).await,
        _ => {
            let error = json!({"code": -32601, "message": "method not found"});
            return Json(json!({"jsonrpc": "2.0", "id": id, "error": error})).into_response();
        }
    };
    Json(json!({"jsonrpc": "2.0", "id": id, "result": result})).into_response()
}

/// Counts a call as over when it is dropped, whoever drops it.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.over.send_modify(|count| *count += 1);
    }
}

impl Shared {
    fn list_tools(&self) -> Value {
        let tools = self.tools.lock().expect("not poisoned");
        let tool = |name: &String| {
            json!({
                "name": name, "description": format!("Does {name}."),
                "inputSchema": {"type": "object", "properties": {"q": {"type": "string"}}},
            })
        };
        json!({"tools": tools.keys().map(tool).collect::<Vec<_>>()})
    }

    async fn call(self: &Arc<Self>, params: &Value) -> Value {
        let _guard = Guard(Arc::clone(self));
        let name = params["name"].as_str().expect("a name").to_owned();
        let tool = self.tools.lock().expect("not poisoned").get(&name).cloned();
        self.calls.lock().expect("not poisoned").push(name);
        let trace = params["_meta"]["traceparent"].as_str().map(str::to_owned);
        self.traces.lock().expect("not poisoned").push(trace);
        self.begun.send_modify(|count| *count += 1);
        let FakeTool { result, delay } = tool.expect("a tool that is listed");
        tokio::time::sleep(delay).await;
        result
    }
}
