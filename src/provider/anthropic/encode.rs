//! A chat request in Anthropic's words.

use serde_json::{Value, json};

use crate::chat::{ChatRequest, Message, Role, ToolCall};

/// The API requires `max_tokens`. This is below the output limit of every current model.
const DEFAULT_MAX_TOKENS: u32 = 16_384;

pub(super) fn request(request: &ChatRequest) -> Value {
    let mut body = json!({
        "model": request.model,
        "max_tokens": request.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS),
    });
    if !request.system.is_empty() {
        // The cache breakpoint ends the part that all requests to one revision share.
        body["system"] = json!([{
            "type": "text",
            "text": request.system,
            "cache_control": {"type": "ephemeral"},
        }]);
    }
    if !request.tools.is_empty() {
        let tool = |tool: &crate::chat::Tool| {
            json!({
                "name": tool.name,
                "description": tool.description,
                "input_schema": tool.parameters,
            })
        };
        body["tools"] = request.tools.iter().map(tool).collect();
    }
    body["messages"] = messages(&request.messages);
    if request.is_streaming {
        body["stream"] = Value::Bool(true);
    }
    body
}

/// Tool results are content of user messages, and those that answer one turn must share one message:
/// <https://docs.claude.com/en/docs/agents-and-tools/tool-use/implement-tool-use>
fn messages(messages: &[Message]) -> Value {
    let mut encoded: Vec<Value> = Vec::new();
    let mut is_last_results = false;
    for message in messages {
        match message.role {
            Role::User => encoded.push(json!({"role": "user", "content": message.text})),
            // An empty message is refused, and says nothing.
            Role::Assistant if message.text.is_empty() && message.tool_calls.is_empty() => {}
            Role::Assistant => encoded.push(assistant(message)),
            Role::Tool => {
                let result = json!({
                    "type": "tool_result",
                    "tool_use_id": message.tool_call_id,
                    "content": message.text,
                });
                let open = encoded
                    .last_mut()
                    .filter(|_| is_last_results)
                    .and_then(|last| last["content"].as_array_mut());
                match open {
                    Some(results) => results.push(result),
                    None => encoded.push(json!({"role": "user", "content": [result]})),
                }
            }
        }
        is_last_results = message.role == Role::Tool;
    }
    Value::Array(encoded)
}

fn assistant(message: &Message) -> Value {
    if message.tool_calls.is_empty() {
        return json!({"role": "assistant", "content": message.text});
    }
    let mut content = Vec::new();
    // An empty text block is refused.
    if !message.text.is_empty() {
        content.push(json!({"type": "text", "text": message.text}));
    }
    content.extend(message.tool_calls.iter().map(tool_use));
    json!({"role": "assistant", "content": content})
}

fn tool_use(call: &ToolCall) -> Value {
    json!({"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments})
}
