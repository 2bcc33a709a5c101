//! A client for the protocol's conformance suite, which starts it as a command: `scripts/mcp-conformance`.

use std::time::Duration;

use rolecall::tools::Condition;
use serde_json::{Map, Value, json};

use crate::support::{TestServers, http_server, tool_settings};

/// Connects to the suite's server, lists its tools, and calls those that the suite names, or each of them.
#[tokio::test]
#[ignore = "the conformance suite starts it"]
#[expect(clippy::disallowed_methods, reason = "the suite speaks through the environment")]
async fn client() {
    let variable = |name: &str| std::env::var(name).ok();
    let url = variable("MCP_CONFORMANCE_URL").expect("the suite's server");
    let context = variable("MCP_CONFORMANCE_CONTEXT").unwrap_or_default();
    let context: Value = serde_json::from_str(&context).unwrap_or_default();
    let servers = TestServers::start(tool_settings([http_server("suite", &url)]));
    // Some of the suite's servers answer a question that they do not understand with an empty result, and are reached by
    // the second attempt, which is made in the older way.
    let up = servers.wait_for("suite", |server| server.state == Condition::Up);
    let _ = tokio::time::timeout(Duration::from_secs(10), up).await;
    let tools = servers.offer().tools;
    let named: Vec<(String, Value)> = context["toolCalls"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|call| {
            (call["name"].as_str().unwrap_or_default().to_owned(), call["arguments"].clone())
        })
        .collect();
    let calls = if named.is_empty() {
        tools.iter().map(|tool| (tool.tool.clone(), arguments_for(&tool.parameters))).collect()
    } else {
        named
    };
    for (name, arguments) in calls {
        let Some(tool) = tools.iter().find(|tool| tool.tool == name) else { continue };
        let mut arguments = arguments;
        if name == "json_schema_echo" {
            // It asks for the schema of the other tool, as it has arrived.
            let other = tools.iter().find(|tool| tool.tool == "json_schema_2020_12_tool");
            arguments["schema"] = other.map(|tool| tool.parameters.clone()).unwrap_or_default();
        }
        let outcome = servers.servers.call(tool, &arguments).await;
        println!("{name} {arguments} -> {outcome:?}");
    }
    // What the server tells unasked may still be on its way.
    tokio::time::sleep(Duration::from_millis(200)).await;
    servers.servers.stop().await;
}

/// Something that suits a schema.
fn arguments_for(schema: &Value) -> Value {
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    let value = |property: &Value| match property["type"].as_str() {
        Some("number" | "integer") => json!(5),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ => property["enum"].get(0).cloned().unwrap_or_else(|| json!("text")),
    };
    let pairs = properties.iter().map(|(name, property)| (name.clone(), value(property)));
    Value::Object(pairs.collect::<Map<_, _>>())
}
