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
    body["messages"] = messages(target, &request.messages);
    if count_breakpoints(request) + 1 < MAX_CACHE_BREAKPOINTS {
        mark_results(&mut body["messages"]);
    }
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
    let has_breakpoint = |part: &&Part| matches!(part, Part::Text { cache_control: Some(_), .. });
    parts.filter(has_breakpoint).count()
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
fn messages(target: &Target, messages: &[Message]) -> Value {
    let mut encoded: Vec<Value> = Vec::new();
    let mut is_last_results = false;
    for message in messages {
        match message.role {
            Role::User => {
                encoded.push(json!({"role": "user", "content": content(target, message)}));
            }
            // An empty message is refused, and says nothing.
            Role::Assistant if message.is_blank() && message.tool_calls.is_empty() => {}
            Role::Assistant => encoded.push(assistant(target, message)),
            Role::Tool => {
                let result = tool_result(target, message);
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

fn tool_result(target: &Target, message: &Message) -> Value {
    let mut result = json!({
        "type": "tool_result",
        "tool_use_id": message.tool_call_id,
        "content": content(target, message),
    });
    if message.is_error {
        result["is_error"] = json!(true);
    }
    result
}

/// A conversation that goes on with results will go on from here again: each turn reads the one before from the cache.
fn mark_results(messages: &mut Value) {
    let last = messages.as_array_mut().and_then(|messages| messages.last_mut());
    let block = last.and_then(|last| last["content"].as_array_mut()?.last_mut());
    if let Some(block) = block.filter(|block| block["type"] == "tool_result") {
        block["cache_control"] = json!({"type": "ephemeral"});
    }
}

fn assistant(target: &Target, message: &Message) -> Value {
    if message.tool_calls.is_empty() {
        return json!({"role": "assistant", "content": content(target, message)});
    }
    let mut content = blocks(target, message);
    content.extend(message.tool_calls.iter().map(tool_use));
    json!({"role": "assistant", "content": content})
}

/// A text where there is no more than that, else blocks.
fn content(target: &Target, message: &Message) -> Value {
    message.plain_text().map_or_else(|| Value::Array(blocks(target, message)), Value::from)
}

fn blocks(target: &Target, message: &Message) -> Vec<Value> {
    message.content.iter().filter_map(|part| block(target, part)).collect()
}

/// `None` for an empty text, which is refused, and for what another model has thought.
fn block(target: &Target, part: &Part) -> Option<Value> {
    match part {
        Part::Text { text, .. } if text.is_empty() => None,
        Part::Text { text, cache_control } => {
            Some(with_breakpoint(json!({"type": "text", "text": text}), cache_control.as_ref()))
        }
        Part::Image { media_type, data } => Some(json!({
            "type": "image",
            "source": {"type": "base64", "media_type": media_type, "data": data},
        })),
        Part::Thought(thought) => thought.for_model(&target.full_name()).cloned(),
    }
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
