//! Tool servers that came by the admin API, as they are stored. They are reached by URL, without headers: a command or a secret for a
//! free URL would be the operator's to give, and stands in the configuration file alone.

mod store;
mod trail;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use http::Uri;
use sqlx::PgPool;

use super::error::ToolServerError;
use super::{Connection, MAX_SERVERS, Secrets, ServerSettings, ToolServers, check_name};
use crate::audit::Author;
use crate::db::{ANSWER_PATIENCE, in_time};

pub use store::Put;

/// A cheap handle to the stored servers. It keeps those of [`ToolServers`] in line with them.
#[derive(Debug, Clone)]
pub struct StoredToolServers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    servers: ToolServers,
    /// The revision that is served; -1 before the first reading.
    revision: AtomicI64,
    /// Held while the servers are read anew, so that an older list never replaces a newer one.
    refreshing: tokio::sync::Mutex<()>,
}

/// A server to be stored.
#[derive(Debug, Clone)]
pub struct NewServer {
    pub name: String,
    pub url: String,
    pub is_default: bool,
}

impl StoredToolServers {
    /// Starts the servers that are stored.
    pub async fn open(pool: PgPool, servers: ToolServers) -> Result<Self, ToolServerError> {
        let inner = Inner {
            pool,
            servers,
            revision: AtomicI64::new(-1),
            refreshing: tokio::sync::Mutex::default(),
        };
        let stored = Self { inner: Arc::new(inner) };
        stored.refresh().await?;
        Ok(stored)
    }

    /// Takes over what was stored or removed since, through whichever instance.
    pub async fn refresh(&self) -> Result<(), ToolServerError> {
        let _refreshing = self.inner.refreshing.lock().await;
        let revision = in_time(ANSWER_PATIENCE, store::find_revision(&self.inner.pool)).await?;
        if revision == self.inner.revision.load(Ordering::Acquire) {
            return Ok(());
        }
        let rows = in_time(ANSWER_PATIENCE, store::list(&self.inner.pool)).await?;
        let settings = rows.into_iter().filter_map(|row| {
            // It was checked before it was stored.
            let url = parse_url(&row.url)?;
            let connection = Connection::Url { url, headers: Vec::new() };
            Some(ServerSettings {
                name: row.name,
                is_default: row.is_default,
                connection,
                secrets: Secrets::default(),
            })
        });
        self.inner.servers.set_stored(settings.collect());
        self.inner.revision.store(revision, Ordering::Release);
        Ok(())
    }

    /// Stores a server in place of the one of its name.
    pub async fn put(&self, new: &NewServer, author: &Author) -> Result<Put, ToolServerError> {
        check_name(&new.name).map_err(ToolServerError::InvalidName)?;
        parse_url(&new.url).ok_or(ToolServerError::InvalidUrl)?;
        if self.inner.servers.is_configured(&new.name) {
            return Err(ToolServerError::Configured(new.name.clone()));
        }
        let most = MAX_SERVERS.saturating_sub(self.inner.servers.count_configured());
        let put = store::put(&self.inner.pool, new, most, author).await?;
        if put == Put::TooMany {
            return Err(ToolServerError::TooMany(MAX_SERVERS));
        }
        self.refresh().await?;
        Ok(put)
    }

    /// Removes a server. False if none of that name is stored.
    pub async fn delete(&self, name: &str, author: &Author) -> Result<bool, ToolServerError> {
        if self.inner.servers.is_configured(name) {
            return Err(ToolServerError::Configured(name.to_owned()));
        }
        let was_there = store::delete(&self.inner.pool, name, author).await?;
        self.refresh().await?;
        Ok(was_there)
    }
}

/// A URL that a server can be reached at. A password in it would be stored in clear.
fn parse_url(text: &str) -> Option<Uri> {
    let url: Uri = text.parse().ok().filter(|_| text.len() <= 2_000)?;
    let is_usable = matches!(url.scheme_str(), Some("http" | "https"))
        && url.host().is_some_and(|host| !host.is_empty())
        && url.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    is_usable.then_some(url)
}
