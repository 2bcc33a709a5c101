//! A chat request in the words of the Responses API.

use serde_json::{Value, json};

use crate::chat::{ChatRequest, Message, Role, Tool, ToolCall, ToolChoice};
use crate::provider::Target;

/// The API refuses a lower limit, with the code `integer_below_min_value`.
const FEWEST_OUTPUT_TOKENS: u32 = 16;

/// What all requests to one revision share comes first, what differs from one to the next behind it.
pub(super) fn request(target: &Target, request: &ChatRequest) -> Value {
    let mut body = json!({"model": target.model, "store": false});
    if !request.system.is_empty() {
        body["instructions"] = json!(request.system);
    }
    if !request.tools.is_empty() {
        body["tools"] = request.tools.iter().map(tool).collect();
    }
    body["input"] = request.messages.iter().flat_map(items).collect();
    let parameters = &request.parameters;
    let max_tokens = parameters.max_tokens.map(|most| most.max(FEWEST_OUTPUT_TOKENS));
    let optional = [
        ("max_output_tokens", max_tokens.map(Value::from)),
        ("temperature", parameters.temperature.map(Value::from)),
        ("top_p", parameters.top_p.map(Value::from)),
        ("tool_choice", parameters.tool_choice.as_ref().map(tool_choice)),
        ("text", parameters.answer_schema.as_ref().map(text_format)),
        ("stream", target.stream.then_some(Value::Bool(true))),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    body
}

/// What Chat Completions has as `response_format`, one level flatter.
/// <https://platform.openai.com/docs/guides/structured-outputs>
fn text_format(schema: &Value) -> Value {
    json!({"format": {"type": "json_schema", "name": "answer", "strict": true, "schema": schema}})
}

/// Without `strict: false` the API demands schemas that few tools have.
/// <https://platform.openai.com/docs/guides/function-calling#strict-mode>
fn tool(tool: &Tool) -> Value {
    json!({
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": false,
    })
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!("required"),
        ToolChoice::Tool(name) => json!({"type": "function", "name": name}),
    }
}

/// A call is an item beside the message that it came with. Content goes out as one text: as parts, what an
/// assistant said would need an id.
fn items(message: &Message) -> Vec<Value> {
    let text = message.text();
    match message.role {
        Role::User => vec![json!({"role": "user", "content": text})],
        Role::Tool => vec![json!({
            "type": "function_call_output",
            "call_id": message.tool_call_id,
            "output": text,
        })],
        Role::Assistant => {
            let said = (!text.is_empty()).then(|| json!({"role": "assistant", "content": text}));
            said.into_iter().chain(message.tool_calls.iter().map(function_call)).collect()
        }
    }
}

fn function_call(call: &ToolCall) -> Value {
    json!({
        "type": "function_call",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments.to_string(),
    })
}
