//! What the audit is told of feedback that is forgotten.

use serde_json::json;

use crate::audit::{Action, NewEntry};

/// Stands for all agents and nobody. No agent can be called so.
const ALL: &str = "*";

pub(super) fn forgotten(agent: Option<&str>, count: u64) -> NewEntry {
    NewEntry {
        action: Action::FeedbackForget,
        subject: agent.unwrap_or(ALL).to_owned(),
        detail: json!({"forgotten": count}),
    }
}
