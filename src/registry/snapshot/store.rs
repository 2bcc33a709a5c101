//! The queries about what agents live from.

use sqlx::PgConnection;

/// The source of an agent's live revision, as it is stored.
pub(super) struct StoredSource {
    pub name: String,
    pub source_bytes: Vec<u8>,
    pub format: String,
}

/// The sources of these agents' live revisions.
pub(super) async fn list_sources(
    connection: &mut PgConnection,
    names: &[String],
) -> Result<Vec<StoredSource>, sqlx::Error> {
    sqlx::query_as!(
        StoredSource,
        "SELECT name, source_bytes, format
         FROM agents JOIN revisions ON agent_name = name AND revision = live_revision
         WHERE name = ANY($1)",
        names
    )
    .fetch_all(connection)
    .await
}
