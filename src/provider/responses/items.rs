//! Messages as items of the Responses API: a call is an item beside the message that it came with, and so is thinking.

use serde_json::{Value, json};

use crate::chat::{Message, Part, Protocol, Role, ToolCall};
use crate::provider::Target;
use crate::provider::openai_words::image_url;
use crate::provider::request_body::{RequestBody, Words};

pub(super) fn encode<'a>(
    target: &Target,
    messages: &'a [Message],
) -> impl Iterator<Item = Words<'a>> {
    let full_name = target.full_name();
    messages.iter().flat_map(move |message| items(&full_name, message))
}

/// In the order of the message's parts. Those that have the protocol's own words stand apart from the others.
fn items<'a>(full_name: &str, message: &'a Message) -> Vec<Words<'a>> {
    let (mut items, mut said) = (Vec::new(), Vec::new());
    for part in &message.content {
        match own_words(full_name, part) {
            Some(own) => {
                if message.role != Role::Tool {
                    items.extend(item(message, &std::mem::take(&mut said)));
                }
                items.push(own);
            }
            None => said.extend(part.meaning()),
        }
    }
    items.extend(item(message, &said));
    let calls = message.tool_calls.iter().filter(|call| !message.is_foreign_call(&call.id));
    items.extend(calls.map(|call| function_call(full_name, call)));
    items
}

fn own_words<'a>(full_name: &str, part: &'a Part) -> Option<Words<'a>> {
    match part {
        Part::Foreign(item) if item.protocol == Protocol::Responses => Some((&*item.item).into()),
        Part::Thought(thought) => thought.for_model(full_name).cloned().map(Words::from),
        _ => None,
    }
}

/// The item of parts that follow each other, if they say anything. Content goes out as one text if it can: as parts, what
/// an assistant said would need an id.
fn item<'a>(message: &Message, said: &[&Part]) -> Option<Words<'a>> {
    let item = match message.role {
        Role::User if said.is_empty() => return None,
        Role::User => json!({"role": "user", "content": content(said, false)}),
        Role::Tool => {
            let id = message.tool_call_id.as_deref().unwrap_or_default();
            if message.is_foreign_call(id) {
                return None;
            }
            json!({
                "type": "function_call_output",
                "call_id": id,
                "output": content(said, message.is_error),
            })
        }
        Role::Assistant => {
            let text = texts(said);
            if text.is_empty() {
                return None;
            }
            json!({"role": "assistant", "content": text})
        }
    };
    Some(item.into())
}

fn texts(parts: &[&Part]) -> String {
    let texts: Vec<&str> = parts.iter().filter_map(|part| part.as_text()).collect();
    texts.join("\n")
}

/// A text, or parts in their order if there are images: texts may say which is which. The result of a tool may have them
/// as well: <https://platform.openai.com/docs/guides/function-calling>. There is no field that tells of its failure.
fn content(parts: &[&Part], is_error: bool) -> Value {
    if parts.iter().all(|part| part.as_image().is_none()) {
        let text = texts(parts);
        return if is_error { json!(format!("Error: {text}")) } else { json!(text) };
    }
    let text = |text: &str| json!({"type": "input_text", "text": text});
    let part = |part: &&Part| match part.as_text() {
        Some(words) => (!words.is_empty()).then(|| text(words)),
        None => part
            .as_image()
            .map(|image| json!({"type": "input_image", "image_url": image_url(image)})),
    };
    let failure = is_error.then(|| text("Error:"));
    failure.into_iter().chain(parts.iter().filter_map(part)).collect()
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
