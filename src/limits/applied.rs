//! The limits that hold for a key: its own, and for the rest those of all keys.

use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{KeyLimits, Limit};
use crate::chat::Money;

/// What a key may use. `None` is without a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub struct AppliedLimits {
    pub requests_per_minute: Option<u64>,
    pub tokens_per_minute: Option<u64>,
    pub concurrent_runs: Option<u64>,
    pub usd_per_day: Option<f64>,
    pub usd_per_month: Option<f64>,
}

impl AppliedLimits {
    pub(super) fn of(own: &KeyLimits, for_all: &Self) -> Self {
        Self {
            requests_per_minute: Limit::or_for_all(
                own.requests_per_minute,
                for_all.requests_per_minute,
            ),
            tokens_per_minute: Limit::or_for_all(own.tokens_per_minute, for_all.tokens_per_minute),
            concurrent_runs: Limit::or_for_all(own.concurrent_runs, for_all.concurrent_runs),
            usd_per_day: Limit::or_for_all(own.usd_per_day, for_all.usd_per_day),
            usd_per_month: Limit::or_for_all(own.usd_per_month, for_all.usd_per_month),
        }
    }

    pub(super) fn day(&self) -> Option<Money> {
        self.usd_per_day.map(Money::from_usd)
    }

    pub(super) fn month(&self) -> Option<Money> {
        self.usd_per_month.map(Money::from_usd)
    }

    pub(super) fn has_budget(&self) -> bool {
        self.usd_per_day.is_some() || self.usd_per_month.is_some()
    }
}
