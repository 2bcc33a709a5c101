//! The parts of the Responses wire format that are read. Unknown events, items and fields are passed over, and so
//! is what has another shape than the format says; compatible servers leave out or null nearly everything.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::provider::lenient::{null_is_default, text, text_or_json, texts};
use crate::provider::openai_error::ErrorDetail;

/// What tells the type of an event. Some proxies name it in the `event` line alone.
#[derive(Debug, Deserialize)]
pub(super) struct EventType {
    #[serde(rename = "type", default, deserialize_with = "text")]
    pub kind: String,
    pub error: Option<IgnoredAny>,
}

/// The first and the last events of a stream.
#[derive(Debug, Deserialize)]
pub(super) struct ResponseEvent {
    #[serde(default, deserialize_with = "null_is_default")]
    pub response: Response,
    /// Where some servers put the error of a response that failed.
    pub error: Option<ErrorDetail>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Response {
    #[serde(default, deserialize_with = "text")]
    pub model: String,
    #[serde(default, deserialize_with = "text")]
    pub status: String,
    #[serde(default, deserialize_with = "null_is_default")]
    pub output: Vec<Item>,
    pub usage: Option<Usage>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub incomplete_details: IncompleteDetails,
    pub error: Option<ErrorDetail>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct IncompleteDetails {
    #[serde(default, deserialize_with = "text")]
    pub reason: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ItemEvent {
    pub output_index: Option<u64>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub item: Item,
}

/// The same with the item as it is written.
#[derive(Debug, Deserialize)]
pub(super) struct WrittenItem {
    pub item: Option<Box<RawValue>>,
}

/// A message, reasoning, a function call, or what is not known here.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Item {
    #[serde(rename = "type", default, deserialize_with = "text")]
    pub kind: String,
    #[serde(default, deserialize_with = "text")]
    pub status: String,
    #[serde(default, deserialize_with = "text")]
    pub id: String,
    #[serde(default, deserialize_with = "text")]
    pub call_id: String,
    #[serde(default, deserialize_with = "text")]
    pub name: String,
    #[serde(default, deserialize_with = "text_or_json")]
    pub arguments: Option<String>,
    #[serde(default)]
    pub content: Value,
    #[serde(default)]
    pub summary: Value,
    #[serde(default, deserialize_with = "text")]
    pub encrypted_content: String,
}

impl Item {
    /// Whether a message holds a refusal, and what that says.
    pub fn refusal(&self) -> Option<&str> {
        let parts = self.content.as_array()?;
        let refusal = parts.iter().find(|part| part["type"] == "refusal")?;
        Some(refusal["refusal"].as_str().unwrap_or_default())
    }

    /// The words of a message, a refusal's among them.
    pub fn text(&self) -> String {
        texts(&self.content).into_iter().chain(self.refusal()).collect()
    }

    /// Reasoning as it may be sent back, if it is encrypted. The code is bound to the id, and words beside the summary
    /// are refused: <https://platform.openai.com/docs/guides/reasoning#encrypted-reasoning-items>
    pub fn sealed(&self) -> Option<Value> {
        if self.encrypted_content.is_empty() {
            return None;
        }
        let summary = if self.summary.is_array() { self.summary.clone() } else { json!([]) };
        let mut item = json!({
            "type": "reasoning",
            "summary": summary,
            "encrypted_content": self.encrypted_content,
        });
        if !self.id.is_empty() {
            item["id"] = json!(self.id);
        }
        Some(item)
    }

    /// The parts of reasoning, those of its summary first.
    pub fn thinking(&self) -> Vec<&str> {
        [texts(&self.summary), texts(&self.content)].concat()
    }
}

/// A piece of an item, or all arguments of a call.
#[derive(Debug, Default, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names are the wire's")]
pub(super) struct Delta {
    pub output_index: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    pub item_id: String,
    pub content_index: Option<u64>,
    pub summary_index: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    pub delta: String,
    #[serde(default, deserialize_with = "text_or_json")]
    pub arguments: Option<String>,
}

/// The reference has the code and the message in the event itself; the API sends an object.
/// <https://platform.openai.com/docs/api-reference/responses-streaming/error>
#[derive(Debug, Deserialize)]
pub(super) struct ErrorEvent {
    pub error: Option<ErrorDetail>,
    #[serde(default)]
    pub code: Value,
    #[serde(default, deserialize_with = "text")]
    pub message: String,
}

/// `input_tokens` includes the tokens read from the cache and those written to it.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Usage {
    #[serde(default, deserialize_with = "null_is_default")]
    pub input_tokens: u64,
    #[serde(default, deserialize_with = "null_is_default")]
    pub output_tokens: u64,
    pub input_tokens_details: Option<InputDetails>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct InputDetails {
    pub cached_tokens: Option<u64>,
    pub cache_write_tokens: Option<u64>,
}
