//! What the service was made for: the founding agent, picked by its own example, looks its documentation up through the
//! real context7 server and streams its answer; the record shows every step. The model is a fake, and so is the library
//! behind the server.

use rolecall::provider::DialectName;
use rolecall::tools::{ServerSettings, Settings};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::mcp_servers::context7::{self, CONTEXT7};
use crate::support::{
    AgentFolder, AskedTool, FakeProvider, HttpToolServer, INPUT_TOKENS, OUTPUT_TOKENS, TestApp,
    Wire, http_server, shipped_agents, tool_settings,
};

const ANTHROPIC: Wire = Wire(DialectName::Anthropic);
const AGENT: &str = "nextjs-backend-engineer";

/// The request of the first example in the agent's own description.
async fn example_request(app: &TestApp) -> String {
    let agent = app.admin.get(&format!("/v1/agents/{AGENT}")).await.body;
    agent["examples"][0]["user"].as_str().expect("an example").to_owned()
}

fn script(provider: &FakeProvider) {
    let resolve = json!({"query": "route handlers", "libraryName": "Next.js"});
    let query = json!({"query": "route handlers", "libraryId": "/vercel/next.js"});
    let ask = |id: &str, tool: &str, arguments| {
        AskedTool::new(id, &format!("mcp__context7__{tool}"), arguments)
    };
    provider.asks_for_tools(ANTHROPIC, &[ask("toolu_1", "resolve-library-id", resolve)]);
    provider.asks_for_tools(ANTHROPIC, &[ask("toolu_2", "query-docs", query)]);
    provider.says(ANTHROPIC, "Here is app/api/session/route.ts.");
}

fn names(events: &[(u64, String, Value)]) -> Vec<&str> {
    events.iter().map(|(_, name, _)| name.as_str()).collect()
}

/// Sends the example and checks the stream, what the model was shown, and the record.
async fn answers_its_example(app: &TestApp, provider: &FakeProvider) {
    app.wait_for_tools(AGENT).await;
    script(provider);
    let body = json!({"input": example_request(app).await, "stream": true});
    let stream = app.admin.stream_run(body).await;
    assert_eq!(stream.headers["x-rolecall-agent"], AGENT);
    let events = stream.collect().await;
    assert_eq!(
        names(&events),
        [
            "run.started", "agent.selected", "tool.call", "tool.result", "tool.call",
            "tool.result", "text.delta", "usage", "run.completed"
        ]
    );
    assert_eq!(events[1].2["outcome"], "picked");
    assert!(
        events[3].2["content"][0]["text"].as_str().expect("a text").contains("/vercel/next.js")
    );
    assert!(events[5].2["content"][0]["text"].as_str().expect("a text").contains("Route handlers"));

    let run = &events[8].2;
    let found = app.admin.get(&format!("/v1/runs/{}", run["id"].as_str().expect("an id"))).await;
    assert_eq!(&found.body, run, "on record as it was told");
    assert_eq!(run["output"], "Here is app/api/session/route.ts.");
    assert_eq!(run["warnings"], json!([]), "its tool was not skipped, and nothing is missing");
    let turns = run["turns"].as_array().expect("turns");
    assert_eq!(turns.len(), 3);
    let calls: Vec<&Value> =
        turns.iter().flat_map(|turn| turn["tool_calls"].as_array().expect("a list")).collect();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0]["name"], "mcp__context7__resolve-library-id");
    assert_eq!(calls[1]["name"], "mcp__context7__query-docs");
    for call in calls {
        assert_eq!((&call["server"], &call["is_error"]), (&json!("context7"), &json!(false)));
        assert!(call["ms"].is_u64() && call["arguments"]["query"] == "route handlers", "{call}");
    }
    assert!(turns.iter().all(|turn| turn["ms"].is_u64()));
    assert_eq!(run["usage"]["input_tokens"], 3 * INPUT_TOKENS);
    assert_eq!(run["usage"]["output_tokens"], 3 * OUTPUT_TOKENS);

    let shown = ANTHROPIC.results(&provider.received()[2].body);
    let ids: Vec<&str> = shown.iter().map(|(id, ..)| id.as_str()).collect();
    assert_eq!(ids, ["toolu_1", "toolu_2"]);
}

#[sqlx::test]
async fn the_shipped_agent_looks_its_documentation_up_through_a_child_process(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let library = context7::library().await;
    let servers = tool_settings([context7::context7(&library)]);
    let app = TestApp::builder(pool).provider(&provider, ANTHROPIC.0);
    let app = app.configure(|config| config.tools = servers).start().await;
    answers_its_example(&app, &provider).await;
    let agent = app.admin.get(&format!("/admin/v1/agents/{AGENT}")).await.body;
    assert_eq!(agent["state"], "live", "its server is up");
    app.stop().await;
}

#[sqlx::test]
async fn the_same_file_put_as_it_is_does_so_over_http(pool: PgPool) {
    let provider = FakeProvider::start().await;
    let library = context7::library().await;
    let arguments = ["--transport", "http", "--port", "PORT"];
    let variables = [("CONTEXT7_API_URL", library.as_str())];
    let server = HttpToolServer::package(CONTEXT7, &arguments, &variables).await;
    let servers: [ServerSettings; 1] = [http_server("context7", &format!("{}/mcp", server.url))];
    let settings: Settings = tool_settings(servers);
    let folder = AgentFolder::new();
    let app = TestApp::builder(pool).provider(&provider, ANTHROPIC.0).agents(&folder);
    let app = app.configure(|config| config.tools = settings).start().await;
    let file = shipped_agents().join(format!("{AGENT}.md"));
    let put = app.admin.put_agent(AGENT, std::fs::read(file).expect("is shipped")).await;
    assert_eq!(put.status, 201, "{}", put.text);
    assert_eq!(put.body["definition"]["required_tools"], json!(["context7"]));
    answers_its_example(&app, &provider).await;
    let agent = app.admin.get(&format!("/admin/v1/agents/{AGENT}")).await.body;
    assert_eq!(agent["state"], "live", "its server is up");
    app.stop().await;
}
