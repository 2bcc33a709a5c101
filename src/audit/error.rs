//! What can go wrong when entries are read.

#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("failed to read the audit's entries")]
    Database(#[from] sqlx::Error),
}
