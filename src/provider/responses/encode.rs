//! A chat request in the words of the Responses API.

use serde_json::{Value, json};

use super::items::encode;
use crate::chat::{
    AnswerFormat, ChatRequest, Inbound, Message, Protocol, SealedThought, Tool, ToolChoice,
    join_instructions,
};
use crate::provider::Target;
use crate::provider::openai_words::{effort, reasons, schema_format};
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
    // Instructions among the messages stay there.
    let callers = inbound.map_or(&*request.instructions, |_| callers);
    let system = join_instructions(&request.system, callers);
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
    let own_tools = inbound.map_or(0, |inbound| inbound.own_tools.len());
    let has_tools = !request.tools.is_empty() || own_tools > 0;
    if thinks && has_tools && !included.iter().any(|name| name == CODE) {
        included.push(json!(CODE));
    }
    (!included.is_empty()).then_some(Value::Array(included))
}
