//! A PostgreSQL of our own: created once in the data directory, reached by a unix socket only, started and
//! stopped with the process that owns it.
//!
//! A lock file says who owns it. The server's own `postmaster.pid` is never touched.

mod account;
mod binaries;
mod cluster;
mod server;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::{DatabaseError, Opener};
use account::Account;
use binaries::Binaries;
use cluster::Cluster;
use server::Server;

/// The role and the database inside the cluster.
const NAME: &str = "rolecall";

/// How long a service waits for a command that is just using the data directory, and a command for a service
/// that is just starting.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// A private server, owned or joined.
#[derive(Debug)]
pub(super) struct PrivatePostgres {
    socket_dir: PathBuf,
    description: String,
    owned: Option<Owned>,
}

#[derive(Debug)]
struct Owned {
    server: Server,
    /// Held for as long as the server runs.
    _lock: File,
}

impl PrivatePostgres {
    pub async fn open(data_dir: &Path, opener: Opener) -> Result<Self, DatabaseError> {
        let data_dir = create_data_dir(data_dir)?;
        let account = Account::for_server()?;
        let cluster = Cluster::locate(&data_dir, account.as_ref());
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            if let Some(lock) = try_lock(&data_dir)? {
                return Self::start(cluster, account, lock).await;
            }
            if opener == Opener::Command
                && let Some(joined) = Self::join(&cluster).await
            {
                return Ok(joined);
            }
            if Instant::now() >= deadline {
                return Err(DatabaseError::DataDirInUse(data_dir));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub fn is_owner(&self) -> bool {
        self.owned.is_some()
    }

    pub fn connect_options(&self) -> PgConnectOptions {
        options(&self.socket_dir, NAME)
    }

    pub fn description(&self) -> String {
        self.description.clone()
    }

    pub async fn stop(self) {
        if let Some(owned) = self.owned {
            owned.server.stop().await;
        }
    }

    async fn start(
        cluster: Cluster,
        account: Option<Account>,
        lock: File,
    ) -> Result<Self, DatabaseError> {
        let binaries = Binaries::find(cluster.major()?)?;
        cluster.create_if_missing(&binaries, account.as_ref()).await?;
        cluster.stop_orphan(&binaries, account.as_ref()).await;
        let socket_dir = cluster.create_socket_dir(account.as_ref())?;
        let server = Server::start(&cluster, &socket_dir, &binaries, account).await?;
        create_database(&socket_dir).await.map_err(|source| DatabaseError::Unreachable {
            place: socket_dir.display().to_string(),
            source,
        })?;
        let description =
            format!("private PostgreSQL {} in {}", binaries.major, cluster.home().display());
        let owned = Some(Owned { server, _lock: lock });
        Ok(Self { socket_dir, description, owned })
    }

    /// Joins the server that the lock's owner runs, if it answers already.
    async fn join(cluster: &Cluster) -> Option<Self> {
        use sqlx::Connection;
        let socket_dir = cluster.running_socket_dir()?;
        let connection =
            sqlx::PgConnection::connect_with(&options(&socket_dir, NAME)).await.ok()?;
        connection.close().await.ok()?;
        let description =
            format!("the running service's private PostgreSQL in {}", cluster.home().display());
        Some(Self { socket_dir, description, owned: None })
    }
}

fn options(socket_dir: &Path, database: &str) -> PgConnectOptions {
    // What the developer's PG* variables say of a server, an account or TLS is meant for another server.
    PgConnectOptions::new_without_pgpass()
        .socket(socket_dir)
        .port(cluster::PORT)
        .username(NAME)
        .database(database)
        .ssl_mode(PgSslMode::Disable)
}

fn create_data_dir(data_dir: &Path) -> Result<PathBuf, DatabaseError> {
    std::fs::create_dir_all(data_dir).and_then(|()| data_dir.canonicalize()).map_err(|source| {
        DatabaseError::Io { action: "create the data directory", path: data_dir.to_owned(), source }
    })
}

fn try_lock(data_dir: &Path) -> Result<Option<File>, DatabaseError> {
    let path = data_dir.join("lock");
    let failed = |source| DatabaseError::Io { action: "lock", path: path.clone(), source };
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

async fn create_database(socket_dir: &Path) -> Result<(), sqlx::Error> {
    use sqlx::Connection;
    let mut connection = sqlx::PgConnection::connect_with(&options(socket_dir, "postgres")).await?;
    let exists: Option<i32> = sqlx::query_scalar("SELECT 1 FROM pg_database WHERE datname = $1")
        .bind(NAME)
        .fetch_optional(&mut connection)
        .await?;
    if exists.is_none() {
        sqlx::raw_sql("CREATE DATABASE rolecall").execute(&mut connection).await?;
    }
    connection.close().await
}
