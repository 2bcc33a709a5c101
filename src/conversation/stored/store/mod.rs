//! The queries about stored conversations and their messages.

mod claims;
mod of_runs;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::{Executor, PgConnection, PgPool, Postgres};
use uuid::Uuid;

pub(super) use claims::{claim, is_first, release};
pub(super) use of_runs::{RunPlace, begin, delete_run, find_place, keep, list_messages_of_run};

use super::ConversationRef;
use super::join::Source;
use crate::db;
use crate::ledger;

/// Texts of a conversation that are read for a run: more than any model takes.
const READ_BYTES: usize = 32 * 1024 * 1024;
const READ_MESSAGES: i64 = 20_000;

/// The advisory lock of who removes old conversations; the number is arbitrary and must stay.
const REMOVAL_LOCK: i64 = 0x6f6c_6420_636f_6e76;

/// Their messages go with them, and there may be many.
const REMOVED_AT_ONCE: i64 = 100;

/// A conversation without its messages.
#[derive(Debug)]
pub(in crate::conversation::stored) struct ConversationRow {
    pub id: Uuid,
    pub agent_name: Option<String>,
    pub metadata: Option<String>,
    pub message_count: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A message as it is kept.
#[derive(Debug)]
pub(in crate::conversation::stored) struct MessageRow {
    pub position: i32,
    pub run_id: Option<Uuid>,
    pub agent_name: Option<String>,
    pub message: String,
    pub created_at: DateTime<Utc>,
}

/// What a run reads of a conversation.
#[derive(Debug, Default)]
pub(in crate::conversation::stored) struct ReadConversation {
    pub agent_name: Option<String>,
    /// Each with the agent that it was said by or to, in order.
    pub messages: Vec<(Option<String>, String)>,
    /// Whether there are older ones.
    pub is_cut: bool,
}

/// Messages that come in together.
#[derive(Debug, Clone)]
pub(in crate::conversation::stored) struct NewMessages {
    pub conversation_id: Uuid,
    pub run_id: Option<Uuid>,
    pub agent_name: Option<String>,
    pub messages: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(in crate::conversation::stored) enum Kept {
    Yes,
    /// Whoever wrote them has lost the claim, and others may have gone on.
    ClaimLost,
}

#[derive(Debug, PartialEq, Eq)]
pub(in crate::conversation::stored) enum Deleted {
    Yes,
    NotFound,
    /// A run has it, or waits for it.
    Busy,
}

pub(in crate::conversation::stored) async fn create(
    pool: &PgPool,
    key_id: Uuid,
    metadata: Option<&str>,
    new: &NewMessages,
) -> Result<(), sqlx::Error> {
    let mut transaction = db::begin(pool).await?;
    sqlx::query!(
        "INSERT INTO conversations (id, key_id, agent_name, metadata) VALUES ($1, $2, $3, $4::text::json)",
        new.conversation_id,
        key_id,
        new.agent_name,
        metadata,
    )
    .execute(&mut *transaction)
    .await?;
    append(&mut *transaction, new).await?;
    transaction.commit().await
}

/// Adds messages behind the others. Their agent has the conversation from then on.
async fn append<'c>(
    executor: impl Executor<'c, Database = Postgres>,
    new: &NewMessages,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH conversation AS (
            UPDATE conversations SET message_count = message_count + cardinality($4::text[]),
                agent_name = coalesce($3, agent_name), updated_at = now()
            WHERE id = $1 RETURNING coalesce(
                (SELECT max(position) FROM conversation_messages WHERE conversation_id = $1), 0
            ) AS before
         )
         INSERT INTO conversation_messages (conversation_id, position, run_id, agent_name, message)
         SELECT $1, before + place::integer, $2, $3, message::json
         FROM conversation, unnest($4::text[]) WITH ORDINALITY AS new (message, place)",
        new.conversation_id,
        new.run_id,
        new.agent_name,
        &new.messages,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Whether a run has a conversation, or waits for it.
async fn is_wanted(
    connection: &mut PgConnection,
    conversation_id: Uuid,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM conversation_claims WHERE conversation_id = $1) AS "is_wanted!""#,
        conversation_id
    )
    .fetch_one(connection)
    .await
}

pub(in crate::conversation::stored) async fn find(
    pool: &PgPool,
    conversation: &ConversationRef,
) -> Result<Option<ConversationRow>, sqlx::Error> {
    sqlx::query_as!(
        ConversationRow,
        "SELECT id, agent_name, metadata::text, message_count, created_at, updated_at
         FROM conversations WHERE id = $1 AND ($2::uuid IS NULL OR key_id = $2)",
        conversation.id,
        conversation.owner,
    )
    .fetch_optional(pool)
    .await
}

/// Newest first, older than `before`.
pub(in crate::conversation::stored) async fn list(
    pool: &PgPool,
    owner: Option<Uuid>,
    before: Uuid,
    limit: i64,
) -> Result<Vec<ConversationRow>, sqlx::Error> {
    // Two queries, so that each has its index.
    let Some(owner) = owner else {
        return sqlx::query_as!(
            ConversationRow,
            "SELECT id, agent_name, metadata::text, message_count, created_at, updated_at
             FROM conversations WHERE id < $1 ORDER BY id DESC LIMIT $2",
            before,
            limit
        )
        .fetch_all(pool)
        .await;
    };
    sqlx::query_as!(
        ConversationRow,
        "SELECT id, agent_name, metadata::text, message_count, created_at, updated_at
         FROM conversations WHERE key_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        owner,
        before,
        limit
    )
    .fetch_all(pool)
    .await
}

/// Oldest first, behind the position `after`.
pub(in crate::conversation::stored) async fn list_messages(
    pool: &PgPool,
    conversation_id: Uuid,
    after: i32,
    limit: i64,
) -> Result<Vec<MessageRow>, sqlx::Error> {
    sqlx::query_as!(
        MessageRow,
        r#"SELECT position, run_id, agent_name, message::text AS "message!", created_at
         FROM conversation_messages WHERE conversation_id = $1 AND position > $2
         ORDER BY position LIMIT $3"#,
        conversation_id,
        after,
        limit
    )
    .fetch_all(pool)
    .await
}

/// A conversation, or the first part of one, with its newest messages; `None` if there is none for this caller.
pub(in crate::conversation::stored) async fn read(
    pool: &PgPool,
    source: &Source,
) -> Result<Option<ReadConversation>, sqlx::Error> {
    let mut rows = sqlx::query!(
        r#"SELECT holder.agent_name AS holder, kept.agent_name AS "agent_name?",
                kept.message::text AS "message?"
         FROM conversations AS holder
         LEFT JOIN conversation_messages AS kept
            ON conversation_id = id AND ($3::integer IS NULL OR position <= $3)
         WHERE id = $1 AND ($2::uuid IS NULL OR key_id = $2)
         ORDER BY position DESC LIMIT $4"#,
        source.conversation.id,
        source.conversation.owner,
        source.up_to,
        READ_MESSAGES + 1,
    )
    .fetch(pool);
    let (mut found, mut bytes) = (None, 0);
    while let Some(row) = rows.try_next().await? {
        let read = found.get_or_insert_with(|| ReadConversation {
            // Who had it then, if others have gone on since.
            agent_name: if source.up_to.is_some() { row.agent_name.clone() } else { row.holder },
            ..ReadConversation::default()
        });
        let Some(message) = row.message else { break };
        bytes += message.len();
        if bytes > READ_BYTES || i64::try_from(read.messages.len()) == Ok(READ_MESSAGES) {
            read.is_cut = true;
            break;
        }
        read.messages.push((row.agent_name, message));
    }
    if let Some(read) = &mut found {
        read.messages.reverse();
    }
    Ok(found)
}

/// Removes a conversation, its messages, and the texts of its runs and decisions, unless a run wants it.
pub(in crate::conversation::stored) async fn delete(
    pool: &PgPool,
    conversation: &ConversationRef,
) -> Result<Deleted, sqlx::Error> {
    let mut transaction = db::begin(pool).await?;
    // Claims are made under this lock: none comes behind the next look.
    let found = sqlx::query_scalar!(
        "SELECT id FROM conversations WHERE id = $1 AND ($2::uuid IS NULL OR key_id = $2) FOR UPDATE",
        conversation.id,
        conversation.owner,
    )
    .fetch_optional(&mut *transaction)
    .await?;
    if found.is_none() {
        return Ok(Deleted::NotFound);
    }
    if is_wanted(&mut transaction, conversation.id).await? {
        return Ok(Deleted::Busy);
    }
    ledger::forget_texts(&mut transaction, conversation.id).await?;
    sqlx::query!("DELETE FROM conversations WHERE id = $1", conversation.id)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Deleted::Yes)
}

/// Deletes some conversations that are older, and returns how many; 0 as well if another instance is at it.
pub(in crate::conversation::stored) async fn remove_untouched(
    pool: &PgPool,
    days: i32,
) -> Result<u64, sqlx::Error> {
    let mut transaction = db::begin(pool).await?;
    let is_ours =
        sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock($1) AS "is_ours!""#, REMOVAL_LOCK)
            .fetch_one(&mut *transaction)
            .await?;
    if !is_ours {
        return Ok(0);
    }
    let old = sqlx::query_scalar!(
        "SELECT id FROM conversations
         WHERE updated_at < now() - make_interval(days => $1) AND NOT EXISTS (
            SELECT FROM conversation_claims AS claim WHERE claim.conversation_id = conversations.id)
         LIMIT $2 FOR UPDATE SKIP LOCKED",
        days,
        REMOVED_AT_ONCE,
    )
    .fetch_all(&mut *transaction)
    .await?;
    // Claims are made under these locks. One that came before them is seen by a new look alone.
    let result = sqlx::query!(
        "DELETE FROM conversations WHERE id = ANY($1) AND NOT EXISTS (
            SELECT FROM conversation_claims AS claim WHERE claim.conversation_id = conversations.id)",
        &old,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(result.rows_affected())
}
