//! The messages of a chat completion, in neutral words.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::chat::{Message, Part, Role, ToolCall, WrittenJson};
use crate::http::error::ApiError;
use crate::http::faces::openai::content::{read_arguments, read_image, unknown_part};

/// One entry of a conversation.
#[derive(Debug, Deserialize)]
pub(super) struct MessageBody {
    role: String,
    /// A text, or a list of parts.
    content: Option<Value>,
    /// What the model said when it refused.
    refusal: Option<String>,
    tool_calls: Option<Vec<ToolCallBody>>,
    tool_call_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ToolCallBody {
    #[serde(default)]
    id: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    function: Option<CalledFunction>,
    custom: Option<CalledTool>,
}

#[derive(Debug, Deserialize)]
struct CalledTool {
    name: String,
    #[serde(default)]
    input: String,
}

#[derive(Debug, Deserialize)]
struct CalledFunction {
    name: String,
    #[serde(default)]
    arguments: Value,
}

/// The caller's instructions, and the messages without them. Instructions count wherever they stand: other protocols
/// have one place for them.
pub(super) fn read_all(bodies: Vec<MessageBody>) -> Result<(String, Vec<Message>), ApiError> {
    if bodies.is_empty() {
        return Err(ApiError::invalid_field("/messages", "must not be empty"));
    }
    let (mut instructions, mut messages) = (Vec::new(), Vec::new());
    for (index, body) in bodies.into_iter().enumerate() {
        let within = |error: ApiError| error.within(&format!("/messages/{index}"));
        if body.is_instruction() {
            let content = read_content(body.content).map_err(within)?;
            instructions.extend(content.iter().filter_map(Part::as_text).map(str::to_owned));
        } else {
            messages.push(body.read().map_err(within)?);
        }
    }
    instructions.retain(|text| !text.is_empty());
    Ok((instructions.join("\n\n"), messages))
}

/// How many messages are instructions before the first one that is not.
pub(super) fn count_leading_instructions(bodies: &[MessageBody]) -> usize {
    bodies.iter().take_while(|body| body.is_instruction()).count()
}

impl MessageBody {
    fn is_instruction(&self) -> bool {
        matches!(self.role.as_str(), "system" | "developer")
    }

    fn read(self) -> Result<Message, ApiError> {
        let mut content = read_content(self.content)?;
        match self.role.as_str() {
            "user" => Ok(Message { content, ..Message::user("") }),
            "assistant" => {
                content.extend(self.refusal.filter(|text| !text.is_empty()).map(Part::text));
                let calls = self.tool_calls.unwrap_or_default().into_iter().enumerate();
                let calls =
                    calls.map(|(index, call)| call.read(index)).collect::<Result<_, _>>()?;
                Ok(Message::assistant(content, calls))
            }
            "tool" => {
                let id = self.tool_call_id.ok_or_else(|| {
                    ApiError::invalid_field("/tool_call_id", "a tool message must have it")
                })?;
                Ok(Message::tool_result(id, content, false))
            }
            _ => {
                let detail = "must be `system`, `developer`, `user`, `assistant` or `tool`";
                Err(ApiError::invalid_field("/role", detail))
            }
        }
        .and_then(|message| match message.role {
            Role::Assistant if message.images().next().is_some() => {
                Err(ApiError::invalid_field("/content", "an assistant message holds no image"))
            }
            _ => Ok(message),
        })
    }
}

impl ToolCallBody {
    fn read(self, index: usize) -> Result<ToolCall, ApiError> {
        if let Some(CalledTool { name, input }) = self.custom {
            return Ok(ToolCall::new(self.id, name, json!({"input": input})));
        }
        match (self.function, self.kind) {
            (Some(CalledFunction { name, arguments }), _) => {
                Ok(ToolCall::new(self.id, name, read_arguments(arguments)))
            }
            // What it is called with only the protocol knows: see `Inbound`.
            (None, Some(kind)) if !matches!(&*kind, "function" | "custom") => {
                Ok(ToolCall::new(self.id, kind, WrittenJson::empty_object()))
            }
            (None, kind) => {
                let missing = kind.as_deref().unwrap_or("function");
                let pointer = format!("/tool_calls/{index}/{missing}");
                Err(ApiError::invalid_field(pointer, "is missing"))
            }
        }
    }
}

fn read_content(content: Option<Value>) -> Result<Vec<Part>, ApiError> {
    match content {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::text(text)]),
        Some(Value::Array(parts)) => {
            let read = |(index, part): (usize, &Value)| {
                read_part(part).map_err(|error| error.within(&format!("/content/{index}")))
            };
            parts.iter().enumerate().map(read).collect()
        }
        Some(_) => Err(ApiError::invalid_field("/content", "must be a text or a list of parts")),
    }
}

fn read_part(part: &Value) -> Result<Part, ApiError> {
    let missing = |field: &str| ApiError::invalid_field(format!("/{field}"), "is missing");
    let kind = part["type"].as_str().ok_or_else(|| missing("type"))?;
    let text = |field: &str| part[field].as_str().ok_or_else(|| missing(field)).map(Part::text);
    match kind {
        "text" => text("text"),
        "refusal" => text("refusal"),
        "image_url" => {
            // Some clients write the URL where the object belongs.
            let url = part["image_url"]["url"].as_str().or_else(|| part["image_url"].as_str());
            read_image(url.ok_or_else(|| missing("image_url"))?, "/image_url/url")
        }
        // Kinds that only the protocol knows: see `Inbound`.
        other => Ok(unknown_part(other)),
    }
}
