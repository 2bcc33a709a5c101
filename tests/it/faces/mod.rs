//! The protocols of other services, as their clients meet them.

mod anthropic;
mod calls;
mod conversions;
mod fuzz;
mod idempotency;
mod kept_items;
mod message_details;
mod openai;
mod refusals;
mod responses;
mod same_protocol;

use std::path::PathBuf;
use std::time::Duration;

use rolecall::provider::DialectName;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{
    AgentFolder, Answer, AskedTool, FakeProvider, FakeToolServer, Reply, TestApp, TestAppBuilder,
    Wire,
};

/// An agent that helps.
fn helper() -> AgentFolder {
    let folder = AgentFolder::new();
    folder
        .write("helper.md", "---\nname: helper\ndescription: Helps with taxes\n---\n\nYou help.\n");
    folder
}

/// The service with that agent, on a model of a provider, which is asked once for each run.
fn app(pool: &PgPool, provider: &FakeProvider, wire: Wire, folder: &AgentFolder) -> TestAppBuilder {
    let model = format!("{}/m", wire.name());
    TestApp::builder(pool.clone())
        .provider(provider, wire.0)
        .default_model(&model)
        .agents(folder)
        .without_retries()
}

/// The answer of a provider that is silent for longer than the status is held.
async fn answered_late(pool: &PgPool, path: &str, body: Value) -> Answer {
    let (provider, folder) = (FakeProvider::start().await, helper());
    let app = app(pool, &provider, OPENAI, &folder).configure(|config| {
        config.http.hold = Duration::from_millis(50);
        config.http.keep_alive_interval = Duration::from_millis(100);
    });
    let app = app.start().await;
    let late = Reply::events(&OPENAI.frames("served", &["Late."]));
    provider.replies(late.after(Duration::from_millis(600)));
    let answer = app.admin.post(path, body).await;
    app.stop().await;
    answer
}

/// The service, and a model that asks for a server's tool `look`, and then for the caller's tool `own`.
async fn app_with_both_tools(
    pool: &PgPool,
    provider: &FakeProvider,
    wire: Wire,
    folder: &AgentFolder,
    tools: &FakeToolServer,
) -> TestApp {
    let app = app(pool, provider, wire, folder).tool_server("docs", tools).start().await;
    app.wait_for_tools("helper").await;
    provider.asks_for_tools(wire, &[AskedTool::new("a", "mcp__docs__look", json!({}))]);
    provider.asks_for_tools(wire, &[AskedTool::new("b", "own", json!({"x": 1}))]);
    app
}

/// A recorded answer of a provider.
fn fixture(wire: Wire, name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/providers");
    let folder = PathBuf::from(folder).join(wire.name());
    std::fs::read_to_string(folder.join(name).with_extension("sse")).expect("the fixture is there")
}

/// The events of a stream: each with its name, if it has one, and its data. Comments are passed over.
fn frames(text: &str) -> Vec<(String, String)> {
    let frames = text.split("\n\n").filter(|frame| !frame.is_empty());
    frames
        .filter_map(|frame| {
            let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
            let data = field("data: ")?;
            Some((field("event: ").unwrap_or_default().to_owned(), data.to_owned()))
        })
        .collect()
}

/// An answer as a snapshot has it: its status, its body or its frames, without what differs each time.
fn told(answer: &Answer) -> String {
    let status = answer.status;
    if !answer.header("content-type").starts_with("text/event-stream") {
        return format!("{status} {}", pretty(&answer.text));
    }
    let frames = frames(&answer.text).into_iter().map(|(name, data)| {
        let data = serde_json::from_str(&data).map_or(data, |mut data: Value| {
            // How far a provider has come by then is chance.
            if name == "message_start" {
                data["message"]["usage"] = json!("[so far]");
            }
            redacted(data).to_string()
        });
        if name.is_empty() { data } else { format!("{name}: {data}") }
    });
    let frames: Vec<String> = frames.collect();
    format!("{status}\n{}", frames.join("\n"))
}

fn pretty(text: &str) -> String {
    let body: Value = serde_json::from_str(text).expect("is JSON");
    serde_json::to_string_pretty(&redacted(body)).expect("is JSON")
}

/// The same without ids and times.
fn redacted(mut value: Value) -> Value {
    match &mut value {
        Value::Array(items) => {
            for item in items {
                *item = redacted(item.take());
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                *member = match name.as_str() {
                    "created" | "created_at" | "ms" => json!(0),
                    "completed_at" | "ended_at" if !member.is_null() => json!(0),
                    "run_id" | "dispatch_id" | "request_id" => json!("[id]"),
                    "id" | "item_id" | "call_id" => redacted_id(member),
                    _ => redacted(member.take()),
                };
            }
        }
        _ => {}
    }
    value
}

/// An id of ours. Those of calls are the provider's, but for Gemini, which has none.
fn redacted_id(id: &Value) -> Value {
    let text = id.as_str().unwrap_or_default();
    if text.len() == 36 && uuid::Uuid::try_parse(text).is_ok() {
        return json!("[id]");
    }
    let is_ours = |prefix: &&&str| {
        let rest = text.strip_prefix(**prefix);
        // Those of items have their place behind.
        let run_id = rest.map(|rest| rest.split_once('_').map_or(rest, |(run_id, _)| run_id));
        run_id.is_some_and(|run_id| {
            run_id.len() == 32 && run_id.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    };
    let ours = ["chatcmpl-", "msg_", "call_", "resp_", "rs_", "fc_"];
    let place = text.rsplit_once('_').filter(|(before, _)| before.contains('_'));
    let place = place.map(|(_, place)| format!("_{place}")).unwrap_or_default();
    match ours.iter().find(is_ours) {
        Some(prefix) => json!(format!("{prefix}[id]{place}")),
        None => id.clone(),
    }
}

const ANTHROPIC: Wire = Wire(DialectName::Anthropic);
const OPENAI: Wire = Wire(DialectName::Openai);
const RESPONSES: Wire = Wire(DialectName::OpenaiResponses);
