//! Messages, and the request that carries them to a provider.

use serde::{Deserialize, Serialize};

use super::{Tool, ToolCall};

/// Who speaks. The agent's own instructions are no message: see [`ChatRequest::system`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    User,
    Assistant,
    Tool,
}

/// One entry of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    pub text: String,
    /// The calls that an assistant message asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The call that a tool message answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

impl Message {
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, text: text.into(), tool_calls: Vec::new(), tool_call_id: None }
    }
}

/// What the conversation began with: the user's messages up to the first answer. The agent is picked on it, so
/// that a follow-up ("yes, do that") never changes the pick.
pub fn opening_request(messages: &[Message]) -> String {
    let texts: Vec<&str> = messages
        .iter()
        .take_while(|message| message.role == Role::User)
        .map(|message| message.text.as_str())
        .collect();
    texts.join("\n")
}

/// One model call, before it is put into a provider's words.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The agent that speaks; not sent to providers.
    pub agent: String,
    /// The provider's own id of the model.
    pub model: String,
    /// The agent's instructions. They come first and are the same bytes for every request to one revision.
    pub system: String,
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
    pub max_tokens: Option<u32>,
    pub is_streaming: bool,
}
