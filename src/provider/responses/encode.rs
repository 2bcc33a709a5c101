//! A chat request in the words of the Responses API.

use serde_json::{Value, json};

use crate::chat::{
    AnswerFormat, ChatRequest, Inbound, Message, Part, Protocol, Role, SealedThought, Tool,
    ToolCall, ToolChoice, join_instructions,
};
use crate::provider::Target;
use crate::provider::openai_words::{effort, image_url, reasons, result_text, schema_format};
use crate::provider::passing_on::{self, Fields, has_tools, inbound_of, own_tool_choice, pass_on};
use crate::provider::request_body::{RequestBody, Words, read_if_it_says};
use crate::provider::strict_tools::is_strict_for_openai;

/// The API refuses a lower limit, with the code `integer_below_min_value`.
const FEWEST_OUTPUT_TOKENS: u32 = 16;

const FIELDS: Fields = Fields {
    decided: &[
        "model", "instructions", "input", "tools", "store", "previous_response_id", "conversation",
        "background", "max_output_tokens", "temperature", "top_p", "include", "stream",
        "stream_options",
    ],
    worded: &["tool_choice", "parallel_tool_calls"],
};

/// What all requests to one revision share comes first, what differs from one to the next behind it.
pub(super) fn request<'a>(target: &Target, request: &'a ChatRequest) -> RequestBody<'a> {
    let inbound = inbound_of(request, Protocol::Responses);
    let mut body = RequestBody::default();
    body.set("model", json!(target.model));
    body.set("store", json!(false));
    let callers = inbound.and_then(|inbound| inbound.value("instructions"));
    let callers = callers.as_ref().and_then(Value::as_str).unwrap_or_default();
    let system = inbound
        .map_or_else(|| request.whole_system(), |_| join_instructions(&request.system, callers));
    if !system.is_empty() {
        body.set("instructions", json!(system));
    }
    if let Some(tools) = passing_on::tools(request.tools.iter().map(tool), inbound) {
        body.set("tools", tools);
    }
    let input: Words<'a> = match inbound {
        Some(inbound) => inbound_items(target, inbound, &request.messages),
        None => encode(target, &request.messages).collect(),
    };
    body.set("input", input);
    let parameters = &request.parameters;
    let max_tokens = parameters.max_tokens.map(|most| most.max(FEWEST_OUTPUT_TOKENS));
    body.set_some([
        ("max_output_tokens", max_tokens.map(Value::from)),
        ("temperature", parameters.temperature.map(Value::from)),
        ("top_p", parameters.top_p.map(Value::from)),
        ("tool_choice", parameters.tool_choice.as_ref().map(tool_choice)),
        ("parallel_tool_calls", parallel_tool_calls(request, inbound)),
        ("text", parameters.answer_format.as_ref().map(text_format)),
        ("reasoning", effort(target, request).map(|effort| json!({"effort": effort}))),
        ("include", include(target, request, inbound)),
        ("stream", target.stream.then_some(Value::Bool(true))),
        ("stream_options", inbound.and_then(|inbound| stream_options(target, inbound))),
    ]);
    if let Some(inbound) = inbound {
        pass_on(&mut body, inbound, &FIELDS);
        if let Some(choice) = own_tool_choice(target, request, inbound) {
            body.set("tool_choice", choice);
        }
    }
    body
}

/// The caller's items in the caller's words, between what was said before in a stored conversation and what came of the
/// run.
fn inbound_items<'a>(target: &Target, inbound: &'a Inbound, all: &'a [Message]) -> Words<'a> {
    let full_name = target.full_name();
    let callers = inbound.list("input").into_iter();
    let callers = callers.filter_map(|item| callers_item(&full_name, item));
    let before = encode(target, inbound.before(all));
    before.chain(callers).chain(encode(target, inbound.behind(all))).collect()
}

fn encode<'a>(target: &Target, messages: &'a [Message]) -> impl Iterator<Item = Words<'a>> {
    messages.iter().flat_map(|message| items(target, message))
}

/// Thinking goes to who thought it; without a code nobody could read it.
fn callers_item<'a>(full_name: &str, written: &'a str) -> Option<Words<'a>> {
    let thinking = read_if_it_says(written, "reasoning").filter(|item| item["type"] == "reasoning");
    let Some(item) = thinking else { return Some(written.into()) };
    let code = item["encrypted_content"].as_str().filter(|code| !code.is_empty())?;
    match SealedThought::open_envelope(code) {
        Some(thought) => thought.for_model(full_name).cloned().map(Words::from),
        None => Some(written.into()),
    }
}

fn stream_options(target: &Target, inbound: &Inbound) -> Option<Value> {
    inbound.value("stream_options").filter(|_| target.stream)
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
fn parallel_tool_calls(request: &ChatRequest, inbound: Option<&Inbound>) -> Option<Value> {
    let parallel = request.parameters.parallel_tool_calls.map(Value::from);
    parallel.filter(|_| has_tools(request, inbound))
}

/// Without `strict: false` the API demands schemas that few tools have.
/// <https://platform.openai.com/docs/guides/function-calling#strict-mode>
fn tool(tool: &Tool) -> Value {
    json!({
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": is_strict_for_openai(tool),
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
fn include(target: &Target, request: &ChatRequest, inbound: Option<&Inbound>) -> Option<Value> {
    const CODE: &str = "reasoning.encrypted_content";
    let thinks = reasons(target) && !target.model.contains("-chat");
    let callers = inbound.and_then(|inbound| inbound.value("include"));
    let mut included = match callers {
        Some(Value::Array(callers)) => callers,
        _ => Vec::new(),
    };
    if thinks && !request.tools.is_empty() && !included.iter().any(|name| name == CODE) {
        included.push(json!(CODE));
    }
    (!included.is_empty()).then_some(Value::Array(included))
}

/// A call is an item beside the message that it came with, and so is thinking. Content goes out as one text if it
/// can: as parts, what an assistant said would need an id.
fn items<'a>(target: &Target, message: &'a Message) -> Vec<Words<'a>> {
    match message.role {
        Role::User => vec![json!({"role": "user", "content": content(message)}).into()],
        Role::Tool => {
            let result = json!({
                "type": "function_call_output",
                "call_id": message.tool_call_id,
                "output": content(message),
            });
            vec![result.into()]
        }
        Role::Assistant => {
            let full_name = target.full_name();
            let text = message.text();
            let said = (!text.is_empty()).then(|| json!({"role": "assistant", "content": text}));
            let said = thoughts(&full_name, message).chain(said).map(Words::from);
            let calls = message.tool_calls.iter().map(|call| function_call(&full_name, call));
            said.chain(calls).collect()
        }
    }
}

fn thoughts(full_name: &str, message: &Message) -> impl Iterator<Item = Value> {
    message.content.iter().filter_map(move |part| match part {
        Part::Thought(thought) => thought.for_model(full_name).cloned(),
        Part::Text { .. } | Part::Image { .. } | Part::ImageUrl { .. } => None,
    })
}

/// A text, or parts in their order if there are images: texts may say which is which. The result of a tool may have them
/// as well: <https://platform.openai.com/docs/guides/function-calling>
fn content(message: &Message) -> Value {
    if message.images().next().is_none() {
        return json!(result_text(message));
    }
    let text = |text: &str| json!({"type": "input_text", "text": text});
    let part = |part: &Part| match part.as_text() {
        Some(words) => (!words.is_empty()).then(|| text(words)),
        None => part
            .as_image()
            .map(|image| json!({"type": "input_image", "image_url": image_url(image)})),
    };
    let failure = message.is_error.then(|| text("Error:"));
    failure.into_iter().chain(message.content.iter().filter_map(part)).collect()
}

fn function_call<'a>(full_name: &str, call: &'a ToolCall) -> Words<'a> {
    let item = [
        ("type", json!("function_call").into()),
        ("call_id", json!(call.id).into()),
        ("name", json!(call.name).into()),
        ("arguments", json!(call.arguments.as_str()).into()),
    ];
    let further = call.further_for_model(Protocol::Responses, full_name);
    RequestBody::from(item).with_further(further).into()
}
