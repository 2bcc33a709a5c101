//! Tokens that a provider counted.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `input_tokens` counts the whole prompt; the cached figures are parts of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cached_input_tokens: u64,
    pub cache_write_input_tokens: u64,
    /// Of what was written to the cache, what is kept for an hour, which has a price of its own. There if there is any.
    #[serde(default, skip_serializing_if = "is_none")]
    pub hour_cache_write_input_tokens: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_none(tokens: &u64) -> bool {
    *tokens == 0
}

/// What no request can have. A provider that counts more does so wrongly, and sums of it would become too large for their
/// columns: nothing could be added to them any more.
const MOST_TOKENS: u64 = 1_000_000_000;

impl Usage {
    /// Each count, or the most that can be where it is more.
    #[must_use]
    pub fn bounded(self) -> Self {
        Self {
            input_tokens: self.input_tokens.min(MOST_TOKENS),
            output_tokens: self.output_tokens.min(MOST_TOKENS),
            cached_input_tokens: self.cached_input_tokens.min(MOST_TOKENS),
            cache_write_input_tokens: self.cache_write_input_tokens.min(MOST_TOKENS),
            hour_cache_write_input_tokens: self.hour_cache_write_input_tokens.min(MOST_TOKENS),
        }
    }
}

impl std::ops::Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens + other.input_tokens,
            output_tokens: self.output_tokens + other.output_tokens,
            cached_input_tokens: self.cached_input_tokens + other.cached_input_tokens,
            cache_write_input_tokens: self.cache_write_input_tokens
                + other.cache_write_input_tokens,
            hour_cache_write_input_tokens: self.hour_cache_write_input_tokens
                + other.hour_cache_write_input_tokens,
        }
    }
}
