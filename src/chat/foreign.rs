//! What has no neutral word: kept in the words of its protocol, for providers and callers that speak it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Part, Protocol};

/// An item of a conversation that says more in its protocol's words than neutral ones can.
///
/// A provider of the protocol is sent it as it is written, with the request that brought it and with those that follow.
/// Every other provider is sent what it means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForeignItem {
    pub protocol: Protocol,
    /// JSON, as it is written.
    pub item: String,
    /// The call that it is, or whose result. Of a call the message has a neutral form, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// None of it is foreign.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meaning: Vec<Part>,
}

/// Something that a provider has told and that has no neutral word. It is for callers of the same protocol alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForeignEvent {
    pub protocol: Protocol,
    /// The event's name; empty if the protocol does not name its events.
    pub name: String,
    /// As it came.
    pub data: String,
    /// Whether a caller waits for it, as for text.
    pub is_content: bool,
}

/// Whether an object of a protocol says nothing beside what these fields do: whatever else it has is empty.
pub fn has_no_more_than(object: &Map<String, Value>, names: &[&str]) -> bool {
    object.iter().all(|(name, value)| {
        names.contains(&name.as_str())
            || value.is_null()
            || value.as_array().is_some_and(Vec::is_empty)
    })
}
