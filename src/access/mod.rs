//! Callers and their API keys: who may do what, and with which agents.
//!
//! A request is checked against a snapshot in memory, so that keys keep working without the database.

mod error;
mod key;
mod limits;
mod new_key;
mod store;
mod trail;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use chrono::Utc;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use uuid::Uuid;

pub use error::AccessError;
pub use key::{ApiKey, Caller, Scope};
pub use limits::{KeyLimits, KeyLimitsChange, Limit};
pub use new_key::NewKey;

use key::{KeyOrigin, NewSecret, Presented, hash};

use crate::audit::Author;
use crate::db::{ANSWER_PATIENCE, READ_PATIENCE, in_time};
use crate::telemetry::causes;

/// Shortest text that is accepted as `ROLECALL_ADMIN_KEY`, in characters.
const MIN_ADMIN_KEY_LENGTH: usize = 16;

/// A cheap handle to the keys.
#[derive(Debug, Clone)]
pub struct Access {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    snapshot: ArcSwap<Snapshot>,
    /// Held while the snapshot is read anew, so that an older one never replaces a newer one.
    refreshing: tokio::sync::Mutex<()>,
}

/// Keys that are not revoked.
#[derive(Debug, Default)]
struct Snapshot {
    revision: i64,
    by_public_id: HashMap<String, Arc<ApiKey>>,
    by_id: HashMap<Uuid, Arc<ApiKey>>,
    /// The key of `ROLECALL_ADMIN_KEY`, which has no public id to look it up by.
    environment: Option<Arc<ApiKey>>,
}

/// What the start did about the first admin key.
#[derive(Debug)]
pub enum FirstKey {
    /// Keys were there, or the environment gave one.
    NotNeeded,
    /// One was made and written to a file.
    Made(SecretString),
}

impl Access {
    pub async fn open(pool: PgPool) -> Result<Self, AccessError> {
        let access = Self {
            inner: Arc::new(Inner {
                pool,
                snapshot: ArcSwap::default(),
                refreshing: tokio::sync::Mutex::default(),
            }),
        };
        access.refresh().await?;
        Ok(access)
    }

    /// Reads the keys anew if any has changed.
    pub async fn refresh(&self) -> Result<(), AccessError> {
        let _refreshing = self.inner.refreshing.lock().await;
        let revision =
            in_time(ANSWER_PATIENCE, store::find_keys_revision(&self.inner.pool)).await?;
        if revision == self.inner.snapshot.load().revision {
            return Ok(());
        }
        let mut snapshot = Snapshot { revision, ..Snapshot::default() };
        for key in in_time(READ_PATIENCE, store::list_active(&self.inner.pool)).await? {
            let key = Arc::new(key);
            if key.origin == KeyOrigin::Environment {
                snapshot.environment = Some(Arc::clone(&key));
            }
            snapshot.by_id.insert(key.id, Arc::clone(&key));
            snapshot.by_public_id.insert(key.public_id.clone(), key);
        }
        self.inner.snapshot.store(Arc::new(snapshot));
        Ok(())
    }

    /// The caller who holds this key; `None` if there is no such key, or it has expired.
    pub fn authenticate(&self, presented: &str) -> Option<Caller> {
        let snapshot = self.inner.snapshot.load();
        let by_id = Presented::parse(presented).and_then(|presented| {
            let key = snapshot.by_public_id.get(presented.public_id)?;
            key.matches(presented.secret).then_some(key)
        });
        let key =
            by_id.or_else(|| snapshot.environment.as_ref().filter(|key| key.matches(presented)))?;
        (!key.is_expired(Utc::now())).then(|| Caller { key: Arc::clone(key) })
    }

    /// Sees to it that there is an admin key: the environment's if it gives one (a changed one replaces the old),
    /// else one that is made at the first start and written to `admin-key` in the data directory.
    pub async fn ensure_admin_key(
        &self,
        from_environment: Option<&SecretString>,
        data_dir: &Path,
    ) -> Result<FirstKey, AccessError> {
        let author = Author::without_key("start");
        let made = match from_environment {
            Some(key) => {
                let secret_hash = hash(usable_admin_key(key)?);
                store::replace_environment_key(&self.inner.pool, secret_hash, &author).await?;
                FirstKey::NotNeeded
            }
            None if self.has_admin_key() => FirstKey::NotNeeded,
            None => {
                let secret = NewSecret::generate();
                // The file first: a key that is stored but was never shown would be lost.
                write_private(&data_dir.join("admin-key"), secret.full.expose_secret())?;
                let key = NewKey {
                    name: "admin".to_owned(),
                    scopes: vec![Scope::Admin],
                    agents: None,
                    expires_at: None,
                    limits: KeyLimits::default(),
                };
                let origin = KeyOrigin::FirstStart;
                store::insert(&self.inner.pool, &key, &secret, origin, &author).await?;
                FirstKey::Made(secret.full)
            }
        };
        self.refresh().await?;
        Ok(made)
    }

    /// Makes a key. Its text is returned this once.
    ///
    /// # Errors
    /// [`AccessError::InvalidKey`] if there can be no such key.
    pub async fn create_key(
        &self,
        key: NewKey,
        author: &Author,
    ) -> Result<(ApiKey, SecretString), AccessError> {
        let key = key.checked()?;
        let secret = NewSecret::generate();
        let origin = KeyOrigin::Created;
        let stored = store::insert(&self.inner.pool, &key, &secret, origin, author).await?;
        self.show_change().await;
        tracing::info!(key.name = %stored.name, key.id = %stored.id, "key created");
        Ok((stored, secret.full))
    }

    /// Keys in order of id, behind `after`; revoked ones are left out.
    pub async fn list_keys(
        &self,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<ApiKey>, AccessError> {
        Ok(store::list_page(&self.inner.pool, after, limit).await?)
    }

    /// Changes the limits of a key; `None` if there is none with that id.
    pub async fn change_limits(
        &self,
        id: Uuid,
        change: KeyLimitsChange,
        author: &Author,
    ) -> Result<Option<ApiKey>, AccessError> {
        let changed = store::change_limits(&self.inner.pool, id, change, author).await?;
        self.show_change().await;
        Ok(changed)
    }

    /// The limits of a key's own; `None` if there is no such key any more.
    pub fn find_limits(&self, id: Uuid) -> Option<KeyLimits> {
        self.inner.snapshot.load().by_id.get(&id).map(|key| key.limits.clone())
    }

    /// Ends a key. False if there is none with that id.
    pub async fn revoke_key(&self, id: Uuid, author: &Author) -> Result<bool, AccessError> {
        let was_there = store::revoke(&self.inner.pool, id, author).await?;
        self.show_change().await;
        Ok(was_there)
    }

    /// Lets this instance know of a change of its own. The change holds whether or not that succeeds, and what fails
    /// here is seen a moment later as that of another instance would be.
    async fn show_change(&self) {
        if let Err(error) = self.refresh().await {
            tracing::warn!(error = causes(&error), "the change of a key is not seen at once");
        }
    }

    fn has_admin_key(&self) -> bool {
        let now = Utc::now();
        self.inner.snapshot.load().by_public_id.values().any(|key| {
            key.allows(Scope::Admin) && !key.is_expired(now) && key.origin != KeyOrigin::Environment
        })
    }
}

/// The key as a request can send it: a secret that is mounted as a file ends with a line break, and a header does not.
fn usable_admin_key(key: &SecretString) -> Result<&str, AccessError> {
    let key = key.expose_secret().trim();
    if key.chars().count() < MIN_ADMIN_KEY_LENGTH {
        return Err(AccessError::AdminKeyTooShort { minimum: MIN_ADMIN_KEY_LENGTH });
    }
    if HeaderValue::from_bytes(key.as_bytes()).is_err() {
        return Err(AccessError::AdminKeyUnsendable);
    }
    Ok(key)
}

fn write_private(path: &Path, text: &str) -> Result<(), AccessError> {
    use std::io::Write;
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let write = || {
        let mut file = std::fs::File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(path)?;
        // The mode above holds for a new file only.
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        writeln!(file, "{text}")?;
        file.sync_all()
    };
    write().map_err(|source| AccessError::WriteAdminKey { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::{AccessError, usable_admin_key};

    #[test]
    fn an_admin_key_is_what_a_header_can_carry() {
        let usable = |key: &str| usable_admin_key(&key.into()).map(str::to_owned);
        assert_eq!(usable("a key of 16 chars\n").ok().as_deref(), Some("a key of 16 chars"));
        assert_eq!(usable("schlüssel-für-alle").ok().as_deref(), Some("schlüssel-für-alle"));
        let unsendable = usable("a key of two\nlines of text");
        assert!(matches!(unsendable, Err(AccessError::AdminKeyUnsendable)));
        let short = usable(&format!("short{}", " ".repeat(16)));
        assert!(matches!(short, Err(AccessError::AdminKeyTooShort { .. })));
    }
}
