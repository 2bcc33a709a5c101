//! What can go wrong when records are kept or read.

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("failed to read or write records")]
    Database(#[from] sqlx::Error),
    #[error("failed to read or write the journal")]
    Journal(#[from] std::io::Error),
    #[error("failed to read a record of the journal")]
    UnreadableRecord(#[from] postcard::Error),
    /// The disk or the operator's limit leaves none.
    #[error(
        "there is no room for further records: the disk takes none, or too many wait for the database (`storage.journal_bytes`)"
    )]
    NoRoom,
    /// It is in memory alone.
    #[error("the disk takes nothing at the moment, and what is asked for is not on it yet")]
    NotSafe,
}
