//! What is asked for in a message.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::message::{self, MessageBody};
use crate::access::Caller;
use crate::chat::{AnswerFormat, Inbound, Parameters, Protocol, Tool, ToolChoice, WrittenFields};
use crate::conversation::{Addressee, NewRun};
use crate::http::error::ApiError;
use crate::http::faces::answer::new_run;
use crate::prompt::PromptInput;

/// The header whose values switch on what fields of the body mean.
const BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// A request for a message: the fields that are understood.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateMessage {
    /// `auto`, an agent's name, or a model's alias or id.
    #[schema(example = "auto")]
    model: String,
    #[schema(value_type = Vec<Object>)]
    messages: Vec<MessageBody>,
    /// Most tokens of the answer. A message must have it.
    max_tokens: Option<u32>,
    /// A text, or blocks, which come behind the agent's own instructions.
    #[schema(value_type = Option<Value>)]
    system: Option<Value>,
    /// The caller's own tools.
    #[schema(value_type = Option<Vec<Object>>)]
    tools: Option<Vec<ToolBody>>,
    #[schema(value_type = Option<Object>)]
    tool_choice: Option<ToolChoiceBody>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<u32>,
    stop_sequences: Option<Vec<String>>,
    #[schema(value_type = Option<Object>)]
    thinking: Option<ThinkingBody>,
    #[schema(value_type = Option<Object>)]
    output_config: Option<OutputConfig>,
    stream: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct ToolBody {
    /// Absent for the caller's own tools; those that the protocol knows have theirs.
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    name: String,
    description: Option<String>,
    input_schema: Option<Value>,
    strict: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct ToolChoiceBody {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    disable_parallel_tool_use: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct ThinkingBody {
    #[serde(rename = "type", default)]
    kind: String,
}

#[derive(Debug, Deserialize)]
struct OutputConfig {
    format: Option<FormatBody>,
}

#[derive(Debug, Deserialize)]
struct FormatBody {
    schema: Option<Value>,
}

impl CreateMessage {
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether thinking is asked for, of whatever model answers.
    pub fn wants_thinking(&self) -> bool {
        self.thinking.as_ref().is_some_and(|thinking| thinking.kind != "disabled")
    }

    /// The protocol requires it.
    pub(super) fn check_max_tokens(&self) -> Result<(), ApiError> {
        match self.max_tokens {
            None => Err(ApiError::invalid_field("/max_tokens", "Field required")),
            Some(0) => Err(ApiError::invalid_field("/max_tokens", "must be 1 or more")),
            Some(_) => Ok(()),
        }
    }

    pub(super) fn read(
        self,
        whole: WrittenFields,
        headers: &HeaderMap,
        addressee: Addressee,
        caller: &Caller,
    ) -> Result<NewRun, ApiError> {
        let written = whole.get("messages").cloned().unwrap_or_default();
        let (instructions, messages) =
            message::read_all(self.system.as_ref(), self.messages, &written)?;
        let (own, tools): (Vec<ToolBody>, Vec<ToolBody>) = self
            .tools
            .unwrap_or_default()
            .into_iter()
            .partition(|tool| tool.kind.as_deref().is_some_and(|kind| kind != "custom"));
        let tools = read_tools(tools)?;
        let inbound = Inbound {
            protocol: Protocol::Messages,
            body: whole,
            headers: headers.get_all(BETA).iter().map(|value| (BETA, value.clone())).collect(),
            first_message: 0,
            message_count: messages.len(),
            leading_instructions: 0,
            tool_count: tools.len(),
            own_tools: own.into_iter().map(|tool| tool.name).collect(),
        };
        let choice = self.tool_choice.as_ref();
        let is_single = choice.and_then(|choice| choice.disable_parallel_tool_use);
        let schema = self.output_config.and_then(|config| config.format?.schema);
        let parameters = Parameters {
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            stop: self.stop_sequences.unwrap_or_default(),
            seed: None,
            tool_choice: choice.map(ToolChoiceBody::read).transpose()?,
            parallel_tool_calls: is_single.filter(|is_single| *is_single).map(|_| false),
            answer_format: schema.map(|schema| AnswerFormat::Schema {
                name: None,
                schema,
                is_strict: true,
            }),
        };
        let inbound = Some(Arc::new(inbound));
        let prompt = PromptInput { instructions, messages, tools, parameters, inbound };
        Ok(new_run(addressee, prompt, self.stream.unwrap_or(false), caller))
    }
}

fn read_tools(tools: Vec<ToolBody>) -> Result<Vec<Tool>, ApiError> {
    let read = |(index, tool): (usize, ToolBody)| {
        if tool.name.is_empty() {
            return Err(ApiError::invalid_field(format!("/tools/{index}/name"), "Field required"));
        }
        Ok(Tool {
            name: tool.name,
            description: tool.description.unwrap_or_default(),
            parameters: tool
                .input_schema
                .filter(Value::is_object)
                .unwrap_or_else(|| json!({"type": "object", "properties": {}})),
            strict: tool.strict,
            cache_control: None,
        })
    };
    tools.into_iter().enumerate().map(read).collect()
}

impl ToolChoiceBody {
    fn read(&self) -> Result<ToolChoice, ApiError> {
        match (self.kind.as_str(), &self.name) {
            ("auto", _) => Ok(ToolChoice::Auto),
            ("none", _) => Ok(ToolChoice::None),
            ("any", _) => Ok(ToolChoice::Required),
            ("tool", Some(name)) => Ok(ToolChoice::Tool(name.clone())),
            ("tool", None) => Err(ApiError::invalid_field("/tool_choice/name", "Field required")),
            _ => Err(ApiError::invalid_field(
                "/tool_choice/type",
                "must be `auto`, `any`, `tool` or `none`",
            )),
        }
    }
}
