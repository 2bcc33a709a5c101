//! Thinking that goes back to the model that thought it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the text of a thought begins with that the service has packed.
const ENVELOPE: &str = "rolecall-thought:";

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

    /// The thinking as a text that a caller can keep and send again, for protocols that have a place for one.
    pub fn to_envelope(&self) -> String {
        let sealed = serde_json::to_string(self).expect("a thought is plain");
        format!("{ENVELOPE}{sealed}")
    }

    /// Reads what [`to_envelope`](Self::to_envelope) has made.
    pub fn open_envelope(envelope: &str) -> Option<Self> {
        serde_json::from_str(envelope.strip_prefix(ENVELOPE)?).ok()
    }

    /// The thinking in the words of its protocol, if it is that model's.
    pub fn for_model(&self, full_name: &str) -> Option<&Value> {
        (self.model == full_name).then_some(&self.block)
    }
}
