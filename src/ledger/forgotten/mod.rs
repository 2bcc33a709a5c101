//! Texts that were deleted and stay so, also if a journal still has records with them: an instance may have been killed
//! before it wrote them, and whoever starts where it was writes them later.

mod store;

use sqlx::PgConnection;
use uuid::Uuid;

/// Takes the texts out of the records of a run, or of a conversation with all its runs, in the transaction of their deletion.
pub async fn forget_texts(connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    store::put_down(connection, id).await?;
    store::take_out(connection, id).await
}

/// Begins to write records of stored runs, and of conversations: who deletes them meanwhile waits.
pub(super) async fn lock(connection: &mut PgConnection, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    if ids.is_empty() { Ok(()) } else { store::lock(connection, ids).await }
}

/// Takes the texts out of what has just been written if they were deleted before: of these runs and conversations, and of
/// runs of which it is not known here whether they are a conversation's.
pub(super) async fn forget_again(
    connection: &mut PgConnection,
    stored_ids: &[Uuid],
    run_ids: &[Uuid],
) -> Result<(), sqlx::Error> {
    // Most of what is written is of no conversation.
    if stored_ids.is_empty() && run_ids.is_empty() {
        return Ok(());
    }
    for id in store::list(connection, stored_ids, run_ids).await? {
        store::take_out(connection, id).await?;
    }
    Ok(())
}
