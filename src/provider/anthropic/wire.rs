//! The parts of Anthropic's wire format that are read. Unknown fields and types are passed over.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

#[derive(Debug, Deserialize)]
pub(super) struct ErrorBody {
    pub error: ErrorDetail,
}

#[derive(Debug, Deserialize)]
pub(super) struct ErrorDetail {
    #[serde(rename = "type", default)]
    pub kind: String,
    #[serde(default)]
    pub message: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    pub model: String,
    /// Blocks; those of a kind that is not known are passed on as they came.
    pub content: Vec<Box<RawValue>>,
    pub stop_reason: Option<String>,
    pub usage: Option<Usage>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Block {
    #[serde(rename = "type", default)]
    pub kind: String,
    #[serde(default)]
    pub text: String,
    /// What a text goes back to; in an answer that is not streamed.
    pub citations: Option<Vec<Value>>,
    #[serde(default)]
    pub thinking: String,
    #[serde(default)]
    pub signature: String,
    /// Thinking that is encrypted as a whole.
    #[serde(default)]
    pub data: String,
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub name: String,
    pub input: Option<Box<RawValue>>,
}

/// Counts are cumulative. `input_tokens` leaves out what was read from or written to the cache.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Usage {
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub cache_creation_input_tokens: Option<u64>,
    pub cache_creation: Option<CacheCreation>,
    pub cache_read_input_tokens: Option<u64>,
}

/// What was written to the cache, by how long it is kept.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct CacheCreation {
    pub ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct MessageStart {
    pub message: StartedMessage,
}

#[derive(Debug, Deserialize)]
pub(super) struct StartedMessage {
    #[serde(default)]
    pub model: String,
    pub usage: Option<Usage>,
}

#[derive(Debug, Deserialize)]
pub(super) struct BlockStart {
    pub index: u64,
    pub content_block: Block,
}

#[derive(Debug, Deserialize)]
pub(super) struct BlockDelta {
    pub index: u64,
    pub delta: Delta,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Delta {
    #[serde(rename = "type", default)]
    pub kind: String,
    #[serde(default)]
    pub text: String,
    #[serde(default)]
    pub thinking: String,
    #[serde(default)]
    pub signature: String,
    #[serde(default)]
    pub partial_json: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct BlockStop {
    pub index: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct MessageDelta {
    #[serde(default)]
    pub delta: StopDelta,
    pub usage: Option<Usage>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct StopDelta {
    pub stop_reason: Option<String>,
}

/// What nearly every stream event has; some proxies name the type in the `event` line alone.
#[derive(Debug, Deserialize)]
pub(super) struct EventType {
    #[serde(rename = "type", default)]
    pub kind: String,
}
