//! A chat request in the words of Chat Completions.

use serde_json::{Value, json};

use crate::chat::{ChatRequest, Message, Role, Tool, ToolCall, ToolChoice};
use crate::provider::Target;

pub(super) fn request(target: &Target, request: &ChatRequest) -> Value {
    let mut messages = Vec::with_capacity(request.messages.len() + 1);
    if !request.system.is_empty() {
        // Compatible servers know `system`; OpenAI reads it as `developer` where it must.
        messages.push(json!({"role": "system", "content": request.system}));
    }
    messages.extend(request.messages.iter().map(message));
    let mut body = json!({"model": target.model, "messages": messages});
    if !request.tools.is_empty() {
        body["tools"] = request.tools.iter().map(tool).collect();
    }
    // OpenAI's reasoning models refuse the older `max_tokens`.
    let is_openai_name =
        ["gpt-5", "o1", "o3", "o4"].iter().any(|prefix| target.model.starts_with(prefix));
    let max_tokens = if is_openai_name { "max_completion_tokens" } else { "max_tokens" };
    let parameters = &request.parameters;
    let optional = [
        (max_tokens, parameters.max_tokens.map(Value::from)),
        ("temperature", parameters.temperature.map(Value::from)),
        ("top_p", parameters.top_p.map(Value::from)),
        ("stop", (!parameters.stop.is_empty()).then(|| json!(parameters.stop))),
        ("tool_choice", parameters.tool_choice.as_ref().map(tool_choice)),
        ("response_format", parameters.answer_schema.as_ref().map(response_format)),
        ("stream", target.stream.then_some(Value::Bool(true))),
        // Without it a stream ends without usage.
        ("stream_options", target.stream.then(|| json!({"include_usage": true}))),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    body
}

/// A strict schema must require every property and allow no others, and must have a name.
/// <https://platform.openai.com/docs/guides/structured-outputs>
fn response_format(schema: &Value) -> Value {
    let format = json!({"name": "answer", "strict": true, "schema": schema});
    json!({"type": "json_schema", "json_schema": format})
}

fn tool(tool: &Tool) -> Value {
    json!({"type": "function", "function": {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }})
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!("required"),
        ToolChoice::Tool(name) => json!({"type": "function", "function": {"name": name}}),
    }
}

/// Content goes out as one text: some compatible servers take no parts.
fn message(message: &Message) -> Value {
    let text = message.text();
    match message.role {
        Role::User => json!({"role": "user", "content": text}),
        Role::Tool => json!({
            "role": "tool",
            "tool_call_id": message.tool_call_id,
            "content": text,
        }),
        Role::Assistant if message.tool_calls.is_empty() => {
            json!({"role": "assistant", "content": text})
        }
        Role::Assistant => json!({
            "role": "assistant",
            "content": (!text.is_empty()).then_some(text),
            "tool_calls": message.tool_calls.iter().map(tool_call).collect::<Vec<_>>(),
        }),
    }
}

fn tool_call(call: &ToolCall) -> Value {
    json!({"id": call.id, "type": "function", "function": {
        "name": call.name,
        "arguments": call.arguments.to_string(),
    }})
}
