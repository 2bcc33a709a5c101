//! A chat request in Gemini's words.

use serde_json::{Map, Value, json};

use crate::chat::{
    AnswerFormat, ChatRequest, Image, Message, Parameters, Part, Role, Tool, ToolCall, ToolChoice,
};
use crate::provider::request_body::{RequestBody, Words};
use crate::provider::{Target, signatures};

/// What all requests to one revision share comes first, what differs from one to the next behind it. The model and
/// the wish for a stream are in the path.
pub(super) fn request<'a>(target: &Target, request: &'a ChatRequest) -> RequestBody<'a> {
    let mut body = RequestBody::default();
    let system: Vec<Value> = [&*request.system, &*request.callers_instructions()]
        .into_iter()
        .filter(|text| !text.is_empty())
        .map(|text| json!({"text": text}))
        .collect();
    if !system.is_empty() {
        body.set("systemInstruction", json!({"parts": system}));
    }
    if !request.tools.is_empty() {
        let declarations: Vec<Value> = request.tools.iter().map(tool).collect();
        body.set("tools", json!([{"functionDeclarations": declarations}]));
    }
    body.set("contents", contents(target, &request.messages));
    if let Some(choice) = &request.parameters.tool_choice {
        body.set("toolConfig", json!({"functionCallingConfig": tool_choice(choice)}));
    }
    let config = generation_config(&request.parameters);
    if !config.is_empty() {
        body.set("generationConfig", Value::Object(config));
    }
    body
}

/// `responseSchema` takes but a subset of `OpenAPI`'s schemas; its sibling takes JSON Schema.
/// <https://ai.google.dev/gemini-api/docs/structured-output>
fn generation_config(parameters: &Parameters) -> Map<String, Value> {
    let format = parameters.answer_format.as_ref();
    let optional = [
        ("maxOutputTokens", parameters.max_tokens.map(Value::from)),
        ("temperature", parameters.temperature.map(Value::from)),
        ("topP", parameters.top_p.map(Value::from)),
        ("topK", parameters.top_k.map(Value::from)),
        ("stopSequences", (!parameters.stop.is_empty()).then(|| json!(parameters.stop))),
        ("seed", parameters.seed.map(Value::from)),
        ("responseMimeType", format.map(|_| json!("application/json"))),
        ("responseJsonSchema", format.and_then(AnswerFormat::schema).cloned()),
    ];
    let given = optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    given.collect()
}

/// `parameters` takes but a subset of `OpenAPI`'s schemas, and refuses the rest of JSON Schema:
/// <https://ai.google.dev/api/caching#FunctionDeclaration>
fn tool(tool: &Tool) -> Value {
    json!({
        "name": tool.name,
        "description": tool.description,
        "parametersJsonSchema": tool.parameters,
    })
}

/// <https://ai.google.dev/api/caching#FunctionCallingConfig>
fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!({"mode": "AUTO"}),
        ToolChoice::None => json!({"mode": "NONE"}),
        ToolChoice::Required => json!({"mode": "ANY"}),
        ToolChoice::Tool(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    }
}

/// The results of calls that were made together must be told together, behind all of the calls.
fn contents<'a>(target: &Target, messages: &'a [Message]) -> Words<'a> {
    let mut contents: Vec<Words<'a>> = Vec::new();
    let mut is_last_results = false;
    for (index, message) in messages.iter().enumerate() {
        match message.role {
            Role::User => contents.push(json!({"role": "user", "parts": parts(message)}).into()),
            // An empty content is refused, and says nothing.
            Role::Assistant if message.is_blank() && message.tool_calls.is_empty() => {}
            Role::Assistant => {
                let parts = parts(message).into_iter().map(Words::from);
                let parts = parts.chain(function_calls(target, &message.tool_calls));
                let content = [("role", json!("model").into()), ("parts", parts.collect())];
                contents.push(RequestBody::from(content).into());
            }
            Role::Tool => {
                let results = function_response(target, message, &messages[..index]);
                let open = contents
                    .last_mut()
                    .filter(|_| is_last_results)
                    .and_then(Words::as_encoded_mut)
                    .and_then(|last| last["parts"].as_array_mut());
                match open {
                    Some(open) => open.extend(results),
                    None => contents.push(json!({"role": "user", "parts": results}).into()),
                }
            }
        }
        is_last_results = message.role == Role::Tool;
    }
    Words::List(contents)
}

fn parts(message: &Message) -> Vec<Value> {
    let part = |part: &Part| match part {
        Part::Text { text, .. } => (!text.is_empty()).then(|| json!({"text": text})),
        Part::Image { .. } | Part::ImageUrl { .. } => part.as_image().map(image_part),
        Part::Thought(_) | Part::Instructions { .. } | Part::Foreign(_) => None,
    };
    message.parts().filter_map(part).collect()
}

/// <https://ai.google.dev/gemini-api/docs/file-input-methods>
fn image_part(image: Image<'_>) -> Value {
    match image {
        Image::Inline { media_type, data } => {
            json!({"inlineData": {"mimeType": media_type, "data": data}})
        }
        Image::At(url) => json!({"fileData": {"fileUri": url}}),
    }
}

/// The first of several calls has the signature of all.
fn function_calls<'a>(target: &Target, calls: &'a [ToolCall]) -> impl Iterator<Item = Words<'a>> {
    // Only the present turn needs it. What is sent for one turn is the same in the next, so that it stays cached.
    let of_first = signatures::are_checked(target).then_some(signatures::STAND_IN);
    calls.iter().enumerate().map(move |(place, call)| {
        let own = call.signature.as_deref().filter(|signature| !signature.is_empty());
        let signature = own.or(of_first.filter(|_| place == 0));
        let mut part = RequestBody::from([("functionCall", function_call(call).into())]);
        part.set_some([("thoughtSignature", signature.map(Value::from))]);
        part.into()
    })
}

fn function_call(call: &ToolCall) -> RequestBody<'_> {
    let written = call.arguments.as_str();
    let arguments = if call.arguments.is_object() {
        written.into()
    } else if written.trim_ascii() == "null" {
        json!({}).into()
    } else {
        RequestBody::from([("arguments", written.into())]).into()
    };
    RequestBody::from([
        ("id", json!(call.id).into()),
        ("name", json!(call.name).into()),
        ("args", arguments),
    ])
}

/// A result names its function again, which a tool message does not: the call that it answers does. Its images are
/// its own parts since the third generation, and stand beside it for the older ones:
/// <https://ai.google.dev/gemini-api/docs/function-calling#multimodal>
fn function_response(target: &Target, message: &Message, before: &[Message]) -> Vec<Value> {
    let id = message.tool_call_id.as_deref().unwrap_or_default();
    let calls = before.iter().rev().flat_map(|message| &message.tool_calls);
    let name = calls.into_iter().find(|call| call.id == id).map(|call| &call.name);
    let mut response = json!({
        "id": id,
        "name": name.map_or("", String::as_str),
        "response": response_object(message),
    });
    let images: Vec<Value> = message.images().map(image_part).collect();
    if images.is_empty() {
        return vec![json!({"functionResponse": response})];
    }
    if signatures::is_third_generation(target) {
        response["parts"] = Value::Array(images);
        return vec![json!({"functionResponse": response})];
    }
    std::iter::once(json!({"functionResponse": response})).chain(images).collect()
}

/// Gemini knows `error` as the key of what went wrong, and takes any other for what came out.
fn response_object(message: &Message) -> Map<String, Value> {
    let text = message.text();
    if message.is_error {
        return Map::from_iter([("error".to_owned(), json!(text))]);
    }
    serde_json::from_str::<Map<String, Value>>(&text)
        .unwrap_or_else(|_| Map::from_iter([("result".to_owned(), json!(text))]))
}

/// A model's name as `models/…` has it.
pub(super) fn model_name(target: &Target) -> &str {
    target.model.strip_prefix("models/").unwrap_or(&target.model)
}
