//! What can go wrong when records are read.

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("failed to read or write records")]
    Database(#[from] sqlx::Error),
}
