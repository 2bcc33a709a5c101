//! A chat request in the words of Chat Completions.

use serde_json::{Value, json};

use crate::chat::{ChatRequest, Message, Role, Tool, ToolCall, ToolChoice};
use crate::provider::Target;
use crate::provider::openai_words::{data_url, reasons, result_text};

pub(super) fn request(target: &Target, request: &ChatRequest) -> Value {
    let mut messages = Vec::with_capacity(request.messages.len() + 1);
    if !request.system.is_empty() {
        // Compatible servers know `system`; OpenAI reads it as `developer` where it must.
        messages.push(json!({"role": "system", "content": request.system}));
    }
    extend_messages(&mut messages, &request.messages);
    let mut body = json!({"model": target.model, "messages": messages});
    if !request.tools.is_empty() {
        body["tools"] = request.tools.iter().map(tool).collect();
    }
    // OpenAI's reasoning models refuse the older `max_tokens`.
    let max_tokens = if reasons(target) { "max_completion_tokens" } else { "max_tokens" };
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

/// The results of one turn must follow it without a gap, so that images of results, which only a user's message can
/// hold, come behind them all.
/// <https://platform.openai.com/docs/api-reference/chat/create>
fn extend_messages(encoded: &mut Vec<Value>, messages: &[Message]) {
    let mut images = Vec::new();
    for each in messages {
        if each.role != Role::Tool {
            encoded.extend(images_of_results(std::mem::take(&mut images)));
        }
        encoded.push(message(each));
        if each.role == Role::Tool {
            images.extend(image_parts(each));
        }
    }
    encoded.extend(images_of_results(images));
}

fn images_of_results(images: Vec<Value>) -> Option<Value> {
    if images.is_empty() {
        return None;
    }
    let mut content = vec![json!({"type": "text", "text": "The images that the tools returned:"})];
    content.extend(images);
    Some(json!({"role": "user", "content": content}))
}

/// Texts go out as one: some compatible servers take no parts.
fn message(message: &Message) -> Value {
    let text = message.text();
    match message.role {
        Role::User => json!({"role": "user", "content": user_content(message)}),
        Role::Tool => json!({
            "role": "tool",
            "tool_call_id": message.tool_call_id,
            "content": tool_content(message),
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

fn user_content(message: &Message) -> Value {
    let images = image_parts(message);
    let text = message.text();
    if images.is_empty() {
        return json!(text);
    }
    let words = (!text.is_empty()).then(|| json!({"type": "text", "text": text}));
    words.into_iter().chain(images).collect()
}

/// A result is a text and nothing else; there is no field for its failure.
fn tool_content(message: &Message) -> String {
    let mut text = result_text(message);
    if message.images().next().is_some() {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str("(The tool returned images, which follow in a message of their own.)");
    }
    text
}

fn image_parts(message: &Message) -> Vec<Value> {
    let part = |image| json!({"type": "image_url", "image_url": {"url": data_url(image)}});
    message.images().map(part).collect()
}

fn tool_call(call: &ToolCall) -> Value {
    json!({"id": call.id, "type": "function", "function": {
        "name": call.name,
        "arguments": call.arguments.to_string(),
    }})
}
