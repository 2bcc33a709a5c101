//! The task that writes records: whatever has queued up goes into one transaction.

use std::sync::Weak;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::mpsc;

use super::record::Record;
use super::{Inner, store};

const MAX_BATCH: usize = 500;
const RETRY_PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn write(ledger: Weak<Inner>, pool: PgPool, mut records: mpsc::Receiver<Record>) {
    let mut batch = Vec::new();
    while records.recv_many(&mut batch, MAX_BATCH).await > 0 {
        let is_last = batch.iter().any(|record| matches!(record, Record::End));
        if let Some(ledger) = ledger.upgrade() {
            // Most runs are over before they are first written: one row then does for all their states.
            batch.retain(|record| !ledger.is_superseded(record));
        }
        while let Err(error) = store::write_batch(&pool, &batch).await {
            if is_refused(&error) {
                let refused;
                (batch, refused) = write_one_by_one(&pool, batch).await;
                if let Some(ledger) = ledger.upgrade() {
                    ledger.forget(&refused);
                }
                continue;
            }
            tracing::warn!(%error, records = batch.len(), "records wait: the database does not take them");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        if let Some(ledger) = ledger.upgrade() {
            ledger.forget(&batch);
        }
        batch.clear();
        if is_last {
            return;
        }
    }
}

/// Whether the database answered, and will not take the batch however often it is sent.
fn is_refused(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}

/// Sorts out the records that are refused, so that they do not hold up the others; returns the others and them.
async fn write_one_by_one(pool: &PgPool, batch: Vec<Record>) -> (Vec<Record>, Vec<Record>) {
    let (mut rest, mut refused) = (Vec::new(), Vec::new());
    for record in batch {
        match store::write_batch(pool, std::slice::from_ref(&record)).await {
            Err(error) if is_refused(&error) => {
                tracing::error!(%error, "the database refuses a record, which is lost");
                refused.push(record);
            }
            _ => rest.push(record),
        }
    }
    (rest, refused)
}
