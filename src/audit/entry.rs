//! What an entry says.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

/// Who makes a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The name of the key that is used, or of the part of the service that acts by itself.
    pub name: String,
    /// `None` if no key is used.
    pub key_id: Option<Uuid>,
}

impl Author {
    /// A part of the service, or a command.
    pub fn without_key(name: &str) -> Self {
        Self { name: name.to_owned(), key_id: None }
    }
}

/// What was done. The words are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    AgentPut,
    AgentArchive,
    AgentActivate,
    AgentDisable,
    AgentEnable,
    /// A sync changed the agent; the detail says how.
    AgentSync,
    KeyCreate,
    KeyUpdate,
    KeyRevoke,
    FeedbackForget,
    ToolServerPut,
    ToolServerDelete,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AgentPut => "agent.put",
            Self::AgentArchive => "agent.archive",
            Self::AgentActivate => "agent.activate",
            Self::AgentDisable => "agent.disable",
            Self::AgentEnable => "agent.enable",
            Self::AgentSync => "agent.sync",
            Self::KeyCreate => "key.create",
            Self::KeyUpdate => "key.update",
            Self::KeyRevoke => "key.revoke",
            Self::FeedbackForget => "feedback.forget",
            Self::ToolServerPut => "tool_server.put",
            Self::ToolServerDelete => "tool_server.delete",
        }
    }
}

/// An entry to be written.
#[derive(Debug)]
pub struct NewEntry {
    pub action: Action,
    /// What was changed: an agent's or a tool server's name, a key's id, `*` for all feedback.
    pub subject: String,
    /// An object; never a secret.
    pub detail: Value,
}

/// An entry as it is stored. Its action may be one of a newer version.
#[derive(Debug)]
pub struct Entry {
    pub id: Uuid,
    pub author: String,
    pub key_id: Option<Uuid>,
    pub action: String,
    pub subject: String,
    pub detail: Value,
    pub created_at: DateTime<Utc>,
}
