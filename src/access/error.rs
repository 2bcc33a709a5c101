//! What can go wrong with keys.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error("ROLECALL_ADMIN_KEY must have {minimum} characters or more")]
    AdminKeyTooShort { minimum: usize },
    #[error("failed to write the first admin key to {}", .path.display())]
    WriteAdminKey {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to read or write keys")]
    Database(#[from] sqlx::Error),
}
