//! Why a request for an agent was refused before any was picked.

#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    #[error("there is no agent `{0}`")]
    AgentNotFound(String),
    #[error("the agent `{0}` is disabled")]
    AgentDisabled(String),
    #[error("the key does not permit the agent `{0}`")]
    AgentNotPermitted(String),
}
