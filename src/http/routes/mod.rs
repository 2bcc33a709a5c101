//! The native and admin resources, one file each.

pub(super) mod admin_agents;
pub(super) mod admin_sync;
mod agent_change;
mod agent_condition;
pub(super) mod agent_states;
pub(super) mod agents;
pub(super) mod audit;
pub(super) mod conversations;
pub(super) mod dispatches;
pub(super) mod evals;
pub(super) mod export;
pub(super) mod feedback;
pub(super) mod keys;
pub(super) mod mcp_servers;
mod messages;
pub(super) mod metrics;
pub(super) mod operations;
pub(super) mod prompts;
pub(super) mod providers;
pub(super) mod revisions;
pub(super) mod runs;
pub(super) mod usage;
