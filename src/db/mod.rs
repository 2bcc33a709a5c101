//! The connection to PostgreSQL: the operator's own by URL, or a private one that is started and stopped here.
//!
//! Queries live in the `store.rs` of each component, not here.

mod changes;
mod error;
mod private;
mod silence;
mod transaction;

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgConnection, PgPool};

pub use changes::listen_for_changes;
pub use error::DatabaseError;
pub use silence::{ANSWER_PATIENCE, READ_PATIENCE, in_time};
pub use transaction::begin;

use private::PrivatePostgres;

/// The schema, embedded in the binary.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

const MAX_CONNECTIONS: u32 = 16;

/// How long a task waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long connections may take to end.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct Settings {
    /// The operator's own server. Unset: a private one in the data directory.
    pub url: Option<SecretString>,
    pub data_dir: PathBuf,
}

/// Who opens the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opener {
    /// The service: the only owner of a private server.
    Service,
    /// A command: joins the private server of a running service, or runs one for its own time.
    Command,
}

/// An open database. [`close`](Self::close) it; a private server is stopped then by whoever started it.
#[derive(Debug)]
pub struct Database {
    pub pool: PgPool,
    /// Which database this is, in words, without secrets.
    pub description: String,
    private: Option<PrivatePostgres>,
}

impl Database {
    /// Connects, starting the private server if no URL is set.
    ///
    /// # Errors
    /// If the URL's server cannot be reached (a private one never stands in for it), or the private server
    /// cannot be started.
    pub async fn open(settings: &Settings, opener: Opener) -> Result<Self, DatabaseError> {
        match &settings.url {
            Some(url) => Self::open_url(url).await,
            None => Self::open_private(settings, opener).await,
        }
    }

    /// A database that somebody else has opened.
    pub fn of_pool(pool: PgPool) -> Self {
        Self { pool, description: "an open pool".to_owned(), private: None }
    }

    /// Whether this process alone uses the database, so that what other instances left behind is known to be over.
    pub fn is_exclusive(&self) -> bool {
        self.private.as_ref().is_some_and(PrivatePostgres::is_owner)
    }

    /// Brings the schema up to date.
    pub async fn migrate(&self) -> Result<(), DatabaseError> {
        MIGRATOR.run(&self.pool).await.map_err(schema_error)
    }

    pub async fn close(self) {
        // A server that is out of reach takes no leave.
        let _ = tokio::time::timeout(CLOSE_PATIENCE, self.pool.close()).await;
        if let Some(private) = self.private {
            private.stop().await;
        }
    }

    async fn open_url(url: &SecretString) -> Result<Self, DatabaseError> {
        if !names_server(url.expose_secret()) {
            return Err(DatabaseError::NoServer);
        }
        let options: PgConnectOptions =
            url.expose_secret().parse().map_err(DatabaseError::InvalidUrl)?;
        let place = format!(
            "{}:{}/{}",
            options.get_host(),
            options.get_port(),
            options.get_database().unwrap_or(options.get_username())
        );
        let pool = connect(options)
            .await
            .map_err(|source| DatabaseError::Unreachable { place: place.clone(), source })?;
        let description = format!("PostgreSQL at {place} (DATABASE_URL)");
        Ok(Self { pool, description, private: None })
    }

    async fn open_private(settings: &Settings, opener: Opener) -> Result<Self, DatabaseError> {
        let private = PrivatePostgres::open(&settings.data_dir, opener).await?;
        let pool = connect(private.connect_options()).await.map_err(|source| {
            DatabaseError::Unreachable { place: private.description(), source }
        })?;
        Ok(Self { pool, description: private.description(), private: Some(private) })
    }
}

/// What stands in the way of this version's schema.
fn schema_error(error: MigrateError) -> DatabaseError {
    let known = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or_default();
    match error {
        MigrateError::VersionMissing(found) if found > known => {
            DatabaseError::NewerSchema { found, known }
        }
        MigrateError::VersionMissing(version) | MigrateError::VersionMismatch(version) => {
            DatabaseError::OtherSchema(version)
        }
        other => DatabaseError::Migration(other),
    }
}

/// Whether a URL is one of PostgreSQL and says where the server is. The parser takes any scheme, and for a URL without a host
/// this machine: parts of what was meant, a password among them, would be told as the name of a database there.
fn names_server(url: &str) -> bool {
    let Some((scheme, rest)) = url.trim().split_once("://") else { return false };
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = place.split('/').next().unwrap_or_default();
    let has_host = !authority.is_empty() && !authority.ends_with('@');
    let is_postgres = ["postgres", "postgresql"].iter().any(|own| scheme.eq_ignore_ascii_case(own));
    is_postgres && (has_host || parameters.split('&').any(|one| one.starts_with("host")))
}

/// Whether the database gives a connection within `patience`: one that is there is asked whether it lives. Acquiring may be
/// given up at any time; a query, once sent, is not.
pub async fn is_reachable(pool: &PgPool, patience: Duration) -> bool {
    matches!(tokio::time::timeout(patience, pool.acquire()).await, Ok(Ok(_)))
}

async fn connect(options: PgConnectOptions) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(MAX_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|connection, _| Box::pin(prepare_session(connection)))
        .after_release(|connection, _| Box::pin(silence::may_come_back(connection)))
        .connect_with(options)
        .await
}

async fn prepare_session(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    // The server ends what is stuck, and what is asked by whoever has gone without a word.
    sqlx::raw_sql(
        "SET statement_timeout = '60s'; \
         SET idle_in_transaction_session_timeout = '60s'; \
         SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; \
         SET tcp_keepalives_count = 3; SET client_min_messages = warning",
    )
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::names_server;

    #[test]
    fn a_url_without_a_server_is_none_of_a_database() {
        for url in [
            "postgres://rc:secret@db:5432/rc",
            "postgresql://db",
            "postgres:///rc?host=/run/postgresql",
            "postgres://rc@%2Frun%2Fpostgresql/rc",
        ] {
            assert!(names_server(url), "{url}");
        }
        for url in [
            "postgres:/rc:secret",
            "postgres:rc:secret@db/rc",
            "postgres://",
            "postgres:///rc",
            "postgres://rc:secret@/rc",
            "mysql://rc:secret@db/rc",
            "db:5432/rc",
            "",
        ] {
            assert!(!names_server(url), "{url}");
        }
    }
}
