//! The queries about the runs that want a conversation.

use sqlx::PgPool;
use uuid::Uuid;

use crate::conversation::stored::ConversationRef;

/// Puts a run behind those that want the conversation; false if there is none for this caller. The row's lock makes
/// numbers appear in their order.
pub(in crate::conversation::stored) async fn claim(
    pool: &PgPool,
    conversation: &ConversationRef,
    run_id: Uuid,
    instance_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "WITH conversation AS (
            UPDATE conversations SET claim_count = claim_count + 1
            WHERE id = $1 AND ($2::uuid IS NULL OR key_id = $2) RETURNING claim_count
         )
         INSERT INTO conversation_claims (run_id, conversation_id, number, instance_id)
         SELECT $3, $1, claim_count, $4 FROM conversation",
        conversation.id,
        conversation.owner,
        run_id,
        instance_id,
    )
    .execute(pool)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Whether a run is the first of those that want its conversation; `None` if its claim is gone.
pub(in crate::conversation::stored) async fn is_first(
    pool: &PgPool,
    run_id: Uuid,
) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT NOT EXISTS (
                SELECT FROM conversation_claims AS other
                WHERE other.conversation_id = own.conversation_id AND other.number < own.number
            ) AS "is_first!"
         FROM conversation_claims AS own WHERE run_id = $1"#,
        run_id
    )
    .fetch_optional(pool)
    .await
}

/// Gives a claim up, and wakes who may have it next, wherever that is.
pub(in crate::conversation::stored) async fn release(
    pool: &PgPool,
    run_id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH released AS (
            DELETE FROM conversation_claims WHERE run_id = $1 RETURNING conversation_id, number
         ),
         behind AS (
            SELECT FROM conversation_claims AS other JOIN released USING (conversation_id)
            WHERE other.number > released.number LIMIT 1
         )
         SELECT pg_notify('rolecall_changes', 'conversation') FROM behind",
        run_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(())
}
