//! A key to be made, and what it may not be, whoever asks for it.

use chrono::{DateTime, Utc};

use super::error::AccessError;
use super::key::Scope;
use super::limits::KeyLimits;
use crate::definition::AgentName;

const MAX_NAME_LENGTH: usize = 100;

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What the key is for.
    pub name: String,
    pub scopes: Vec<Scope>,
    /// Names of the agents that it may use; `None` means all.
    pub agents: Option<Vec<String>>,
    pub expires_at: Option<DateTime<Utc>>,
    pub limits: KeyLimits,
}

impl NewKey {
    /// The key as it is stored.
    pub(super) fn checked(mut self) -> Result<Self, AccessError> {
        self.name = self.name.trim().to_owned();
        if self.name.is_empty() || self.name.chars().count() > MAX_NAME_LENGTH {
            return Err(invalid("name", format!("must have 1 to {MAX_NAME_LENGTH} characters")));
        }
        // PostgreSQL stores no NUL, and a line break would forge a line of a list.
        if self.name.contains(char::is_control) {
            return Err(invalid("name", "must hold no control characters"));
        }
        let mut agents = self.agents.iter().flatten();
        if let Some(index) = agents.position(|agent| AgentName::parse(agent).is_none()) {
            let message = "must be an agent's name: a-z, 0-9 and single hyphens";
            return Err(invalid(format!("agents/{index}"), message));
        }
        if self.scopes.is_empty() {
            return Err(invalid("scopes", "must name at least one scope"));
        }
        if self.agents.is_some() && self.scopes.contains(&Scope::Admin) {
            let message = "must be left out of an admin key, which is good for every agent";
            return Err(invalid("agents", message));
        }
        if self.expires_at.is_some_and(|expires_at| expires_at <= Utc::now()) {
            return Err(invalid("expires_at", "must lie in the future"));
        }
        self.scopes = distinct(&self.scopes);
        Ok(self)
    }
}

fn distinct(scopes: &[Scope]) -> Vec<Scope> {
    let mut distinct = Vec::new();
    for scope in scopes {
        if !distinct.contains(scope) {
            distinct.push(*scope);
        }
    }
    distinct
}

fn invalid(field: impl Into<String>, message: impl Into<String>) -> AccessError {
    AccessError::InvalidKey { field: field.into(), message: message.into() }
}
