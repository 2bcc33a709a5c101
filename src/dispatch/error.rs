//! Why a request for an agent was refused before any was picked, and why a decision cannot be corrected.

use crate::ledger::LedgerError;

#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    #[error("there is no agent `{0}`")]
    AgentNotFound(String),
    #[error("the agent `{0}` is disabled")]
    AgentDisabled(String),
    #[error("the key does not permit the agent `{0}`")]
    AgentNotPermitted(String),
    /// Another agent is named while the results of its calls are outstanding.
    #[error("the agent `{0}` has called tools and waits for their results: nobody else can go on")]
    AgentWaitsForResults(String),
    #[error("the texts of requests are not kept (`storage.content: false`)")]
    ContentNotKept,
    #[error("failed to read the decision on record")]
    UnreadableDecision(#[source] serde_json::Error),
    #[error("failed to read or write feedback")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}
