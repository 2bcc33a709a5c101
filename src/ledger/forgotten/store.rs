//! The queries that take texts out of records, and know of which.

use sqlx::PgConnection;
use uuid::Uuid;

/// The class of the advisory locks of who writes texts and who takes them out; the number is arbitrary and must stay.
const LOCKS: i32 = 0x7465_7874;

/// Puts a run or a conversation down as one whose texts are deleted, once those who are just writing some have done so.
pub(super) async fn put_down(connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT pg_advisory_xact_lock($1, $2)", LOCKS, lock_of(id))
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query!("INSERT INTO forgotten_texts (id) VALUES ($1) ON CONFLICT DO NOTHING", id)
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// Has whoever deletes texts of these runs and conversations wait for the end of the transaction.
pub(super) async fn lock(connection: &mut PgConnection, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    let locks: Vec<i32> = ids.iter().map(|id| lock_of(*id)).collect();
    sqlx::query!(
        "SELECT pg_advisory_xact_lock_shared($1, lock) FROM unnest($2::integer[]) AS lock",
        LOCKS,
        &locks
    )
    .fetch_all(&mut *connection)
    .await?;
    Ok(())
}

/// Others may have the same lock: they wait for each other, which does no harm.
fn lock_of(id: Uuid) -> i32 {
    let [.., a, b, c, d] = id.into_bytes();
    i32::from_be_bytes([a, b, c, d])
}

/// Which of these runs and conversations, and of the conversations of these runs, are put down.
pub(super) async fn list(
    connection: &mut PgConnection,
    stored_ids: &[Uuid],
    run_ids: &[Uuid],
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT id FROM forgotten_texts WHERE id = ANY($1::uuid[] || $2::uuid[])
            OR id IN (SELECT conversation_id FROM runs WHERE runs.id = ANY($2::uuid[]))",
        stored_ids,
        run_ids
    )
    .fetch_all(connection)
    .await
}

/// Takes the texts out of the records of a run and its decision, or of all runs and decisions of a conversation: an id is of
/// one of both, and nothing is found of the other. What remains are figures.
pub(super) async fn take_out(connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM run_events USING runs
         WHERE runs.id = run_id AND (runs.id = $1 OR conversation_id = $1)",
        id
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE runs SET record = ((record::jsonb - 'output' - 'tool_calls' - 'turns' - 'metadata' - 'asked_as_response')
            #- '{error,provider_message}')::json
         WHERE id = $1 OR conversation_id = $1",
        id
    )
    .execute(&mut *connection)
    .await?;
    // Reasons and unknown technologies are words of the request.
    sqlx::query!(
        r#"UPDATE dispatches
         SET input = NULL, decision = (decision::jsonb - 'unknown_technologies' || '{"ranked": []}')::json
         WHERE conversation_id = $1 OR id = (SELECT dispatch_id FROM runs WHERE runs.id = $1)"#,
        id
    )
    .execute(&mut *connection)
    .await?;
    Ok(())
}
