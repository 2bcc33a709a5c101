//! The parts of the Chat Completions wire format that are read. Compatible servers leave out or null
//! nearly everything, so nearly everything is optional.

use serde::Deserialize;
use serde_json::Value;

use crate::provider::lenient::{null_is_default, text_or_json, texts};
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
    #[serde(default)]
    pub content: Content,
    pub refusal: Option<String>,
    /// Thinking, as `DeepSeek` and others send it.
    pub reasoning_content: Option<String>,
    /// Thinking, as vLLM and others send it. No alias: servers that send both would repeat a field.
    pub reasoning: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub tool_calls: Vec<ToolCall>,
}

/// A text; with Mistral and others also a list of parts, thinking among them.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "Value")]
pub(super) struct Content {
    pub text: String,
    pub thinking: String,
}

impl From<Value> for Content {
    fn from(content: Value) -> Self {
        let mut read = Self::default();
        let parts = match content {
            Value::String(text) => return Self { text, ..read },
            Value::Array(parts) => parts,
            _ => return read,
        };
        for part in &parts {
            match part["type"].as_str() {
                Some("thinking") => read.thinking += &texts(&part["thinking"]).concat(),
                Some("reasoning") => read.thinking += &texts(&part["summary"]).concat(),
                _ => read.text += part["text"].as_str().unwrap_or_default(),
            }
        }
        read
    }
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
    /// A text; some servers send the object itself.
    #[serde(default, deserialize_with = "text_or_json")]
    pub arguments: Option<String>,
}

/// `prompt_tokens` includes the tokens read from the cache and those written to it.
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
    pub cache_write_tokens: Option<u64>,
}
