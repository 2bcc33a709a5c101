//! A chat request in Anthropic's words.

use serde_json::{Value, json};

use crate::chat::{ChatRequest, Message, Part, Role, Tool, ToolCall, ToolChoice};
use crate::provider::Target;

/// The API requires `max_tokens`, and a model's thinking counts.
const DEFAULT_MAX_TOKENS: u32 = 32_768;

/// For a model whose limit is not known, it must be below that of most.
const CAUTIOUS_MAX_TOKENS: u32 = 16_384;

/// The API refuses more: <https://docs.claude.com/en/docs/build-with-claude/prompt-caching>
const MAX_CACHE_BREAKPOINTS: usize = 4;

/// What all requests to one revision share comes first, what differs from one to the next behind it.
pub(super) fn request(target: &Target, request: &ChatRequest) -> Value {
    let mut body = json!({"model": target.model});
    if !request.system.is_empty() {
        let mut system = json!({"type": "text", "text": request.system});
        // Our breakpoint ends the part that all requests to one revision share. The caller's own come before it.
        if count_breakpoints(request) < MAX_CACHE_BREAKPOINTS {
            system["cache_control"] = json!({"type": "ephemeral"});
        }
        body["system"] = json!([system]);
    }
    if !request.tools.is_empty() {
        body["tools"] = request.tools.iter().map(tool).collect();
    }
    body["messages"] = messages(&request.messages);
    let parameters = &request.parameters;
    let default =
        target.output_tokens.map_or(CAUTIOUS_MAX_TOKENS, |most| DEFAULT_MAX_TOKENS.min(most));
    body["max_tokens"] = json!(parameters.max_tokens.unwrap_or(default));
    let optional = [
        ("temperature", parameters.temperature.map(Value::from)),
        ("top_p", parameters.top_p.map(Value::from)),
        ("top_k", parameters.top_k.map(Value::from)),
        ("stop_sequences", (!parameters.stop.is_empty()).then(|| json!(parameters.stop))),
        ("tool_choice", parameters.tool_choice.as_ref().map(tool_choice)),
        ("output_config", parameters.answer_schema.as_ref().map(output_config)),
        ("stream", target.stream.then_some(Value::Bool(true))),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    body
}

/// <https://platform.claude.com/docs/en/build-with-claude/structured-outputs>
fn output_config(schema: &Value) -> Value {
    json!({"format": {"type": "json_schema", "schema": schema}})
}

fn count_breakpoints(request: &ChatRequest) -> usize {
    let parts = request.messages.iter().flat_map(|message| &message.content);
    parts.filter(|Part::Text { cache_control, .. }| cache_control.is_some()).count()
        + request.tools.iter().filter(|tool| tool.cache_control.is_some()).count()
}

fn tool(tool: &Tool) -> Value {
    let encoded = json!({
        "name": tool.name,
        "description": tool.description,
        "input_schema": tool.parameters,
    });
    with_breakpoint(encoded, tool.cache_control.as_ref())
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!({"type": "auto"}),
        ToolChoice::None => json!({"type": "none"}),
        ToolChoice::Required => json!({"type": "any"}),
        ToolChoice::Tool(name) => json!({"type": "tool", "name": name}),
    }
}

/// Tool results are content of user messages, and those that answer one turn must share one message:
/// <https://docs.claude.com/en/docs/agents-and-tools/tool-use/implement-tool-use>
fn messages(messages: &[Message]) -> Value {
    let mut encoded: Vec<Value> = Vec::new();
    let mut is_last_results = false;
    for message in messages {
        match message.role {
            Role::User => encoded.push(json!({"role": "user", "content": content(message)})),
            // An empty message is refused, and says nothing.
            Role::Assistant if message.is_blank() && message.tool_calls.is_empty() => {}
            Role::Assistant => encoded.push(assistant(message)),
            Role::Tool => {
                let result = json!({
                    "type": "tool_result",
                    "tool_use_id": message.tool_call_id,
                    "content": content(message),
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
        return json!({"role": "assistant", "content": content(message)});
    }
    let mut content = blocks(message);
    content.extend(message.tool_calls.iter().map(tool_use));
    json!({"role": "assistant", "content": content})
}

/// A text where there is no more than that, else blocks.
fn content(message: &Message) -> Value {
    message.plain_text().map_or_else(|| Value::Array(blocks(message)), Value::from)
}

/// An empty text block is refused.
fn blocks(message: &Message) -> Vec<Value> {
    let parts = message.content.iter().filter(|Part::Text { text, .. }| !text.is_empty());
    parts
        .map(|Part::Text { text, cache_control }| {
            with_breakpoint(json!({"type": "text", "text": text}), cache_control.as_ref())
        })
        .collect()
}

fn with_breakpoint(mut block: Value, cache_control: Option<&Value>) -> Value {
    if let Some(cache_control) = cache_control {
        block["cache_control"] = cache_control.clone();
    }
    block
}

fn tool_use(call: &ToolCall) -> Value {
    json!({"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments})
}
