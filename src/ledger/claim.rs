//! Runs that claim an idempotency key. The key holds across instances, so the database is asked at once.

use super::record::RunRecord;
use super::{Ledger, LedgerError, store};

impl Ledger {
    /// Writes a run that has an idempotency key, unless another run of the caller's has the key. True if the run has it
    /// now.
    ///
    /// The database may do so though nobody gets its answer, because who waits for it leaves or its connection is cut. The
    /// run is kept as `given_up` says then, which should be an end: else it would hold its key for as long as the
    /// service runs.
    pub async fn claim_run(
        &self,
        record: &RunRecord,
        given_up: impl FnOnce() -> RunRecord,
    ) -> Result<bool, LedgerError> {
        let mut connection = self.inner.pool.acquire().await?;
        let mut unanswered = Unanswered { ledger: self, given_up: Some(given_up) };
        let claimed = store::claim_run(&mut connection, record).await;
        let is_answered =
            claimed.as_ref().err().is_none_or(|error| error.as_database_error().is_some());
        if is_answered {
            unanswered.given_up = None;
        }
        Ok(claimed?)
    }
}

/// A claim that the database was sent, and has not answered.
struct Unanswered<'a, F: FnOnce() -> RunRecord> {
    ledger: &'a Ledger,
    /// `None` once it has.
    given_up: Option<F>,
}

impl<F: FnOnce() -> RunRecord> Drop for Unanswered<'_, F> {
    fn drop(&mut self) {
        if let Some(given_up) = self.given_up.take() {
            self.ledger.note_run(&given_up());
        }
    }
}
