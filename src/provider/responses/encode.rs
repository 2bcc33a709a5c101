//! A chat request in the words of the Responses API.

use serde_json::{Value, json};

use crate::chat::{AnswerFormat, ChatRequest, Message, Part, Role, Tool, ToolCall, ToolChoice};
use crate::provider::Target;
use crate::provider::openai_words::{image_url, reasons, result_text, schema_format};

/// The API refuses a lower limit, with the code `integer_below_min_value`.
const FEWEST_OUTPUT_TOKENS: u32 = 16;

/// What all requests to one revision share comes first, what differs from one to the next behind it.
pub(super) fn request(target: &Target, request: &ChatRequest) -> Value {
    let mut body = json!({"model": target.model, "store": false});
    let system = request.whole_system();
    if !system.is_empty() {
        body["instructions"] = json!(system);
    }
    if !request.tools.is_empty() {
        body["tools"] = request.tools.iter().map(tool).collect();
    }
    body["input"] = request.messages.iter().flat_map(|message| items(target, message)).collect();
    let parameters = &request.parameters;
    let max_tokens = parameters.max_tokens.map(|most| most.max(FEWEST_OUTPUT_TOKENS));
    let optional = [
        ("max_output_tokens", max_tokens.map(Value::from)),
        ("temperature", parameters.temperature.map(Value::from)),
        ("top_p", parameters.top_p.map(Value::from)),
        ("tool_choice", parameters.tool_choice.as_ref().map(tool_choice)),
        ("parallel_tool_calls", parallel_tool_calls(request)),
        ("text", parameters.answer_format.as_ref().map(text_format)),
        ("include", include(target, request)),
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
fn text_format(format: &AnswerFormat) -> Value {
    let Some(Value::Object(schema)) = schema_format(format) else {
        return json!({"format": {"type": "json_object"}});
    };
    let mut format = json!({"type": "json_schema"});
    for (name, value) in schema {
        format[name] = value;
    }
    json!({"format": format})
}

/// The API refuses it where there are no tools.
fn parallel_tool_calls(request: &ChatRequest) -> Option<Value> {
    let parallel = request.parameters.parallel_tool_calls.map(Value::from);
    parallel.filter(|_| !request.tools.is_empty())
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

/// A model that works with tools wants its thinking back, and without `store` nobody else keeps it. Models that do
/// not think refuse the wish: <https://platform.openai.com/docs/guides/reasoning#encrypted-reasoning-items>
fn include(target: &Target, request: &ChatRequest) -> Option<Value> {
    let thinks = reasons(target) && !target.model.contains("-chat");
    (thinks && !request.tools.is_empty()).then(|| json!(["reasoning.encrypted_content"]))
}

/// A call is an item beside the message that it came with, and so is thinking. Content goes out as one text if it
/// can: as parts, what an assistant said would need an id.
fn items(target: &Target, message: &Message) -> Vec<Value> {
    match message.role {
        Role::User => {
            let text = message.text();
            vec![json!({"role": "user", "content": content(message, &text)})]
        }
        Role::Tool => {
            let text = result_text(message);
            vec![json!({
                "type": "function_call_output",
                "call_id": message.tool_call_id,
                "output": content(message, &text),
            })]
        }
        Role::Assistant => {
            let text = message.text();
            let said = (!text.is_empty()).then(|| json!({"role": "assistant", "content": text}));
            let thoughts = thoughts(target, message);
            let calls = message.tool_calls.iter().map(function_call);
            thoughts.into_iter().chain(said).chain(calls).collect()
        }
    }
}

fn thoughts(target: &Target, message: &Message) -> Vec<Value> {
    let full_name = target.full_name();
    let thoughts = message.content.iter().filter_map(|part| match part {
        Part::Thought(thought) => thought.for_model(&full_name).cloned(),
        Part::Text { .. } | Part::Image { .. } | Part::ImageUrl { .. } => None,
    });
    thoughts.collect()
}

/// A text, or parts if there are images. The result of a tool may have them as well:
/// <https://platform.openai.com/docs/guides/function-calling>
fn content(message: &Message, text: &str) -> Value {
    let image = |image| json!({"type": "input_image", "image_url": image_url(image)});
    let images: Vec<Value> = message.images().map(image).collect();
    if images.is_empty() {
        return json!(text);
    }
    let words = (!text.is_empty()).then(|| json!({"type": "input_text", "text": text}));
    words.into_iter().chain(images).collect()
}

fn function_call(call: &ToolCall) -> Value {
    json!({
        "type": "function_call",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments.to_string(),
    })
}
