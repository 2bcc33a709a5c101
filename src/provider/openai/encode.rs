//! A chat request in the words of Chat Completions.

use serde_json::{Value, json};

use crate::chat::{ChatRequest, Message, Role, ToolCall};

pub(super) fn request(request: &ChatRequest) -> Value {
    let mut messages = Vec::with_capacity(request.messages.len() + 1);
    if !request.system.is_empty() {
        // Compatible servers know `system`; OpenAI reads it as `developer` where it must.
        messages.push(json!({"role": "system", "content": request.system}));
    }
    messages.extend(request.messages.iter().map(message));
    let mut body = json!({"model": request.model, "messages": messages});
    if let Some(max_tokens) = request.max_tokens {
        // OpenAI's reasoning models refuse the older `max_tokens`.
        let is_openai_name =
            ["gpt-5", "o1", "o3", "o4"].iter().any(|prefix| request.model.starts_with(prefix));
        let key = if is_openai_name { "max_completion_tokens" } else { "max_tokens" };
        body[key] = json!(max_tokens);
    }
    if !request.tools.is_empty() {
        let tool = |tool: &crate::chat::Tool| {
            json!({"type": "function", "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            }})
        };
        body["tools"] = request.tools.iter().map(tool).collect();
    }
    if request.is_streaming {
        body["stream"] = Value::Bool(true);
        // Without it a stream ends without usage.
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}

fn message(message: &Message) -> Value {
    match message.role {
        Role::User => json!({"role": "user", "content": message.text}),
        Role::Tool => json!({
            "role": "tool",
            "tool_call_id": message.tool_call_id,
            "content": message.text,
        }),
        Role::Assistant if message.tool_calls.is_empty() => {
            json!({"role": "assistant", "content": message.text})
        }
        Role::Assistant => json!({
            "role": "assistant",
            "content": (!message.text.is_empty()).then_some(&message.text),
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
