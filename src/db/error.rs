//! Why the database cannot be used.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("failed to read DATABASE_URL as a PostgreSQL URL")]
    InvalidUrl(#[source] sqlx::Error),
    #[error(
        "failed to read DATABASE_URL: it must name a PostgreSQL server, as in \
         postgres://user:password@host:5432/database"
    )]
    NoServer,
    #[error(
        "failed to reach the database at {place}; \
         start it or correct DATABASE_URL (unset, a private PostgreSQL is used)"
    )]
    Unreachable {
        place: String,
        #[source]
        source: sqlx::Error,
    },
    #[error("failed to bring the schema up to date")]
    Migration(#[source] sqlx::migrate::MigrateError),
    #[error(
        "the database belongs to a newer version of Rolecall: its schema has migration {found}, and this version knows \
         those up to {known}; start the newer version, or give this one a database of its own (DATABASE_URL, or \
         ROLECALL_DATA_DIR for the private one)"
    )]
    NewerSchema { found: i64, known: i64 },
    #[error(
        "the database has another migration {0} than this version of Rolecall: that of a build which was never released, \
         perhaps; start what made it, or give this one a database of its own (DATABASE_URL, or ROLECALL_DATA_DIR for the \
         private one)"
    )]
    OtherSchema(i64),
    #[error("no PostgreSQL server is installed{wanted}\n{help}", wanted = wanted(*.major))]
    NoBinaries { major: Option<u32>, help: String },
    #[error(
        "the data directory {} is in use by another instance; stop it, or set ROLECALL_DATA_DIR to another",
        .0.display()
    )]
    DataDirInUse(PathBuf),
    #[error(
        "PostgreSQL refuses to run as root, and no unprivileged account (postgres, nobody) was found"
    )]
    NoAccount,
    #[error("failed to {action} {}", .path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to create the private PostgreSQL: initdb says: {0}")]
    InitDb(String),
    #[error("failed to start the private PostgreSQL; the end of {}:\n{tail}", .log.display())]
    Start { log: PathBuf, tail: String },
}

fn wanted(major: Option<u32>) -> String {
    major.map_or_else(String::new, |major| {
        format!(" in version {major}, which the existing data needs")
    })
}
