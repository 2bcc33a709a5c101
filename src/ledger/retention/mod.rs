//! Records that are older than the operator wants to keep them.

mod store;

use std::time::Duration;

use super::{Ledger, LedgerError};
use crate::db::in_time;

/// What comes in between is not held up for longer than one batch takes.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a batch may take.
const BATCH_PATIENCE: Duration = Duration::from_mins(2);

impl Ledger {
    /// Removes the runs that have ended, with their events, and the decisions that were made that many days ago or
    /// earlier: in batches, by one instance at a time. Sums of what was used stay. Returns how many records went.
    pub async fn remove_older_than(&self, days: u32) -> Result<u64, LedgerError> {
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        let mut removed = 0;
        loop {
            match in_time(BATCH_PATIENCE, store::remove_batch(&self.inner.pool, days)).await? {
                0 => return Ok(removed),
                records => removed += records,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
