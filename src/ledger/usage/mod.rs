//! What ended runs have used and what they have cost their keys, in sums. They are kept with the runs, in the same
//! transactions, and outlive them.

pub(super) mod spending;
pub(super) mod store;

use chrono::NaiveDate;
use uuid::Uuid;

use super::{Ledger, LedgerError};

/// What sums are made of.
#[derive(Debug, Clone, Default)]
pub struct UsageFilter {
    /// The first and the last day, by UTC.
    pub from: Option<NaiveDate>,
    pub to: Option<NaiveDate>,
    pub groups: UsageGroups,
}

/// What has a sum of its own. Without any there is one sum of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "any of them goes with any other")]
pub struct UsageGroups {
    pub day: bool,
    pub agent: bool,
    pub revision: bool,
    pub key: bool,
    pub model: bool,
}

/// One sum. What it is of is `None` where that is not asked for.
#[derive(Debug, Clone)]
pub struct UsageSum {
    /// Its place among the others: sums are in the order of these.
    pub place: String,
    pub day: Option<NaiveDate>,
    pub agent_name: Option<String>,
    pub agent_revision: Option<i32>,
    pub key_id: Option<Uuid>,
    pub model: Option<String>,
    pub runs: i64,
    pub completed: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub truncated: i64,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub cached_input_tokens: i64,
    pub cache_write_input_tokens: i64,
    /// `None` if the price of any of it was not known.
    pub cost_usd: Option<f64>,
}

impl Ledger {
    /// Sums of what is written, behind the one at `after`.
    pub async fn list_usage(
        &self,
        filter: &UsageFilter,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<UsageSum>, LedgerError> {
        Ok(store::list(&self.inner.pool, filter, after, limit).await?)
    }
}
