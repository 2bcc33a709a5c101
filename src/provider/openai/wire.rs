//! The parts of the Chat Completions wire format that are read. Compatible servers leave out or null
//! nearly everything, so nearly everything is optional.

use serde::Deserialize;

use crate::provider::lenient::null_is_default;
use crate::provider::openai_error::ErrorDetail;

#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    #[serde(default, deserialize_with = "null_is_default")]
    pub model: String,
    #[serde(default, deserialize_with = "null_is_default")]
    pub choices: Vec<Choice>,
    pub usage: Option<Usage>,
    /// Some servers report an error inside a stream that began with status 200.
    pub error: Option<ErrorDetail>,
}

/// A choice of a whole answer has a `message`, one of a chunk has a `delta`; they look alike.
#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    #[serde(default, deserialize_with = "null_is_default")]
    pub index: u64,
    #[serde(default, deserialize_with = "null_is_default")]
    pub delta: Delta,
    #[serde(default, deserialize_with = "null_is_default")]
    pub message: Delta,
    pub finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Delta {
    pub content: Option<String>,
    pub refusal: Option<String>,
    /// Thinking, as `DeepSeek` and others send it.
    pub reasoning_content: Option<String>,
    /// Thinking, as vLLM and others send it. No alias: servers that send both would repeat a field.
    pub reasoning: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub tool_calls: Vec<ToolCall>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ToolCall {
    pub index: Option<u64>,
    pub id: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub function: Function,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Function {
    pub name: Option<String>,
    pub arguments: Option<String>,
}

/// `prompt_tokens` includes the cached ones.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Usage {
    #[serde(default, deserialize_with = "null_is_default")]
    pub prompt_tokens: u64,
    #[serde(default, deserialize_with = "null_is_default")]
    pub completion_tokens: u64,
    pub prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct PromptDetails {
    pub cached_tokens: Option<u64>,
}
