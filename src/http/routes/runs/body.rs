//! What is asked for in a run.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Caller;
use crate::chat::{Parameters, Tool, ToolChoice};
use crate::conversation::{Idempotency, InConversation, NewRun};
use crate::http::error::ApiError;
use crate::http::routes::conversations::seen_by;
use crate::http::routes::messages::{CandidatesBody, MessageBody, read_messages};
use crate::prompt::PromptInput;

/// A request for an answer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRun {
    /// What is asked for. Either this or `messages`.
    #[schema(example = "I need an API route for user login with JWT")]
    input: Option<String>,
    messages: Option<Vec<MessageBody>>,
    /// The agent, if it is known; else one is picked.
    agent: Option<String>,
    candidates: Option<CandidatesBody>,
    /// The stored conversation that it goes on with: `input` or `messages` come behind what is there.
    conversation_id: Option<Uuid>,
    /// The caller's own tools.
    #[serde(default)]
    tools: Vec<Tool>,
    /// A model alias, a model id, or `provider/model`, in place of the agent's own.
    model: Option<String>,
    /// Most tokens of the answer.
    max_tokens: Option<u32>,
    /// A parameter that the model refuses is left out, and the run's `warnings` say so.
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<u32>,
    /// Texts that end the answer before they are written.
    #[serde(default)]
    stop: Vec<String>,
    /// `auto`, `none`, `required`, or `{"name": "…"}`: the tool that must be called.
    #[schema(value_type = Option<Value>)]
    tool_choice: Option<ToolChoiceBody>,
    /// Kept with the run and given back.
    #[schema(value_type = Option<Value>)]
    metadata: Option<serde_json::Map<String, Value>>,
    /// Server-sent events instead of one JSON answer.
    #[serde(default)]
    pub(super) stream: bool,
    /// Answer at once, and let the run go on when the caller leaves.
    #[serde(default)]
    pub(super) background: bool,
}

/// Whether a tool must be called.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected `auto`, `none`, `required` or {\"name\": \"…\"}")]
enum ToolChoiceBody {
    Word(ToolChoiceWord),
    Tool(NamedTool),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ToolChoiceWord {
    Auto,
    None,
    Required,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedTool {
    name: String,
}

impl From<ToolChoiceBody> for ToolChoice {
    fn from(body: ToolChoiceBody) -> Self {
        match body {
            ToolChoiceBody::Word(ToolChoiceWord::Auto) => Self::Auto,
            ToolChoiceBody::Word(ToolChoiceWord::None) => Self::None,
            ToolChoiceBody::Word(ToolChoiceWord::Required) => Self::Required,
            ToolChoiceBody::Tool(NamedTool { name }) => Self::Tool(name),
        }
    }
}

impl CreateRun {
    pub(in crate::http::routes) fn read(
        self,
        caller: &Caller,
        idempotency: Option<Idempotency>,
    ) -> Result<NewRun, ApiError> {
        let conversation = self.conversation_id.map(|id| seen_by(caller, id));
        if self.max_tokens == Some(0) {
            return Err(ApiError::invalid_field("/max_tokens", "must be 1 or more"));
        }
        Ok(NewRun {
            agent: self.agent,
            candidates: self.candidates.unwrap_or_default().read()?,
            permitted: caller.permitted_agents(),
            model: self.model,
            prompt: PromptInput {
                messages: read_messages(self.input, self.messages, conversation.is_some())?,
                tools: self.tools,
                parameters: Parameters {
                    max_tokens: self.max_tokens,
                    temperature: self.temperature,
                    top_p: self.top_p,
                    top_k: self.top_k,
                    stop: self.stop,
                    tool_choice: self.tool_choice.map(ToolChoice::from),
                    ..Parameters::default()
                },
                ..PromptInput::default()
            },
            conversation: conversation.map_or(InConversation::None, InConversation::Existing),
            needs_answer: false,
            is_streaming: self.stream,
            is_background: self.background,
            idempotency,
            metadata: self.metadata.map(Value::Object),
            asked_as_response: None,
            key_id: caller.key_id(),
        })
    }
}
