//! What can go wrong with keys.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The field is a path in the key to be made, such as `agents/0`.
    #[error("`{field}` {message}")]
    InvalidKey { field: String, message: String },
    #[error("ROLECALL_ADMIN_KEY must have {minimum} characters or more")]
    AdminKeyTooShort { minimum: usize },
    #[error("ROLECALL_ADMIN_KEY holds a control character, which no request can send")]
    AdminKeyUnsendable,
    #[error("failed to write the first admin key to {}", .path.display())]
    WriteAdminKey {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to read or write keys")]
    Database(#[from] sqlx::Error),
}
