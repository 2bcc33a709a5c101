//! The queries about what runs have added to conversations.

use sqlx::PgPool;
use uuid::Uuid;

use super::{Deleted, Kept, NewMessages, append, is_wanted};
use crate::conversation::stored::join::RunRef;
use crate::db;
use crate::ledger;

/// Adds the messages of a run that has the conversation. Doing it twice does it once.
pub(in crate::conversation::stored) async fn keep(
    pool: &PgPool,
    run_id: Uuid,
    new: &NewMessages,
) -> Result<Kept, sqlx::Error> {
    let mut transaction = db::begin(pool).await?;
    // The lock holds off whoever would take the claim for lapsed.
    let claim = sqlx::query_scalar!(
        "SELECT run_id FROM conversation_claims WHERE run_id = $1 FOR UPDATE",
        run_id
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let is_kept = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM conversation_messages WHERE run_id = $1) AS "is_kept!""#,
        run_id
    )
    .fetch_one(&mut *transaction)
    .await?;
    if is_kept {
        return Ok(Kept::Yes);
    }
    if claim.is_none() {
        return Ok(Kept::ClaimLost);
    }
    append(&mut *transaction, new).await?;
    transaction.commit().await?;
    Ok(Kept::Yes)
}

/// Makes a conversation of what is copied from another and the messages of a run. Doing it twice does it once.
pub(in crate::conversation::stored) async fn begin(
    pool: &PgPool,
    key_id: Uuid,
    copied: Option<(Uuid, i32)>,
    new: &NewMessages,
) -> Result<(), sqlx::Error> {
    let mut transaction = db::begin(pool).await?;
    let made = sqlx::query!(
        "INSERT INTO conversations (id, key_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        new.conversation_id,
        key_id,
    )
    .execute(&mut *transaction)
    .await?;
    if made.rows_affected() == 0 {
        return Ok(());
    }
    if let Some((conversation_id, up_to)) = copied {
        // A run is looked for in the conversation that it was in; its copies only go with it.
        sqlx::query!(
            "WITH copied AS (
                INSERT INTO conversation_messages
                    (conversation_id, position, copied_from, agent_name, message, created_at)
                SELECT $1, row_number() OVER (ORDER BY position), coalesce(run_id, copied_from),
                    agent_name, message, created_at
                FROM conversation_messages WHERE conversation_id = $2 AND position <= $3
                RETURNING position
             )
             UPDATE conversations SET message_count = (SELECT count(*) FROM copied) WHERE id = $1",
            new.conversation_id,
            conversation_id,
            up_to,
        )
        .execute(&mut *transaction)
        .await?;
    }
    append(&mut *transaction, new).await?;
    transaction.commit().await
}

/// Where a run stands in its conversation.
#[derive(Debug)]
pub(in crate::conversation::stored) struct RunPlace {
    pub conversation_id: Uuid,
    /// Of its last message.
    pub position: i32,
    /// Whether nobody has gone on behind it, and nobody but who asks is about to.
    pub is_last: bool,
}

/// `None` if the run is in no conversation, or not yet, or not one of this caller's.
pub(in crate::conversation::stored) async fn find_place(
    pool: &PgPool,
    run: &RunRef,
    asking: Uuid,
) -> Result<Option<RunPlace>, sqlx::Error> {
    sqlx::query_as!(
        RunPlace,
        r#"WITH place AS (
            SELECT conversation_id, max(position) AS position
            FROM conversation_messages WHERE run_id = $1 GROUP BY conversation_id
         )
         SELECT conversation_id, position AS "position!", NOT EXISTS (
                SELECT FROM conversation_messages AS later
                WHERE later.conversation_id = place.conversation_id AND later.position > place.position
            ) AND NOT EXISTS (
                SELECT FROM conversation_claims AS claim
                WHERE claim.conversation_id = place.conversation_id AND claim.run_id <> $3
            ) AS "is_last!"
         FROM place JOIN conversations ON id = conversation_id
         WHERE $2::uuid IS NULL OR key_id = $2"#,
        run.id,
        run.owner,
        asking,
    )
    .fetch_optional(pool)
    .await
}

/// The messages that a run has added, in order.
pub(in crate::conversation::stored) async fn list_messages_of_run(
    pool: &PgPool,
    run_id: Uuid,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT message::text AS "message!" FROM conversation_messages WHERE run_id = $1 ORDER BY position"#,
        run_id
    )
    .fetch_all(pool)
    .await
}

/// Removes what a run has added, wherever it was copied to, and the texts of its record, unless a run wants one of these
/// conversations.
pub(in crate::conversation::stored) async fn delete_run(
    pool: &PgPool,
    run_id: Uuid,
) -> Result<Deleted, sqlx::Error> {
    let mut transaction = db::begin(pool).await?;
    // Claims are made under this lock: none comes behind the next look.
    let found = sqlx::query_scalar!(
        "SELECT id FROM conversations WHERE id IN (
            SELECT conversation_id FROM conversation_messages WHERE run_id = $1 OR copied_from = $1
         ) ORDER BY id FOR UPDATE",
        run_id
    )
    .fetch_all(&mut *transaction)
    .await?;
    for conversation_id in &found {
        if is_wanted(&mut transaction, *conversation_id).await? {
            return Ok(Deleted::Busy);
        }
    }
    sqlx::query!(
        "WITH deleted AS (
            DELETE FROM conversation_messages WHERE run_id = $1 OR copied_from = $1
            RETURNING conversation_id
         ),
         counted AS (SELECT conversation_id, count(*) AS messages FROM deleted GROUP BY conversation_id)
         UPDATE conversations SET message_count = message_count - messages
         FROM counted WHERE id = conversation_id",
        run_id
    )
    .execute(&mut *transaction)
    .await?;
    ledger::forget_texts(&mut transaction, run_id).await?;
    transaction.commit().await?;
    Ok(if found.is_empty() { Deleted::NotFound } else { Deleted::Yes })
}
