//! What the audit is told of keys. Their secrets are no part of it.

use serde_json::json;

use super::key::ApiKey;
use super::limits::KeyLimits;
use crate::audit::{Action, NewEntry};

pub(super) fn created(key: &ApiKey) -> NewEntry {
    entry(Action::KeyCreate, key)
}

pub(super) fn revoked(key: &ApiKey) -> NewEntry {
    entry(Action::KeyRevoke, key)
}

pub(super) fn limits_changed(key: &ApiKey, before: &KeyLimits) -> NewEntry {
    let limits = json!({"before": before, "after": key.limits});
    let detail = json!({"name": key.name, "limits": limits});
    NewEntry { action: Action::KeyUpdate, subject: key.id.to_string(), detail }
}

fn entry(action: Action, key: &ApiKey) -> NewEntry {
    let mut detail = json!({"name": key.name, "scopes": key.scopes, "agents": key.agents});
    if key.limits != KeyLimits::default() {
        detail["limits"] = json!(key.limits);
    }
    NewEntry { action, subject: key.id.to_string(), detail }
}
