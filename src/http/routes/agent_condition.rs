//! Whether an agent answers, as it is shown: its state in the registry, and whether its tools can be had.

use serde::Serialize;
use utoipa::ToSchema;

use crate::dispatch::Dispatcher;
use crate::registry::{Agent, AgentState};

/// The state of an agent and what it lacks.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgentCondition {
    state: ShownState,
    /// The tool servers that it needs and that are missing or down; absent if it has all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    degraded_by: Vec<String>,
}

/// A live agent is degraded without a tool server that it needs; it answers all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ShownState {
    Live,
    Degraded,
    Disabled,
    Archived,
}

impl AgentCondition {
    pub fn of(agent: &Agent, dispatcher: &Dispatcher) -> Self {
        let degraded_by = if agent.is_live() { dispatcher.degraded_by(agent) } else { Vec::new() };
        let state = match agent.state {
            AgentState::Live if degraded_by.is_empty() => ShownState::Live,
            AgentState::Live => ShownState::Degraded,
            AgentState::Disabled => ShownState::Disabled,
            AgentState::Archived => ShownState::Archived,
        };
        Self { state, degraded_by }
    }
}
