//! Why a key may not go on.

use std::fmt;
use std::time::Duration;

use crate::chat::Money;

#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    #[error("the key may send {limit} requests a minute (`requests_per_minute`)")]
    Requests { limit: u64, retry_after: Duration },
    #[error(
        "the key may use {limit} tokens a minute (`tokens_per_minute`), and the prompt and the \
         longest answer may have {needed}"
    )]
    Tokens { limit: u64, needed: u64, retry_after: Duration },
    #[error("the key may have {limit} runs under way at once (`concurrent_runs`)")]
    ConcurrentRuns { limit: u64 },
    #[error(
        "the key's budget of {budget} {period} has {left} left, and the run may cost {needed}: a \
         smaller `max_tokens` makes it cheaper"
    )]
    TooDear { period: Period, budget: Money, left: Money, needed: Money, retry_after: Duration },
    /// What other runs have not used when they end will be there for this one.
    #[error(
        "the key's budget of {budget} {period} has {left} left while other runs are under way, and the \
         run may cost {needed}"
    )]
    Reserved { period: Period, budget: Money, left: Money, needed: Money },
    #[error("the key's budget of {budget} {period} is spent")]
    Spent { period: Period, budget: Money, retry_after: Duration },
    #[error("failed to read or write what keys have spent")]
    Database(#[from] sqlx::Error),
}

impl LimitError {
    /// The name of the limit; `None` if it is another trouble.
    pub fn limit(&self) -> Option<&'static str> {
        match self {
            Self::Requests { .. } => Some("requests_per_minute"),
            Self::Tokens { .. } => Some("tokens_per_minute"),
            Self::ConcurrentRuns { .. } => Some("concurrent_runs"),
            Self::TooDear { period, .. }
            | Self::Reserved { period, .. }
            | Self::Spent { period, .. } => Some(match period {
                Period::Day => "usd_per_day",
                Period::Month => "usd_per_month",
            }),
            Self::Database(_) => None,
        }
    }
}

/// What a budget is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Day,
    Month,
}

impl fmt::Display for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Day => "a day",
            Self::Month => "a month",
        })
    }
}
