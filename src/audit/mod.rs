//! Who changed what: one entry for each change of an agent, a key or a tool server, and for feedback that is forgotten.
//!
//! An entry is written in the transaction of the change that it tells of. What changes mean is known to the
//! components that make them.

mod entry;
mod error;
mod store;

use sqlx::PgPool;
use uuid::Uuid;

pub use entry::{Action, Author, Entry, NewEntry};
pub use error::AuditError;
pub use store::record;

/// A cheap handle to the entries.
#[derive(Debug, Clone)]
pub struct Audit {
    pool: PgPool,
}

/// Which entries are asked for.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub subject: Option<String>,
    pub action: Option<String>,
}

impl Audit {
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Entries, newest first, older than `before`.
    pub async fn list_entries(
        &self,
        filter: &Filter,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Entry>, AuditError> {
        Ok(store::list(&self.pool, filter, before, limit).await?)
    }
}
