//! What is asked for in a response.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::item_id::run_of_response;
use super::response::Repeated;
use super::{input, item};
use crate::access::Caller;
use crate::chat::{
    AnswerFormat, Inbound, Parameters, Protocol, Tool, ToolChoice, WrittenFields, written_items,
};
use crate::conversation::{Addressee, ConversationRef, InConversation, NewRun, RunRef};
use crate::http::error::ApiError;
use crate::http::error_code::ErrorCode;
use crate::http::faces::answer::new_run;
use crate::prompt::PromptInput;

/// A request for a response: the fields that are understood.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateResponse {
    /// `auto`, an agent's name, or a model's alias or id.
    #[schema(example = "auto")]
    model: String,
    /// A text, or a list of items.
    #[schema(value_type = Option<Value>, example = "Review this function.")]
    input: Option<Value>,
    /// They come behind the agent's own instructions.
    instructions: Option<String>,
    /// The stored response that this one follows.
    previous_response_id: Option<String>,
    /// The stored conversation that the response belongs to: its id, or an object with it.
    #[schema(value_type = Option<Value>)]
    conversation: Option<ConversationBody>,
    /// The caller's own functions, and tools that only the protocol knows.
    #[schema(value_type = Option<Vec<Object>>)]
    tools: Option<Vec<ToolBody>>,
    #[schema(value_type = Option<Value>)]
    tool_choice: Option<Value>,
    parallel_tool_calls: Option<bool>,
    max_output_tokens: Option<u32>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    /// How the answer is formatted: `{"format": {"type": "text" | "json_object" | "json_schema"}}`.
    #[schema(value_type = Option<Object>)]
    text: Option<TextBody>,
    /// An object.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// Whether the response can be found again, and followed by another. It can if this is not said.
    store: Option<bool>,
    /// Whether the response goes on when the caller leaves. It is answered as it has begun.
    background: Option<bool>,
    stream: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a conversation's id, or an object with it")]
enum ConversationBody {
    Id(String),
    Object { id: String },
}

#[derive(Debug, Deserialize)]
struct ToolBody {
    #[serde(rename = "type", default)]
    kind: String,
    name: Option<String>,
    description: Option<String>,
    parameters: Option<Value>,
    strict: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct TextBody {
    format: Option<FormatBody>,
}

#[derive(Debug, Deserialize)]
struct FormatBody {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    schema: Option<Value>,
    strict: Option<bool>,
}

impl CreateResponse {
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The items, in which references may stand.
    pub(super) fn input_mut(&mut self) -> Option<&mut Value> {
        self.input.as_mut()
    }

    fn is_background(&self) -> bool {
        self.background.unwrap_or(false)
    }

    /// Whether it is answered as it has begun, and nobody waits for more.
    pub fn is_sent_away(&self) -> bool {
        self.is_background() && !self.stream.unwrap_or(false)
    }

    pub(super) fn read(
        self,
        mut whole: WrittenFields,
        addressee: Addressee,
        caller: &Caller,
        can_store: bool,
    ) -> Result<(NewRun, Repeated), ApiError> {
        if self.max_output_tokens == Some(0) {
            return Err(ApiError::invalid_field("/max_output_tokens", "must be 1 or more"));
        }
        let is_stored = can_store && self.store.unwrap_or(true);
        if self.is_background() && !is_stored {
            let detail = "a response in the background is fetched later: it must be stored";
            return Err(ApiError::invalid_field("/background", detail));
        }
        let conversation = self.conversation(is_stored, caller)?;
        let repeated = Repeated::of_request(&whole);
        let is_text = matches!(self.input, Some(Value::String(_)));
        let mut items = item::as_items(self.input)?;
        // Else the items stay as they are written.
        if item::remove_own_ids(&mut items) || is_text {
            whole.insert("input".into(), json!(items).to_string().into());
        }
        let written = whole.get("input").map_or_else(Vec::new, |input| written_items(input));
        let messages = input::read_all(&items, &written)?;
        if messages.is_empty() {
            return Err(ApiError::invalid_field("/input", "must say something"));
        }
        let (tools, own): (Vec<ToolBody>, Vec<ToolBody>) =
            self.tools.unwrap_or_default().into_iter().partition(|tool| tool.kind == "function");
        let tools = read_tools(tools)?;
        let inbound = Inbound {
            protocol: Protocol::Responses,
            body: whole,
            headers: Vec::new(),
            first_message: 0,
            message_count: messages.len(),
            leading_instructions: 0,
            tool_count: tools.len(),
            own_tools: own.into_iter().map(|tool| tool.name.unwrap_or(tool.kind)).collect(),
        };
        let parameters = Parameters {
            max_tokens: self.max_output_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: None,
            stop: Vec::new(),
            seed: None,
            tool_choice: self.tool_choice.as_ref().and_then(read_tool_choice),
            parallel_tool_calls: self.parallel_tool_calls,
            answer_format: self.text.map(TextBody::read).transpose()?.flatten(),
        };
        let instructions = self.instructions.unwrap_or_default();
        let inbound = Some(Arc::new(inbound));
        let (is_background, message_count) = (self.background.unwrap_or(false), messages.len());
        let prompt = PromptInput { instructions, messages, tools, parameters, inbound };
        let new = NewRun {
            conversation,
            is_background,
            metadata: self.metadata.map(Value::Object),
            asked_as_response: is_stored.then(|| repeated.kept(message_count)),
            ..new_run(addressee, prompt, self.stream.unwrap_or(false), caller)
        };
        Ok((new, repeated))
    }

    fn conversation(&self, is_stored: bool, caller: &Caller) -> Result<InConversation, ApiError> {
        let owner = caller.sees_only();
        match (&self.previous_response_id, &self.conversation) {
            (Some(_), Some(_)) => {
                let detail = "either `previous_response_id` or `conversation` can be given";
                Err(ApiError::invalid_field("/conversation", detail))
            }
            (Some(id), None) => {
                let run_id = run_of_response(id).ok_or_else(|| previous_not_found(id))?;
                Ok(InConversation::Behind { run: RunRef { id: run_id, owner }, is_kept: is_stored })
            }
            (None, Some(ConversationBody::Id(id) | ConversationBody::Object { id })) => {
                let bare = id.strip_prefix("conv_").unwrap_or(id);
                let id = Uuid::try_parse(bare).map_err(|_| {
                    ApiError::invalid_field("/conversation", "must be the id of a conversation")
                })?;
                Ok(InConversation::Existing(ConversationRef { id, owner }))
            }
            (None, None) if is_stored => Ok(InConversation::New),
            (None, None) => Ok(InConversation::None),
        }
    }
}

fn previous_not_found(id: &str) -> ApiError {
    let detail = format!("Previous response with id '{id}' not found.");
    ApiError::new(ErrorCode::PreviousResponseNotFound, detail)
        .at("/previous_response_id".to_owned())
}

fn read_tools(tools: Vec<ToolBody>) -> Result<Vec<Tool>, ApiError> {
    let read = |(index, tool): (usize, ToolBody)| {
        let name = tool.name.filter(|name| !name.is_empty());
        let pointer = format!("/tools/{index}/name");
        Ok(Tool {
            name: name.ok_or_else(|| ApiError::invalid_field(pointer, "a name is missing"))?,
            description: tool.description.unwrap_or_default(),
            // No parameters are parameters of no properties.
            parameters: tool
                .parameters
                .filter(Value::is_object)
                .unwrap_or_else(|| json!({"type": "object", "properties": {}})),
            strict: tool.strict,
            cache_control: None,
        })
    };
    tools.into_iter().enumerate().map(read).collect()
}

/// A choice among tools that only the protocol knows is left to providers of the protocol.
fn read_tool_choice(choice: &Value) -> Option<ToolChoice> {
    match (choice.as_str(), choice["type"].as_str(), choice["name"].as_str()) {
        (Some("auto"), ..) => Some(ToolChoice::Auto),
        (Some("none"), ..) => Some(ToolChoice::None),
        (Some("required"), ..) => Some(ToolChoice::Required),
        (None, Some("function"), Some(name)) => Some(ToolChoice::Tool(name.to_owned())),
        (None, Some("allowed_tools"), _) => {
            let is_required = choice["mode"] == "required";
            Some(if is_required { ToolChoice::Required } else { ToolChoice::Auto })
        }
        _ => None,
    }
}

impl TextBody {
    fn read(self) -> Result<Option<AnswerFormat>, ApiError> {
        self.format.map_or(Ok(None), FormatBody::read)
    }
}

impl FormatBody {
    /// `None` for a text, which every answer is.
    fn read(self) -> Result<Option<AnswerFormat>, ApiError> {
        let Self { kind, name, schema, strict } = self;
        match (kind.as_str(), schema) {
            ("text", _) => Ok(None),
            ("json_object", _) => Ok(Some(AnswerFormat::Object)),
            ("json_schema", Some(schema)) => {
                let is_strict = strict.unwrap_or(false);
                Ok(Some(AnswerFormat::Schema { name, schema, is_strict }))
            }
            ("json_schema", None) => {
                Err(ApiError::invalid_field("/text/format/schema", "a schema is missing"))
            }
            _ => Err(ApiError::invalid_field(
                "/text/format/type",
                "must be `text`, `json_object` or `json_schema`",
            )),
        }
    }
}
