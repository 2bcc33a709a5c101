//! What the audit is told of keys. Their secrets are no part of it.

use serde_json::json;

use super::key::ApiKey;
use crate::audit::{Action, NewEntry};

pub(super) fn created(key: &ApiKey) -> NewEntry {
    entry(Action::KeyCreate, key)
}

pub(super) fn revoked(key: &ApiKey) -> NewEntry {
    entry(Action::KeyRevoke, key)
}

fn entry(action: Action, key: &ApiKey) -> NewEntry {
    let detail = json!({"name": key.name, "scopes": key.scopes, "agents": key.agents});
    NewEntry { action, subject: key.id.to_string(), detail }
}
