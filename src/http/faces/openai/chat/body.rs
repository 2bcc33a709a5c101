//! What is asked for in a chat completion.

use std::sync::Arc;

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

/// A request for a chat completion: the fields that are understood.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateChatCompletion {
    /// `auto`, an agent's name, or a model's alias or id.
    #[schema(example = "auto")]
    model: String,
    #[schema(value_type = Vec<Object>)]
    messages: Vec<MessageBody>,
    /// The caller's own functions, and tools that only the protocol knows.
    #[schema(value_type = Option<Vec<Object>>)]
    tools: Option<Vec<ToolBody>>,
    #[schema(value_type = Option<Value>)]
    tool_choice: Option<Value>,
    parallel_tool_calls: Option<bool>,
    max_completion_tokens: Option<u32>,
    /// The older name of `max_completion_tokens`.
    max_tokens: Option<u32>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    seed: Option<i64>,
    /// A text, or a list of texts.
    #[schema(value_type = Option<Value>)]
    stop: Option<StopBody>,
    /// `text`, `json_object` or `json_schema`.
    #[schema(value_type = Option<Object>)]
    response_format: Option<FormatBody>,
    /// How many answers; no more than one.
    n: Option<u32>,
    stream: Option<bool>,
    #[schema(value_type = Option<Object>)]
    stream_options: Option<StreamOptions>,
}

#[derive(Debug, Deserialize)]
struct ToolBody {
    #[serde(rename = "type", default)]
    kind: String,
    function: Option<FunctionBody>,
    custom: Option<CustomBody>,
}

#[derive(Debug, Deserialize)]
struct CustomBody {
    name: String,
}

#[derive(Debug, Deserialize)]
struct FunctionBody {
    name: String,
    description: Option<String>,
    parameters: Option<Value>,
    strict: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
enum StopBody {
    One(String),
    Several(Vec<String>),
}

#[derive(Debug, Deserialize)]
struct FormatBody {
    #[serde(rename = "type")]
    kind: String,
    json_schema: Option<SchemaBody>,
}

#[derive(Debug, Deserialize)]
struct SchemaBody {
    name: Option<String>,
    schema: Option<Value>,
    strict: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

impl CreateChatCompletion {
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether a stream ends with the usage.
    pub fn wants_usage(&self) -> bool {
        let options = self.stream_options.as_ref();
        options.and_then(|options| options.include_usage).unwrap_or(false)
    }

    pub(super) fn read(
        self,
        whole: WrittenFields,
        addressee: Addressee,
        caller: &Caller,
    ) -> Result<NewRun, ApiError> {
        if self.n.is_some_and(|count| count != 1) {
            return Err(ApiError::invalid_field("/n", "only one answer is given: `n` must be 1"));
        }
        let max_tokens = self.max_completion_tokens.or(self.max_tokens);
        if max_tokens == Some(0) {
            return Err(ApiError::invalid_field("/max_completion_tokens", "must be 1 or more"));
        }
        let leading_instructions = message::count_leading_instructions(&self.messages);
        let (instructions, messages) = message::read_all(self.messages)?;
        let (tools, own_tools) = read_tools(self.tools.unwrap_or_default())?;
        let inbound = Inbound {
            protocol: Protocol::ChatCompletions,
            body: whole,
            headers: Vec::new(),
            first_message: 0,
            message_count: messages.len(),
            leading_instructions,
            tool_count: tools.len(),
            own_tools,
        };
        let parameters = Parameters {
            max_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: None,
            stop: match self.stop {
                None => Vec::new(),
                Some(StopBody::One(text)) => vec![text],
                Some(StopBody::Several(texts)) => texts,
            },
            seed: self.seed,
            tool_choice: self.tool_choice.as_ref().map_or(Ok(None), read_tool_choice)?,
            parallel_tool_calls: self.parallel_tool_calls,
            answer_format: self.response_format.map(FormatBody::read).transpose()?.flatten(),
        };
        let inbound = Some(Arc::new(inbound));
        let prompt = PromptInput { instructions, messages, tools, parameters, inbound };
        Ok(new_run(addressee, prompt, self.stream.unwrap_or(false), caller))
    }
}

/// The functions, and the names of the tools that only the protocol knows. One without a name goes by its type.
fn read_tools(tools: Vec<ToolBody>) -> Result<(Vec<Tool>, Vec<String>), ApiError> {
    let (mut functions, mut own) = (Vec::new(), Vec::new());
    for (index, ToolBody { kind, function, custom }) in tools.into_iter().enumerate() {
        let missing = |name: &str, detail: &str| {
            ApiError::invalid_field(format!("/tools/{index}/{name}"), detail)
        };
        match kind.as_str() {
            "" => return Err(missing("type", "is missing")),
            "function" => functions
                .push(function.ok_or_else(|| missing("function", "a function is missing"))?.read()),
            "custom" => {
                own.push(custom.ok_or_else(|| missing("custom", "a custom tool is missing"))?.name);
            }
            _ => own.push(kind),
        }
    }
    Ok((functions, own))
}

impl FunctionBody {
    fn read(self) -> Tool {
        let Self { name, description, parameters, strict } = self;
        Tool {
            name,
            description: description.unwrap_or_default(),
            // No parameters are parameters of no properties.
            parameters: parameters
                .filter(Value::is_object)
                .unwrap_or_else(|| json!({"type": "object", "properties": {}})),
            strict,
            cache_control: None,
        }
    }
}

/// A choice of a kind that only the protocol knows is left to providers of the protocol.
fn read_tool_choice(choice: &Value) -> Result<Option<ToolChoice>, ApiError> {
    let name = choice["function"]["name"].as_str();
    Ok(match (choice.as_str(), name, choice["type"].as_str()) {
        (Some("auto"), ..) => Some(ToolChoice::Auto),
        (Some("none"), ..) => Some(ToolChoice::None),
        (Some("required"), ..) => Some(ToolChoice::Required),
        (None, Some(name), _) => Some(ToolChoice::Tool(name.to_owned())),
        (None, None, Some("allowed_tools")) => {
            let is_required = choice["allowed_tools"]["mode"] == "required";
            Some(if is_required { ToolChoice::Required } else { ToolChoice::Auto })
        }
        (None, None, Some(kind)) if kind != "function" => None,
        _ => {
            return Err(ApiError::invalid_field(
                "/tool_choice",
                "must be `none`, `auto`, `required` or a function's name",
            ));
        }
    })
}

impl FormatBody {
    /// `None` for a text, which every answer is.
    fn read(self) -> Result<Option<AnswerFormat>, ApiError> {
        match self.kind.as_str() {
            "text" => Ok(None),
            "json_object" => Ok(Some(AnswerFormat::Object)),
            "json_schema" => {
                let missing = || {
                    let pointer = "/response_format/json_schema";
                    ApiError::invalid_field(pointer, "a `json_schema` with a `schema` is missing")
                };
                let SchemaBody { name, schema, strict } = self.json_schema.ok_or_else(missing)?;
                let schema = schema.ok_or_else(missing)?;
                let is_strict = strict.unwrap_or(false);
                Ok(Some(AnswerFormat::Schema { name, schema, is_strict }))
            }
            _ => Ok(Some(AnswerFormat::Own(Protocol::ChatCompletions))),
        }
    }
}
