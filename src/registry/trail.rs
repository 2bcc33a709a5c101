//! What the audit is told of the registry's changes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use sqlx::PgConnection;

use super::agent::{Agent, AgentState};
use super::report::Action;
use super::store;
use super::sync::{Before, Plan};
use crate::audit::{self, NewEntry};
use crate::definition::AgentName;

pub(super) fn put(agent: &Agent, is_new: bool) -> NewEntry {
    NewEntry {
        action: audit::Action::AgentPut,
        subject: agent.name().to_string(),
        detail: json!({"revision": agent.revision, "sha256": agent.sha256, "new": is_new}),
    }
}

pub(super) fn activate(name: &AgentName, from: i32, to: i32, was_archived: bool) -> NewEntry {
    NewEntry {
        action: audit::Action::AgentActivate,
        subject: name.to_string(),
        detail: json!({"from": from, "to": to, "revived": was_archived}),
    }
}

/// An agent has got another state, and kept its revision.
pub(super) fn state(name: &AgentName, state: AgentState, revision: i32) -> NewEntry {
    let action = match state {
        AgentState::Live => audit::Action::AgentEnable,
        AgentState::Disabled => audit::Action::AgentDisable,
        AgentState::Archived => audit::Action::AgentArchive,
    };
    NewEntry { action, subject: name.to_string(), detail: json!({"revision": revision}) }
}

/// One entry for each agent that a sync has changed, once the plan is applied.
pub(super) async fn sync(
    connection: &mut PgConnection,
    plan: &Plan,
    before: &Before,
) -> Result<Vec<NewEntry>, sqlx::Error> {
    let changes = sync_changes(plan, before);
    let names: Vec<String> = changes.keys().map(|name| (*name).to_owned()).collect();
    let revisions = store::list_live_revisions(connection, &names).await?;
    let entries = changes.into_iter().map(|(name, (action, path))| NewEntry {
        action: audit::Action::AgentSync,
        subject: name.to_owned(),
        detail: json!({"action": action, "path": path, "revision": revisions.get(name)}),
    });
    Ok(entries.collect())
}

/// By name of agent: what is done to it, and because of which file.
fn sync_changes<'a>(plan: &'a Plan, before: &Before) -> BTreeMap<&'a str, (&'static str, &'a str)> {
    let moved: BTreeSet<&str> = plan.moved.iter().map(|(name, _)| name.as_str()).collect();
    let mut changes = BTreeMap::new();
    for report in &plan.reports {
        let Some(name) = report.agent.as_deref() else { continue };
        let was_archived =
            before.heads.get(name).is_some_and(|head| head.state == AgentState::Archived);
        let action = match report.action {
            Action::Created => "created",
            Action::Updated if was_archived => "revived",
            Action::Updated => "updated",
            Action::Archived => "archived",
            Action::Unchanged if moved.contains(name) => "moved",
            _ => continue,
        };
        changes.insert(name, (action, report.path.as_str()));
    }
    changes
}
