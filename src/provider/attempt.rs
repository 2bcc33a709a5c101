//! One request to a provider, as it is told in a run.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::chat::Usage;

/// The outcome of a request that was not sent, because the target's breaker is open.
pub(super) const SPARED: &str = "breaker_open";

/// One request to a provider, or the decision to spare it one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    pub provider: String,
    pub model: String,
    /// `ok`, or a word for what went wrong.
    pub outcome: String,
    /// The same in words, if something went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    pub ms: u64,
    /// What the provider counted, if it said so and its answer was not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

impl Attempt {
    /// Whether the provider was asked at all.
    pub fn was_sent(&self) -> bool {
        self.outcome != SPARED
    }
}
