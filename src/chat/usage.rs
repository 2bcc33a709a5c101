//! Tokens that a provider counted.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `input_tokens` counts the whole prompt; the two cached figures are parts of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cached_input_tokens: u64,
    pub cache_write_input_tokens: u64,
}
