//! What one request to a provider has used, by what the provider has counted and by what has come of an answer.

use std::sync::Arc;

use super::Target;
use crate::chat::{ChatEvent, Usage};

/// How many bytes of an answer are about one token.
const TOKEN_BYTES: usize = 4;

/// What a request has used. One that the provider refused has used nothing, and is none.
#[derive(Debug, Clone)]
pub struct RequestUsage {
    pub target: Arc<Target>,
    /// What the provider has counted; of an answer that was cut, perhaps not all.
    pub usage: Option<Usage>,
    pub is_whole: bool,
    /// How much of the answer has come, thinking included.
    pub answer_bytes: usize,
}

impl RequestUsage {
    /// What was used, where the prompt has roughly `prompt_tokens`: the provider's figures if it has told them to the
    /// end, else no less than what has been seen.
    pub fn used(&self, prompt_tokens: u64) -> Usage {
        let counted = self.usage.unwrap_or_default();
        if self.is_whole && self.usage.is_some() {
            return counted;
        }
        let seen = u64::try_from(self.answer_bytes.div_ceil(TOKEN_BYTES)).unwrap_or(u64::MAX);
        let prompt = if self.usage.is_some() { 0 } else { prompt_tokens };
        Usage {
            input_tokens: counted.input_tokens.max(prompt),
            output_tokens: counted.output_tokens.max(seen),
            ..counted
        }
    }
}

/// How much an event adds to an answer.
pub(super) fn answer_bytes(event: &ChatEvent) -> usize {
    match event {
        ChatEvent::Text(text) | ChatEvent::Thinking(text) => text.len(),
        ChatEvent::ToolCall(call) => call.name.len() + call.arguments.as_str().len(),
        ChatEvent::BrokenCall(call) => call.name.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::RequestUsage;
    use crate::chat::Usage;
    use crate::provider::Target;

    fn used(usage: Option<Usage>, is_whole: bool) -> RequestUsage {
        let target = Arc::new(Target::new("local", "m"));
        RequestUsage { target, usage, is_whole, answer_bytes: 400 }
    }

    fn tokens(request: &RequestUsage) -> (u64, u64) {
        let usage = request.used(30);
        (usage.input_tokens, usage.output_tokens)
    }

    #[test]
    fn what_is_not_counted_is_estimated() {
        let counted = |output_tokens| Usage { input_tokens: 7, output_tokens, ..Usage::default() };
        assert_eq!(tokens(&used(Some(counted(5)), true)), (7, 5));
        // The count at an answer's beginning is no count of the answer.
        assert_eq!(tokens(&used(Some(counted(1)), false)), (7, 100));
        assert_eq!(tokens(&used(None, false)), (30, 100));
        assert_eq!(tokens(&used(None, true)), (30, 100));
    }
}
