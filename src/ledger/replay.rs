//! What instances that are gone have left in their journals.

use std::path::Path;

use sqlx::PgPool;

use super::LedgerError;
use super::instance::store;
use super::journal::{Folder, Frames, Segment};
use super::writer::{Record, Taken, write_records};

const BATCH_RECORDS: usize = 500;

/// Writes all records below `root` whose instances are gone. Their runs are known to be over from then on.
pub(super) async fn replay(pool: &PgPool, root: &Path) -> Result<(), LedgerError> {
    for folder in Folder::list_abandoned(root)? {
        if !folder.has_our_format {
            tracing::error!(
                folder = %folder.path.display(),
                "a journal is of another version of the service, and is left alone"
            );
            continue;
        }
        let Some(taken) = store::find_taken(pool, folder.instance_id).await? else {
            tracing::warn!(
                folder = %folder.path.display(),
                "a journal belongs to another database, and is left alone"
            );
            continue;
        };
        let records = replay_folder(pool, &folder, taken).await?;
        store::sign_off(pool, folder.instance_id).await?;
        folder.remove()?;
        tracing::info!(records, "the journal of an instance that is gone is written");
    }
    Ok(())
}

/// Returns how many records were not written before.
async fn replay_folder(pool: &PgPool, folder: &Folder, taken: u64) -> Result<usize, LedgerError> {
    let instance_id = folder.instance_id;
    let mut position = taken;
    let mut records = 0;
    for segment in Segment::list(&folder.path)? {
        let bytes = segment.read_all()?;
        let behind = usize::try_from(position.saturating_sub(segment.start)).unwrap_or(usize::MAX);
        let Some(bytes) = bytes.get(behind..) else { continue };
        let start = segment.start.max(position);
        let mut frames = Frames::of(bytes);
        loop {
            let batch: Vec<_> = frames.by_ref().take(BATCH_RECORDS).collect();
            if batch.is_empty() {
                let Some(bytes) = frames.skip_damaged() else { break };
                tracing::error!(bytes, "a record in a journal is damaged, and is lost");
                continue;
            }
            position = start + frames.position as u64;
            let read: Vec<Record> = batch.into_iter().filter_map(Record::read).collect();
            write_records(pool, &read, Taken { instance_id, position }).await?;
            records += read.len();
        }
        let torn = bytes.len() - frames.position;
        if torn > 0 {
            tracing::warn!(bytes = torn, "the end of a journal is no whole record, and is dropped");
        }
    }
    Ok(records)
}
