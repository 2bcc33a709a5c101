//! A chat request in Anthropic's words.

use serde_json::{Value, json};

use super::breakpoints::Breakpoints;
use crate::chat::{
    AnswerFormat, ChatRequest, Image, Inbound, Message, Parameters, Part, Protocol, Role, Tool,
    ToolCall, ToolChoice,
};
use crate::provider::Target;
use crate::provider::passing_on::{self, Fields, inbound_of, pass_on};
use crate::provider::request_body::{RequestBody, Words, read_if_it_says};
use crate::provider::strict_tools::is_strict_for_anthropic;

const FIELDS: Fields = Fields {
    decided: &[
        "model", "system", "tools", "messages", "max_tokens", "temperature", "top_p", "top_k",
        "output_config", "stream",
    ],
    worded: &["stop_sequences", "tool_choice"],
};

/// The API requires `max_tokens`, and a model's thinking counts.
const DEFAULT_MAX_TOKENS: u32 = 32_768;

/// For a model whose limit is not known, it must be below that of most.
const CAUTIOUS_MAX_TOKENS: u32 = 16_384;

/// What all requests to one revision share comes first, what differs from one to the next behind it.
pub(super) fn request<'a>(target: &Target, request: &'a ChatRequest) -> RequestBody<'a> {
    let inbound = inbound_of(request, Protocol::Messages);
    let breakpoints = inbound.map_or_else(|| Breakpoints::of(request), Breakpoints::of_inbound);
    let mut body = RequestBody::default();
    body.set("model", json!(target.model));
    // Our breakpoint ends the part that all requests to one revision share. The caller's own come before it.
    let system = system(request, inbound, breakpoints.for_instructions().as_ref());
    if !system.is_empty() {
        body.set("system", Words::List(system));
    }
    if let Some(tools) = passing_on::tools(request.tools.iter().map(tool), inbound) {
        body.set("tools", tools);
    }
    let callers = inbound.map_or_else(Vec::new, |inbound| inbound.list("messages"));
    let encoded =
        messages(target, inbound.map_or(&*request.messages, |it| it.behind(&request.messages)));
    let mut messages: Vec<Words<'a>> =
        callers.into_iter().map(without_unsigned).chain(encoded).collect();
    if breakpoints.have_room_for_results() {
        mark_results(&mut messages);
    }
    body.set("messages", Words::List(messages));
    let parameters = &request.parameters;
    let default =
        target.output_tokens.map_or(CAUTIOUS_MAX_TOKENS, |most| DEFAULT_MAX_TOKENS.min(most));
    body.set("max_tokens", json!(parameters.max_tokens.unwrap_or(default)));
    body.set_some([
        ("temperature", parameters.temperature.map(Value::from)),
        ("top_p", parameters.top_p.map(Value::from)),
        ("top_k", parameters.top_k.map(Value::from)),
        ("stop_sequences", (!parameters.stop.is_empty()).then(|| json!(parameters.stop))),
        ("tool_choice", tool_choice(parameters, !request.tools.is_empty())),
        ("output_config", output_config(parameters, inbound)),
        ("stream", target.stream.then_some(Value::Bool(true))),
    ]);
    if let Some(inbound) = inbound {
        pass_on(&mut body, inbound, &FIELDS);
    }
    body
}

/// The agent's instructions, then the caller's, in blocks of their own.
fn system<'a>(
    request: &ChatRequest,
    inbound: Option<&'a Inbound>,
    breakpoint: Option<&Value>,
) -> Vec<Words<'a>> {
    let mut blocks = Vec::new();
    if !request.system.is_empty() {
        let agents = json!({"type": "text", "text": request.system});
        blocks.push(with_breakpoint(agents, breakpoint).into());
    }
    let text =
        |text: &str| (!text.is_empty()).then(|| json!({"type": "text", "text": text}).into());
    let Some(inbound) = inbound else {
        blocks.extend(text(&request.callers_instructions()));
        return blocks;
    };
    let callers = inbound.list("system");
    if callers.is_empty() {
        let callers = inbound.value("system");
        blocks.extend(callers.as_ref().and_then(Value::as_str).and_then(text));
    }
    blocks.extend(callers.into_iter().map(Words::from));
    blocks
}

/// The API refuses thinking that it has not signed: what a provider of another protocol has thought.
fn without_unsigned(written: &str) -> Words<'_> {
    let is_unsigned = |block: &Value| {
        block["type"] == "thinking" && block["signature"].as_str().is_none_or(str::is_empty)
    };
    let mut read = read_if_it_says(written, "thinking");
    let blocks = read.as_mut().and_then(|message| message["content"].as_array_mut());
    match blocks {
        Some(blocks) if blocks.iter().any(is_unsigned) => {
            blocks.retain(|block| !is_unsigned(block));
            read.map_or(written.into(), Words::from)
        }
        _ => written.into(),
    }
}

/// The format of the answer, among the caller's other words on it.
/// <https://platform.claude.com/docs/en/build-with-claude/structured-outputs>
fn output_config(parameters: &Parameters, inbound: Option<&Inbound>) -> Option<Value> {
    let schema = parameters.answer_format.as_ref().and_then(AnswerFormat::schema);
    let format = schema.map(|schema| json!({"type": "json_schema", "schema": schema}));
    let callers = inbound.and_then(|inbound| inbound.value("output_config"));
    let mut config = callers.filter(Value::is_object).unwrap_or_else(|| json!({}));
    match format {
        Some(format) => {
            config.as_object_mut()?.entry("format").or_insert(format);
        }
        None => {
            config.as_object_mut()?.remove("format");
        }
    }
    config.as_object().is_some_and(|config| !config.is_empty()).then_some(config)
}

/// <https://platform.claude.com/docs/en/build-with-claude/structured-outputs#strict-tool-use>
fn tool(tool: &Tool) -> Value {
    let mut encoded = json!({
        "name": tool.name,
        "description": tool.description,
        "input_schema": tool.parameters,
    });
    if is_strict_for_anthropic(tool) {
        encoded["strict"] = json!(true);
    }
    with_breakpoint(encoded, tool.cache_control.as_ref())
}

/// The wish for no more than one call at a time is a part of it.
fn tool_choice(parameters: &Parameters, has_tools: bool) -> Option<Value> {
    let is_single = has_tools && parameters.parallel_tool_calls == Some(false);
    let mut encoded = match &parameters.tool_choice {
        None if is_single => json!({"type": "auto"}),
        None => return None,
        Some(ToolChoice::Auto) => json!({"type": "auto"}),
        Some(ToolChoice::None) => return Some(json!({"type": "none"})),
        Some(ToolChoice::Required) => json!({"type": "any"}),
        Some(ToolChoice::Tool(name)) => json!({"type": "tool", "name": name}),
    };
    if is_single {
        encoded["disable_parallel_tool_use"] = json!(true);
    }
    Some(encoded)
}

/// Tool results are content of user messages, and those that answer one turn must share one message:
/// <https://docs.claude.com/en/docs/agents-and-tools/tool-use/implement-tool-use>
fn messages<'a>(target: &Target, messages: &'a [Message]) -> Vec<Words<'a>> {
    let mut encoded: Vec<Words<'a>> = Vec::new();
    let mut is_last_results = false;
    for message in messages {
        match message.role {
            Role::User => {
                encoded.push(json!({"role": "user", "content": content(target, message)}).into());
            }
            // An empty message is refused, and says nothing.
            Role::Assistant if message.is_blank() && message.tool_calls.is_empty() => {}
            Role::Assistant => encoded.push(assistant(target, message)),
            Role::Tool => {
                let result = tool_result(target, message);
                let open = encoded
                    .last_mut()
                    .filter(|_| is_last_results)
                    .and_then(Words::as_encoded_mut)
                    .and_then(|last| last["content"].as_array_mut());
                match open {
                    Some(results) => results.push(result),
                    None => encoded.push(json!({"role": "user", "content": [result]}).into()),
                }
            }
        }
        is_last_results = message.role == Role::Tool;
    }
    encoded
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
fn mark_results(messages: &mut [Words<'_>]) {
    let Some(last) = messages.last_mut() else { return };
    let read = match last {
        Words::Encoded(message) => Some(std::mem::take(message)),
        Words::Written(written) => read_if_it_says(written, "tool_result"),
        Words::List(_) | Words::Object(_) => None,
    };
    let Some(mut message) = read else { return };
    let block = message["content"].as_array_mut().and_then(|blocks| blocks.last_mut());
    let result =
        block.filter(|block| block["type"] == "tool_result" && block["cache_control"].is_null());
    let is_result = result.is_some();
    if let Some(result) = result {
        result["cache_control"] = json!({"type": "ephemeral"});
    }
    if is_result || matches!(last, Words::Encoded(_)) {
        *last = message.into();
    }
}

fn assistant<'a>(target: &Target, message: &'a Message) -> Words<'a> {
    if message.tool_calls.is_empty() {
        return json!({"role": "assistant", "content": content(target, message)}).into();
    }
    let full_name = target.full_name();
    let said = blocks(target, message).into_iter().map(Words::from);
    let calls = message.tool_calls.iter().map(|call| tool_use(&full_name, call));
    let content = said.chain(calls).collect();
    RequestBody::from([("role", json!("assistant").into()), ("content", content)]).into()
}

/// A text where there is no more than that, else blocks.
fn content(target: &Target, message: &Message) -> Value {
    message.plain_text().map_or_else(|| Value::Array(blocks(target, message)), Value::from)
}

fn blocks(target: &Target, message: &Message) -> Vec<Value> {
    message.parts().filter_map(|part| block(target, part)).collect()
}

/// `None` for an empty text, which is refused, and for what another model has thought.
fn block(target: &Target, part: &Part) -> Option<Value> {
    match part {
        Part::Text { text, .. } if text.is_empty() => None,
        Part::Text { text, cache_control } => {
            Some(with_breakpoint(json!({"type": "text", "text": text}), cache_control.as_ref()))
        }
        Part::Image { .. } | Part::ImageUrl { .. } => {
            part.as_image().map(|image| json!({"type": "image", "source": image_source(image)}))
        }
        Part::Thought(thought) => thought.for_model(&target.full_name()).cloned(),
        Part::Instructions { .. } | Part::Foreign(_) => None,
    }
}

fn image_source(image: Image<'_>) -> Value {
    match image {
        Image::Inline { media_type, data } => {
            json!({"type": "base64", "media_type": media_type, "data": data})
        }
        Image::At(url) => json!({"type": "url", "url": url}),
    }
}

fn with_breakpoint(mut block: Value, cache_control: Option<&Value>) -> Value {
    if let Some(cache_control) = cache_control {
        block["cache_control"] = cache_control.clone();
    }
    block
}

fn tool_use<'a>(full_name: &str, call: &'a ToolCall) -> Words<'a> {
    let block = [
        ("type", json!("tool_use").into()),
        ("id", json!(call.id).into()),
        ("name", json!(call.name).into()),
        ("input", call.arguments.as_str().into()),
    ];
    let further = call.further_for_model(Protocol::Messages, full_name);
    RequestBody::from(block).with_further(further).into()
}
