//! Stored conversations: made, read, deleted, and gone on with by one run after the other.

mod claim;
mod exchange;
mod history;
mod join;
mod message;
mod store;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

pub use claim::WhenBusy;
pub(super) use claim::{Claim, Claims};
pub(super) use exchange::{Exchange, NotKept};
pub(super) use history::History;
pub(super) use join::{Before, Joined};
pub use join::{InConversation, RunRef};

use store::{ConversationRow, Deleted, MessageRow, NewMessages};

use super::{ConversationError, Conversations};
use crate::chat::{Message, Part, Role, ToolCall, has_answer, requests};
use crate::db::in_time;
use crate::dispatch::{Decision, DispatchRequest};

/// Most requests behind the first one that an agent is picked on.
const MAX_LATER_REQUESTS: usize = 8;

/// How long records are waited for that are not written yet.
pub(super) const FLUSH_PATIENCE: Duration = Duration::from_secs(5);

/// What comes in between is not held up for longer than one batch of removals takes.
const REMOVAL_PAUSE: Duration = Duration::from_millis(50);

/// How long a batch of removals may take.
const REMOVAL_PATIENCE: Duration = Duration::from_mins(2);

/// How stored conversations are gone on with.
#[derive(Debug, Clone)]
pub struct StoredSettings {
    /// What a run does whose conversation another run has.
    pub when_busy: WhenBusy,
    /// Longest time that a run waits for its conversation.
    pub wait: Duration,
    /// The context of models whose own is not known, in tokens.
    pub context_tokens: u32,
}

/// A conversation as a caller names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConversationRef {
    pub id: Uuid,
    /// The only key whose conversations the caller may see; `None` means all.
    pub owner: Option<Uuid>,
}

/// A conversation to be made.
#[derive(Debug, Clone)]
pub struct NewConversation {
    pub key_id: Uuid,
    /// The agent that it begins with.
    pub agent: Option<String>,
    /// The only agents that the caller's key permits; `None` means all.
    pub permitted: Option<Vec<String>>,
    /// What has been said elsewhere.
    pub messages: Vec<Message>,
    /// An object.
    pub metadata: Option<Value>,
}

/// A stored conversation, without its messages.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Conversation {
    pub id: Uuid,
    /// The agent that has it; null before there is one.
    pub agent: Option<String>,
    pub message_count: i32,
    pub metadata: Option<Value>,
    pub created_at: DateTime<Utc>,
    /// When its last messages came.
    pub updated_at: DateTime<Utc>,
}

/// A message of a stored conversation.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConversationMessage {
    /// Counted from 1.
    pub position: i32,
    /// The run that it came with; null if it came with the conversation.
    pub run_id: Option<Uuid>,
    /// The agent that said it or was told it; null if there was none yet.
    pub agent: Option<String>,
    #[schema(value_type = String, example = "user")]
    pub role: Role,
    /// `{"type": "text", "text": "…"}` and `{"type": "image", "media_type": "…", "data": "…"}`.
    #[schema(value_type = Vec<Object>)]
    pub content: Vec<Part>,
    /// The calls that an assistant message asks for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The call that a tool message answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub tool_call_id: Option<String>,
    /// Whether a tool message tells that the call has failed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
    pub created_at: DateTime<Utc>,
}

impl From<ConversationRow> for Conversation {
    fn from(row: ConversationRow) -> Self {
        Self {
            id: row.id,
            agent: row.agent_name,
            message_count: row.message_count,
            metadata: row.metadata.and_then(|metadata| serde_json::from_str(&metadata).ok()),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl ConversationMessage {
    fn read(row: MessageRow) -> Option<Self> {
        let message = message::in_neutral_words(message::read(&row.message)?);
        Some(Self {
            position: row.position,
            run_id: row.run_id,
            agent: row.agent_name,
            role: message.role,
            content: message.content,
            tool_calls: message.tool_calls,
            tool_call_id: message.tool_call_id,
            is_error: message.is_error,
            created_at: row.created_at,
        })
    }
}

impl Conversations {
    /// Makes a conversation.
    ///
    /// # Errors
    /// If texts are not kept, the agent cannot be named, or the messages do not follow each other.
    pub async fn create_conversation(
        &self,
        new: NewConversation,
    ) -> Result<Conversation, ConversationError> {
        self.check_content_is_kept()?;
        if let Some(agent) = &new.agent {
            self.inner.dispatcher.check_named(agent, new.permitted.as_deref()).await?;
        }
        history::check_opening(&new.messages)?;
        let id = Uuid::now_v7();
        let metadata = new.metadata.as_ref().map(Value::to_string);
        let messages = NewMessages {
            conversation_id: id,
            run_id: None,
            agent_name: new.agent,
            messages: new.messages.into_iter().map(message::write).collect(),
        };
        store::create(&self.inner.claims.pool, new.key_id, metadata.as_deref(), &messages).await?;
        self.find_conversation(ConversationRef { id, owner: None }).await
    }

    /// # Errors
    /// If there is no such conversation for this caller; the same holds for what follows.
    pub async fn find_conversation(
        &self,
        conversation: ConversationRef,
    ) -> Result<Conversation, ConversationError> {
        let found = store::find(&self.inner.claims.pool, &conversation).await?;
        found.map(Conversation::from).ok_or(ConversationError::NotFound(conversation.id))
    }

    /// Conversations, newest first, older than `before`.
    pub async fn list_conversations(
        &self,
        owner: Option<Uuid>,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Conversation>, ConversationError> {
        let before = before.unwrap_or(Uuid::max());
        let rows = store::list(&self.inner.claims.pool, owner, before, limit).await?;
        Ok(rows.into_iter().map(Conversation::from).collect())
    }

    /// The messages of a conversation in their order, behind the position `after`.
    pub async fn list_messages(
        &self,
        conversation: ConversationRef,
        after: Option<i32>,
        limit: i64,
    ) -> Result<Vec<ConversationMessage>, ConversationError> {
        self.find_conversation(conversation).await?;
        let pool = &self.inner.claims.pool;
        let rows = store::list_messages(pool, conversation.id, after.unwrap_or(0), limit).await?;
        Ok(rows.into_iter().filter_map(ConversationMessage::read).collect())
    }

    /// Deletes the conversations that nobody has gone on with for that many days, and returns how many. The records of
    /// their runs are at least as old.
    pub async fn remove_untouched_for(&self, days: u32) -> Result<u64, ConversationError> {
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        let mut removed = 0;
        loop {
            let removing = store::remove_untouched(&self.inner.claims.pool, days);
            match in_time(REMOVAL_PATIENCE, removing).await? {
                0 => return Ok(removed),
                conversations => removed += conversations,
            }
            tokio::time::sleep(REMOVAL_PAUSE).await;
        }
    }

    /// Deletes a conversation with its messages, and takes the texts out of the records of its runs and decisions.
    ///
    /// # Errors
    /// If a run has it or waits for it.
    pub async fn delete_conversation(
        &self,
        conversation: ConversationRef,
    ) -> Result<(), ConversationError> {
        // What is on its way to the database would come behind the deletion.
        self.inner.ledger.flush(FLUSH_PATIENCE).await;
        match store::delete(&self.inner.claims.pool, &conversation).await? {
            Deleted::Yes => Ok(()),
            Deleted::NotFound => Err(ConversationError::NotFound(conversation.id)),
            Deleted::Busy => Err(ConversationError::ConversationBusy(conversation.id)),
        }
    }

    /// Deletes what a run has added to its conversation, and takes the texts out of its record.
    ///
    /// # Errors
    /// If a run has the conversation or waits for it.
    pub async fn delete_texts_of_run(&self, run_id: Uuid) -> Result<(), ConversationError> {
        self.inner.ledger.flush(FLUSH_PATIENCE).await;
        match store::delete_run(&self.inner.claims.pool, run_id).await? {
            Deleted::Yes | Deleted::NotFound => Ok(()),
            Deleted::Busy => Err(ConversationError::RunConversationBusy(run_id)),
        }
    }

    /// What a run has added to its conversation: what it was asked with, then what came of that.
    pub async fn list_messages_of_run(
        &self,
        run_id: Uuid,
    ) -> Result<Vec<Message>, ConversationError> {
        let rows = store::list_messages_of_run(&self.inner.claims.pool, run_id).await?;
        Ok(rows.iter().filter_map(|stored| message::read(stored)).collect())
    }

    /// Picks an agent for messages, as a run of them would, and runs nothing.
    pub async fn pick(
        &self,
        mut request: DispatchRequest,
        messages: &[Message],
        conversation: Option<ConversationRef>,
        key_id: Uuid,
    ) -> Result<Decision, ConversationError> {
        let before = conversation.map(Before::all_of);
        let history = self.read_history(before, messages).await?;
        complete(&mut request, messages, history.as_ref());
        let decision = self.inner.dispatcher.pick(request, key_id).await?;
        self.inner.ledger.try_secure().await?;
        Ok(decision)
    }

    /// Somewhere a run may have ended that others wait for.
    pub fn look_for_turns(&self) {
        self.inner.claims.look();
    }

    /// Waits until a run has its conversation.
    pub(super) async fn claim(
        &self,
        conversation: ConversationRef,
        run_id: Uuid,
    ) -> Result<Claim, ConversationError> {
        self.check_content_is_kept()?;
        self.inner.claims.take(conversation, run_id).await
    }

    /// What goes before new messages.
    pub(super) async fn read_history(
        &self,
        before: Option<Before>,
        new: &[Message],
    ) -> Result<Option<History>, ConversationError> {
        let Some(Before { conversation_id, source }) = before else { return Ok(None) };
        self.check_content_is_kept()?;
        let Some(source) = source else {
            history::check_opening(new)?;
            return Ok(Some(History::none(conversation_id)));
        };
        let read = store::read(&self.inner.claims.pool, &source).await?;
        let read = read.ok_or(ConversationError::NotFound(source.conversation.id))?;
        let history = History::new(conversation_id, read);
        history.check(new)?;
        Ok(Some(history))
    }

    /// Whether anything can be stored.
    pub fn keeps_content(&self) -> bool {
        self.inner.settings.stores_content
    }

    fn check_content_is_kept(&self) -> Result<(), ConversationError> {
        self.keeps_content().then_some(()).ok_or(ConversationError::ContentNotKept)
    }
}

/// Says in a request for an agent what is asked for, and what went before.
pub(super) fn complete(
    request: &mut DispatchRequest,
    messages: &[Message],
    history: Option<&History>,
) {
    if let Some(history) = history {
        history.complete(request, messages);
    } else {
        let mut asked = requests(messages);
        request.input = asked.next().unwrap_or_default();
        // Who names the agent asks for no pick.
        if request.agent.is_none() {
            request.later = asked.take(MAX_LATER_REQUESTS).collect();
        }
        request.is_under_way = has_answer(messages);
    }
}
