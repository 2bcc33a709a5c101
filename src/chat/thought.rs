//! Thinking that goes back to the model that thought it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A model's thinking as its provider sealed it: signed or encrypted, and not read here.
///
/// While the model works with tools, its provider wants its thinking back, unchanged. Other models refuse it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SealedThought {
    /// The model that alone takes it, as `provider/model`. Empty as it comes from a dialect, which knows no names of
    /// providers.
    pub model: String,
    /// In the words of the provider's protocol.
    pub block: Value,
}

impl SealedThought {
    /// As a dialect reads it.
    pub fn of_answer(block: Value) -> Self {
        Self { model: String::new(), block }
    }

    /// The thinking in the words of its protocol, if it is that model's.
    pub fn for_model(&self, full_name: &str) -> Option<&Value> {
        (self.model == full_name).then_some(&self.block)
    }
}
