//! The section `limits` of `rolecall.yaml`.

use std::num::{NonZeroU64, NonZeroUsize};

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::limits::AppliedLimits;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    pub connect_timeout_ms: u64,
    pub response_header_timeout_ms: u64,
    pub first_token_timeout_ms: u64,
    pub idle_timeout_ms: u64,
    pub run_timeout_ms: u64,
    pub hold_ms: u64,
    pub keep_alive_interval_ms: NonZeroU64,
    pub request_timeout_ms: NonZeroU64,
    pub drain_ms: u64,
    pub shutdown_grace_ms: u64,
    pub retry_attempts: u32,
    pub retry_budget_ms: u64,
    pub breaker_failures: u32,
    pub breaker_open_ms: u64,
    pub concurrent_runs: usize,
    pub body_bytes: NonZeroUsize,
    pub definition_bytes: NonZeroUsize,
    pub tool_call_timeout_ms: u64,
    pub tool_result_bytes: usize,
    pub keys: KeysEntry,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 5_000,
            response_header_timeout_ms: 60_000,
            first_token_timeout_ms: 120_000,
            idle_timeout_ms: 60_000,
            run_timeout_ms: 1_800_000,
            hold_ms: 10_000,
            keep_alive_interval_ms: const { NonZeroU64::new(15_000).expect("is not zero") },
            request_timeout_ms: const { NonZeroU64::new(120_000).expect("is not zero") },
            drain_ms: 0,
            shutdown_grace_ms: 30_000,
            retry_attempts: 3,
            retry_budget_ms: 30_000,
            breaker_failures: 10,
            breaker_open_ms: 10_000,
            concurrent_runs: 10_000,
            body_bytes: const { NonZeroUsize::new(16 * 1024 * 1024).expect("is not zero") },
            definition_bytes: const { NonZeroUsize::new(1024 * 1024).expect("is not zero") },
            tool_call_timeout_ms: 30_000,
            tool_result_bytes: 1024 * 1024,
            keys: KeysEntry::default(),
        }
    }
}

/// What holds for keys that have no limit of their own.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct KeysEntry {
    requests_per_minute: Option<NonZeroU64>,
    tokens_per_minute: Option<NonZeroU64>,
    concurrent_runs: Option<NonZeroU64>,
    #[serde(deserialize_with = "dollars")]
    usd_per_day: Option<f64>,
    #[serde(deserialize_with = "dollars")]
    usd_per_month: Option<f64>,
}

impl KeysEntry {
    pub fn applied(&self) -> AppliedLimits {
        AppliedLimits {
            requests_per_minute: self.requests_per_minute.map(NonZeroU64::get),
            tokens_per_minute: self.tokens_per_minute.map(NonZeroU64::get),
            concurrent_runs: self.concurrent_runs.map(NonZeroU64::get),
            usd_per_day: self.usd_per_day,
            usd_per_month: self.usd_per_month,
        }
    }
}

fn dollars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let dollars = Option::<f64>::deserialize(deserializer)?;
    if dollars.is_none_or(|dollars| dollars > 0.0 && dollars <= 1e9) {
        Ok(dollars)
    } else {
        Err(D::Error::custom(
            "usd_per_day and usd_per_month must be above 0, at most 1,000,000,000",
        ))
    }
}
