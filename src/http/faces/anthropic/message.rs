//! The messages of Anthropic's protocol, in neutral words.
//!
//! Blocks that only the protocol knows are said to be there; a provider of the same protocol is sent them as they came.

use std::cell::LazyCell;

use bytestring::ByteString;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::chat::{Message, Part, ToolCall, WrittenJson, written_fields, written_items};
use crate::http::error::ApiError;

/// One entry of a conversation.
#[derive(Debug, Deserialize)]
pub(super) struct MessageBody {
    role: String,
    /// A text, or a list of blocks.
    #[serde(default)]
    content: Value,
}

/// The caller's instructions, and the messages without them. Some clients have instructions among the messages, too.
/// `written` is the list of the messages as it is written.
pub(super) fn read_all(
    system: Option<&Value>,
    bodies: Vec<MessageBody>,
    written: &ByteString,
) -> Result<(String, Vec<Message>), ApiError> {
    if bodies.is_empty() {
        return Err(ApiError::invalid_field("/messages", "at least one message is required"));
    }
    let mut instructions = read_instructions(system.unwrap_or(&Value::Null))
        .map_err(|error| error.within("/system"))?;
    let mut messages = Vec::new();
    let items = LazyCell::new(|| written_items(written));
    for (index, MessageBody { role, content }) in bodies.into_iter().enumerate() {
        let within = |error: ApiError| error.within(&format!("/messages/{index}"));
        match role.as_str() {
            "system" => {
                let texts = read_instructions(&content);
                instructions.extend(texts.map_err(|error| within(error.within("/content")))?);
            }
            "user" => messages.extend(read_user(&content).map_err(within)?),
            "assistant" => {
                let written = || written.slice_ref(items.get(index).copied().unwrap_or_default());
                messages.push(read_assistant(&content, written).map_err(within)?);
            }
            _ => {
                let error = ApiError::invalid_field("/role", "must be `user` or `assistant`");
                return Err(within(error));
            }
        }
    }
    instructions.retain(|text| !text.is_empty());
    Ok((instructions.join("\n\n"), messages))
}

/// A text, or blocks of text.
fn read_instructions(content: &Value) -> Result<Vec<String>, ApiError> {
    match content {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![text.clone()]),
        Value::Array(blocks) => {
            let texts = blocks.iter().filter_map(|block| block["text"].as_str());
            Ok(texts.map(str::to_owned).collect())
        }
        _ => Err(ApiError::invalid_field("", "must be a text or a list of blocks")),
    }
}

/// The results of tools are messages of their own, before what the user says.
fn read_user(content: &Value) -> Result<Vec<Message>, ApiError> {
    let (mut messages, mut said) = (Vec::new(), Vec::new());
    for (index, block) in blocks(content)?.iter().enumerate() {
        let within = |error: ApiError| error.within(&format!("/content/{index}"));
        if block["type"] == "tool_result" {
            messages.push(read_result(block).map_err(within)?);
        } else {
            said.push(read_part(block).map_err(within)?);
        }
    }
    if !said.is_empty() || messages.is_empty() {
        messages.push(Message { content: said, ..Message::user("") });
    }
    Ok(messages)
}

fn read_result(block: &Value) -> Result<Message, ApiError> {
    let id = block["tool_use_id"]
        .as_str()
        .ok_or_else(|| ApiError::invalid_field("/tool_use_id", "Field required"))?;
    let read = |(index, block): (usize, &Value)| {
        read_part(block).map_err(|error| error.within(&format!("/content/{index}")))
    };
    let parts =
        blocks(&block["content"])?.iter().enumerate().map(read).collect::<Result<_, _>>()?;
    Ok(Message::tool_result(id.to_owned(), parts, block["is_error"] == true))
}

/// The `input` of each block of a message, as it is written.
fn written_inputs(message: &ByteString) -> Vec<Option<ByteString>> {
    let content = written_fields(message).swap_remove("content").unwrap_or_default();
    let blocks = written_items(&content).into_iter();
    let input = |block: &str| written_fields(&content.slice_ref(block)).swap_remove("input");
    blocks.map(input).collect()
}

/// Thinking is left out: it belongs to the model that thought it, and comes back to that alone, as it was. `written` is the
/// message as it is written.
fn read_assistant(content: &Value, written: impl Fn() -> ByteString) -> Result<Message, ApiError> {
    let (mut said, mut calls) = (Vec::new(), Vec::new());
    let inputs = LazyCell::new(|| written_inputs(&written()));
    for (index, block) in blocks(content)?.iter().enumerate() {
        let field = |name: &str| {
            let pointer = format!("/content/{index}/{name}");
            move || ApiError::invalid_field(pointer, "Field required")
        };
        match block["type"].as_str().ok_or_else(field("type"))? {
            "text" => said.push(Part::text(block["text"].as_str().ok_or_else(field("text"))?)),
            "tool_use" => {
                let id = block["id"].as_str().ok_or_else(field("id"))?;
                let name = block["name"].as_str().ok_or_else(field("name"))?;
                let input = inputs.get(index).cloned().flatten();
                let input = input.and_then(|input| WrittenJson::read(input).ok());
                let input = input.filter(WrittenJson::is_object);
                let arguments = input.unwrap_or_else(WrittenJson::empty_object);
                calls.push(ToolCall::new(id, name, arguments));
            }
            _ => {}
        }
    }
    Ok(Message::assistant(said, calls))
}

/// A text is one block.
fn blocks(content: &Value) -> Result<Vec<Value>, ApiError> {
    match content {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![json!({"type": "text", "text": text})]),
        Value::Array(blocks) => Ok(blocks.clone()),
        _ => Err(ApiError::invalid_field("/content", "must be a text or a list of blocks")),
    }
}

fn read_part(block: &Value) -> Result<Part, ApiError> {
    let required = |name: &str| ApiError::invalid_field(format!("/{name}"), "Field required");
    let kind = block["type"].as_str().ok_or_else(|| required("type"))?;
    let source = &block["source"];
    match (kind, source["type"].as_str()) {
        ("text", _) => block["text"].as_str().map(Part::text).ok_or_else(|| required("text")),
        ("image", Some("base64")) => {
            let field = |name: &str| {
                let text = source[name].as_str().filter(|text| !text.is_empty());
                text.map(str::to_owned).ok_or_else(|| required(&format!("source/{name}")))
            };
            Ok(Part::Image { media_type: field("media_type")?, data: field("data")? })
        }
        ("image", Some("url")) => {
            let url = source["url"].as_str().ok_or_else(|| required("source/url"))?;
            if !url.starts_with("https://") && !url.starts_with("http://") {
                return Err(ApiError::invalid_field("/source/url", "must begin with `https://`"));
            }
            Ok(Part::ImageUrl { url: url.to_owned() })
        }
        ("image", None) => Err(required("source")),
        ("document", Some("text")) => {
            source["data"].as_str().map(Part::text).ok_or_else(|| required("source/data"))
        }
        (other, _) => {
            Ok(Part::text(format!("(A part of the type `{other}` cannot be shown to this model.)")))
        }
    }
}
