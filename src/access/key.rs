//! API keys: `rc_<public id>_<secret>`. The secret is random, so a plain SHA-256 of it is safe to store.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;
use uuid::Uuid;

use super::limits::KeyLimits;
use crate::audit::Author;

/// What a key permits. Each scope contains those after it: admin, run, dispatch, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Read,
    Dispatch,
    Run,
    Admin,
}

impl Scope {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Dispatch => "dispatch",
            Self::Run => "run",
            Self::Admin => "admin",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Read, Self::Dispatch, Self::Run, Self::Admin]
            .into_iter()
            .find(|scope| scope.as_str() == text)
    }
}

/// How a key came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyOrigin {
    Created,
    FirstStart,
    Environment,
}

impl KeyOrigin {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::FirstStart => "first_start",
            Self::Environment => "environment",
        }
    }

    pub(super) fn from_column(text: &str) -> Self {
        match text {
            "first_start" => Self::FirstStart,
            "environment" => Self::Environment,
            _ => Self::Created,
        }
    }
}

/// A key as it is stored: without its secret.
#[derive(Debug, Clone)]
pub struct ApiKey {
    pub id: Uuid,
    pub public_id: String,
    pub name: String,
    pub scopes: Vec<Scope>,
    pub agents: Option<Vec<String>>,
    pub origin: KeyOrigin,
    pub expires_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub limits: KeyLimits,
    pub(super) secret_hash: Vec<u8>,
}

impl ApiKey {
    pub(super) fn matches(&self, secret: &str) -> bool {
        hash(secret).ct_eq(self.secret_hash.as_slice()).into()
    }

    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    /// Whether one of its scopes is this one or contains it. A key for some agents alone administers nothing: it could
    /// make itself one for all.
    pub fn allows(&self, scope: Scope) -> bool {
        let is_beyond_it = scope == Scope::Admin && self.agents.is_some();
        !is_beyond_it && self.scopes.iter().any(|held| *held >= scope)
    }
}

/// The holder of a key, for the time of one request.
#[derive(Debug, Clone)]
pub struct Caller {
    pub(super) key: Arc<ApiKey>,
}

impl Caller {
    pub fn key_id(&self) -> Uuid {
        self.key.id
    }

    pub fn name(&self) -> &str {
        &self.key.name
    }

    /// The caller as the author of a change.
    pub fn author(&self) -> Author {
        Author { name: self.key.name.clone(), key_id: Some(self.key.id) }
    }

    pub fn allows(&self, scope: Scope) -> bool {
        self.key.allows(scope)
    }

    /// Whether a record that a key has made may be shown: to that key, and to admins.
    pub fn may_see(&self, record_of: Uuid) -> bool {
        record_of == self.key.id || self.allows(Scope::Admin)
    }

    /// The only key whose records may be shown; `None` means all.
    pub fn sees_only(&self) -> Option<Uuid> {
        (!self.allows(Scope::Admin)).then_some(self.key.id)
    }

    /// The agents that the key is good for; `None` means all.
    pub fn permitted_agents(&self) -> Option<Vec<String>> {
        self.key.agents.clone()
    }

    /// Whether the key is good for an agent.
    pub fn may_use(&self, agent: &str) -> bool {
        self.key.agents.as_ref().is_none_or(|agents| agents.iter().any(|name| name == agent))
    }
}

/// A key as a caller sends it.
pub(super) struct Presented<'a> {
    pub public_id: &'a str,
    pub secret: &'a str,
}

impl<'a> Presented<'a> {
    pub fn parse(text: &'a str) -> Option<Self> {
        let (public_id, secret) = text.strip_prefix("rc_")?.split_once('_')?;
        Some(Self { public_id, secret })
    }
}

/// The random parts of a new key.
pub(super) struct NewSecret {
    pub public_id: String,
    pub hash: Vec<u8>,
    pub full: SecretString,
}

impl NewSecret {
    pub fn generate() -> Self {
        let public_id = random_text(12);
        let secret = random_text(43);
        let full = SecretString::from(format!("rc_{public_id}_{secret}"));
        Self { hash: hash(&secret).to_vec(), public_id, full }
    }
}

pub(super) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Letters and digits, each of 62 kinds equally likely: 43 of them hold 256 bits.
fn random_text(length: usize) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let mut bytes = [0_u8; 64];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        // Bytes above the last multiple of 62 would make some characters likelier.
        let even = bytes.iter().filter(|byte| **byte < 248);
        text.extend(
            even.map(|byte| char::from(ALPHABET[usize::from(byte % 62)])).take(length - text.len()),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::{NewSecret, Presented, Scope, hash};

    #[test]
    fn a_new_key_parses_into_its_parts() {
        let secret = NewSecret::generate();
        let presented = Presented::parse(secret.full.expose_secret()).expect("well formed");
        assert_eq!(presented.public_id, secret.public_id);
        assert_eq!(hash(presented.secret).to_vec(), secret.hash);
        assert_eq!(presented.secret.len(), 43);
    }

    #[test]
    fn scopes_contain_each_other() {
        assert!(Scope::Admin > Scope::Run && Scope::Run > Scope::Dispatch);
        assert!(Scope::Dispatch > Scope::Read);
    }
}
