//! The parts of Gemini's wire format that are read. Protocol buffers leave out what is zero or empty, and gateways
//! send nulls, so everything is optional: <https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse>

use serde::Deserialize;
use serde_json::Value;

use crate::chat::WrittenJson;
use crate::provider::lenient::null_is_default;

/// A whole answer, a chunk of one, or an error.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Answer {
    #[serde(deserialize_with = "null_is_default")]
    pub candidates: Vec<Candidate>,
    #[serde(deserialize_with = "null_is_default")]
    pub prompt_feedback: PromptFeedback,
    pub usage_metadata: Option<Usage>,
    #[serde(deserialize_with = "null_is_default")]
    pub model_version: String,
    pub error: Option<Error>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Candidate {
    #[serde(deserialize_with = "null_is_default")]
    pub index: u64,
    #[serde(deserialize_with = "null_is_default")]
    pub content: Content,
    #[serde(deserialize_with = "null_is_default")]
    pub finish_reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Content {
    #[serde(deserialize_with = "null_is_default")]
    pub parts: Vec<Part>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Part {
    #[serde(deserialize_with = "null_is_default")]
    pub text: String,
    /// Whether the text is thinking.
    #[serde(deserialize_with = "null_is_default")]
    pub thought: bool,
    pub function_call: Option<FunctionCall>,
    pub thought_signature: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FunctionCall {
    #[serde(deserialize_with = "null_is_default")]
    pub id: String,
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    pub args: Option<WrittenJson>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PromptFeedback {
    #[serde(deserialize_with = "null_is_default")]
    pub block_reason: String,
}

/// `promptTokenCount` includes the cached tokens, `candidatesTokenCount` leaves the thoughts out.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_field_names, reason = "the names are the wire's")]
pub(super) struct Usage {
    #[serde(deserialize_with = "null_is_default")]
    pub prompt_token_count: u64,
    #[serde(deserialize_with = "null_is_default")]
    pub cached_content_token_count: u64,
    #[serde(deserialize_with = "null_is_default")]
    pub candidates_token_count: u64,
    #[serde(deserialize_with = "null_is_default")]
    pub thoughts_token_count: u64,
    #[serde(deserialize_with = "null_is_default")]
    pub tool_use_prompt_token_count: u64,
}

/// A `google.rpc.Status`: <https://google.aip.dev/193>
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Error {
    /// The HTTP status.
    pub code: Value,
    #[serde(deserialize_with = "null_is_default")]
    pub message: String,
    #[serde(deserialize_with = "null_is_default")]
    pub status: String,
    /// Of several types, one of which an answer need not have.
    #[serde(deserialize_with = "null_is_default")]
    pub details: Vec<Value>,
}

impl Error {
    /// What a detail of one of the types says, such as the `reason` of an `ErrorInfo`.
    pub fn detail(&self, field: &str) -> Option<&str> {
        self.details.iter().find_map(|detail| detail[field].as_str())
    }
}
