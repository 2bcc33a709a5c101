//! A chat request in the words of Chat Completions.

use serde_json::{Value, json};

use crate::chat::{
    AnswerFormat, ChatRequest, Image, Inbound, Message, Part, Protocol, Role, Tool, ToolCall,
    ToolChoice, join_instructions,
};
use crate::provider::lenient::texts;
use crate::provider::openai_words::{effort, image_url, reasons, result_text, schema_format};
use crate::provider::passing_on::{self, Fields, has_tools, inbound_of, own_tool_choice, pass_on};
use crate::provider::request_body::{RequestBody, Words};
use crate::provider::strict_tools::is_strict_for_openai;
use crate::provider::{Target, signatures};

const FIELDS: Fields = Fields {
    decided: &[
        "model", "messages", "tools", "max_tokens", "max_completion_tokens", "temperature",
        "top_p", "seed", "stream", "stream_options",
    ],
    worded: &["stop", "tool_choice", "parallel_tool_calls", "response_format"],
};

pub(super) fn request<'a>(target: &Target, request: &'a ChatRequest) -> RequestBody<'a> {
    let inbound = inbound_of(request, Protocol::ChatCompletions);
    let mut body = RequestBody::default();
    body.set("model", json!(target.model));
    let messages = inbound.map_or_else(
        || messages(target, &request.whole_system(), &request.messages),
        |inbound| inbound_messages(target, inbound, request),
    );
    body.set("messages", messages);
    if let Some(tools) = passing_on::tools(request.tools.iter().map(tool), inbound) {
        body.set("tools", tools);
    }
    let max_tokens = limit_name(target, inbound);
    let parameters = &request.parameters;
    body.set_some([
        (max_tokens, parameters.max_tokens.map(Value::from)),
        ("temperature", parameters.temperature.map(Value::from)),
        ("top_p", parameters.top_p.map(Value::from)),
        ("stop", (!parameters.stop.is_empty()).then(|| json!(parameters.stop))),
        ("seed", parameters.seed.map(Value::from)),
        ("tool_choice", parameters.tool_choice.as_ref().map(tool_choice)),
        ("parallel_tool_calls", parallel_tool_calls(request, inbound)),
        // What has no neutral word is the caller's, whose words take its place.
        ("response_format", parameters.answer_format.as_ref().map(response_format)),
        ("reasoning_effort", effort(target, request)),
        ("stream", target.stream.then_some(Value::Bool(true))),
        ("stream_options", target.stream.then(|| stream_options(inbound))),
    ]);
    if let Some(inbound) = inbound {
        pass_on(&mut body, inbound, &FIELDS);
        if let Some(choice) = own_tool_choice(target, request, inbound) {
            body.set("tool_choice", choice);
        }
    }
    body
}

/// OpenAI's reasoning models refuse the older `max_tokens`. Who says the newer name knows a server that takes it.
fn limit_name(target: &Target, inbound: Option<&Inbound>) -> &'static str {
    const NEWER: &str = "max_completion_tokens";
    let is_callers = inbound.is_some_and(|inbound| inbound.field(NEWER).is_some());
    if reasons(target) || is_callers { NEWER } else { "max_tokens" }
}

/// Without `include_usage` a stream ends without usage. All else is the caller's.
fn stream_options(inbound: Option<&Inbound>) -> Value {
    let callers = inbound.and_then(|inbound| inbound.value("stream_options"));
    let mut options = callers.filter(Value::is_object).unwrap_or_else(|| json!({}));
    options["include_usage"] = json!(true);
    options
}

/// Compatible servers know `system`; OpenAI reads it as `developer` where it must.
fn system_message(system: &str) -> Option<Value> {
    (!system.is_empty()).then(|| json!({"role": "system", "content": system}))
}

fn messages<'a>(target: &Target, system: &str, messages: &'a [Message]) -> Words<'a> {
    let mut encoded = Vec::with_capacity(messages.len() + 1);
    encoded.extend(system_message(system).map(Words::from));
    extend_messages(&mut encoded, target, messages);
    Words::List(encoded)
}

/// The caller's messages in the caller's words, and behind them what came of the run. Instructions at their beginning
/// are joined with the agent's: some compatible servers take one system message and no more.
fn inbound_messages<'a>(
    target: &Target,
    inbound: &'a Inbound,
    request: &'a ChatRequest,
) -> Words<'a> {
    let mut callers = inbound.list("messages").into_iter();
    let leading = callers.by_ref().take(inbound.leading_instructions);
    let leading: Vec<String> = leading.filter_map(read_instruction).collect();
    let system = join_instructions(&request.system, &leading.join("\n\n")).into_owned();
    let mut behind = Vec::new();
    extend_messages(&mut behind, target, inbound.behind(&request.messages));
    let system = system_message(&system).map(Words::from);
    let callers = callers.map(|written| signed(target, written));
    system.into_iter().chain(callers).chain(behind).collect()
}

fn read_instruction(written: &str) -> Option<String> {
    let message: Value = serde_json::from_str(written).ok()?;
    Some(texts(&message["content"]).join("\n\n"))
}

/// Providers refuse it where there are no tools.
fn parallel_tool_calls(request: &ChatRequest, inbound: Option<&Inbound>) -> Option<Value> {
    let parallel = request.parameters.parallel_tool_calls.map(Value::from);
    parallel.filter(|_| has_tools(request, inbound))
}

fn response_format(format: &AnswerFormat) -> Value {
    match schema_format(format) {
        Some(schema) => json!({"type": "json_schema", "json_schema": schema}),
        None => json!({"type": "json_object"}),
    }
}

fn tool(tool: &Tool) -> Value {
    let mut function = json!({
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    });
    if is_strict_for_openai(tool) {
        function["strict"] = json!(true);
    }
    json!({"type": "function", "function": function})
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
fn extend_messages<'a>(encoded: &mut Vec<Words<'a>>, target: &Target, messages: &'a [Message]) {
    let mut images = Vec::new();
    for each in messages {
        if each.role != Role::Tool {
            encoded.extend(images_of_results(std::mem::take(&mut images)).map(Words::from));
        }
        // It says nothing that the protocol has words for.
        let is_silent = each.role == Role::Assistant && each.is_blank();
        if !is_silent || !each.tool_calls.is_empty() {
            encoded.push(message(target, each));
        }
        if each.role == Role::Tool {
            images.extend(each.images().map(image_part));
        }
    }
    encoded.extend(images_of_results(images).map(Words::from));
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
fn message<'a>(target: &Target, message: &'a Message) -> Words<'a> {
    let text = message.text();
    let encoded = match message.role {
        Role::User => json!({"role": "user", "content": user_content(message)}),
        Role::Tool => json!({
            "role": "tool",
            "tool_call_id": message.tool_call_id,
            "content": tool_content(message),
        }),
        Role::Assistant if message.tool_calls.is_empty() => {
            json!({"role": "assistant", "content": text})
        }
        Role::Assistant => {
            let full_name = target.full_name();
            let calls = message.tool_calls.iter().enumerate();
            let calls = calls.map(|(place, call)| tool_call(target, &full_name, call, place == 0));
            let message = [
                ("role", json!("assistant").into()),
                ("content", json!((!text.is_empty()).then_some(text)).into()),
                ("tool_calls", calls.collect()),
            ];
            return RequestBody::from(message).into();
        }
    };
    encoded.into()
}

/// With images the parts keep their order: texts may say which image is which.
fn user_content(message: &Message) -> Value {
    if message.images().next().is_none() {
        return json!(message.text());
    }
    let part = |part: &Part| match part.as_text() {
        Some(text) => (!text.is_empty()).then(|| json!({"type": "text", "text": text})),
        None => part.as_image().map(image_part),
    };
    message.parts().filter_map(part).collect()
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

fn image_part(image: Image<'_>) -> Value {
    json!({"type": "image_url", "image_url": {"url": image_url(image)}})
}

/// A call of a type that only the protocol knows has all of it in its further fields.
fn tool_call<'a>(
    target: &Target,
    full_name: &str,
    call: &'a ToolCall,
    is_first: bool,
) -> Words<'a> {
    let further = call.further_for_model(Protocol::ChatCompletions, full_name);
    let mut encoded = RequestBody::from([("id", json!(call.id).into())]);
    if !further.is_some_and(|further| further.contains_key("type")) {
        let function = json!({"name": call.name, "arguments": call.arguments.as_str()});
        encoded.set("type", json!("function"));
        encoded.set("function", function);
    }
    // Only the present turn needs it. What is sent for one turn is the same in the next, so that it stays cached.
    if is_first && signatures::are_checked(target) {
        let own = call.signature.as_deref().filter(|signature| !signature.is_empty());
        encoded.set(SIGNED, signature(own.unwrap_or(signatures::STAND_IN)));
    }
    encoded.with_further(further).into()
}

/// Where a call has its signature, below the name of who signs:
/// <https://ai.google.dev/gemini-api/docs/openai>
const SIGNED: &str = "extra_content";

fn signature(signature: &str) -> Value {
    json!({"google": {"thought_signature": signature}})
}

/// A caller's message as it is written, unless it has calls that another model made and this one would refuse without a
/// signature.
fn signed<'a>(target: &Target, written: &'a str) -> Words<'a> {
    if !signatures::are_checked(target) || !written.contains("\"tool_calls\"") {
        return written.into();
    }
    let mut message: Value = serde_json::from_str(written).unwrap_or_default();
    let Some(first) = message.pointer_mut("/tool_calls/0").filter(|first| first.is_object()) else {
        return written.into();
    };
    let further = first[SIGNED].as_object();
    let mut signers = further.into_iter().flat_map(|further| further.values());
    if signers.any(|signer| signer["thought_signature"].is_string()) {
        return written.into();
    }
    let mut further = further.cloned().unwrap_or_default();
    further.extend(signature(signatures::STAND_IN).as_object().cloned().unwrap_or_default());
    first[SIGNED] = further.into();
    message.into()
}
