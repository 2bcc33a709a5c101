//! What an agent was: its revisions, each as it came in, and how they differ.

mod diff;
mod store;

use chrono::{DateTime, Utc};

pub(super) use store::find_content;
use store::{Content, agent_exists};

use super::agent::AgentSource;
use super::{Registry, RegistryError, Source, parse_stored};
use crate::definition::{AgentDefinition, AgentName, Diagnostic, ParseMode, ParsedDefinition};

/// A revision, without its content.
#[derive(Debug, Clone)]
pub struct Revision {
    pub revision: i32,
    pub sha256: String,
    pub created_at: DateTime<Utc>,
    pub author: String,
    pub source: AgentSource,
    /// The name of the format, which may be one that this version does not know.
    pub format: String,
    pub parse_mode: ParseMode,
    pub is_live: bool,
}

/// A revision with what its content says.
#[derive(Debug)]
pub struct RevisionDetail {
    pub revision: Revision,
    /// Read anew from the source; `None` if this version cannot read it.
    pub definition: Option<AgentDefinition>,
    /// What was found when the revision was made.
    pub diagnostics: Vec<Diagnostic>,
}

impl Registry {
    /// The revisions of an agent, archived or not, newest first, older than `before`.
    pub async fn list_revisions(
        &self,
        name: &AgentName,
        before: Option<i32>,
        limit: i64,
    ) -> Result<Vec<Revision>, RegistryError> {
        let mut connection = self.inner.pool.acquire().await?;
        let revisions = store::list(&mut connection, name.as_str(), before, limit).await?;
        if revisions.is_empty() && !agent_exists(&mut connection, name.as_str()).await? {
            return Err(RegistryError::NotFound);
        }
        Ok(revisions)
    }

    /// One revision with its definition.
    pub async fn find_revision(
        &self,
        name: &AgentName,
        revision: i32,
    ) -> Result<RevisionDetail, RegistryError> {
        let content = self.find_revision_content(name, revision).await?;
        let found = store::find(&self.inner.pool, name.as_str(), revision).await?;
        Ok(RevisionDetail {
            revision: found.ok_or(RegistryError::RevisionNotFound(revision))?,
            definition: self.parse_content(&content, name).map(|parsed| parsed.definition),
            diagnostics: content.diagnostics,
        })
    }

    /// The exact bytes of a revision.
    pub async fn find_revision_source(
        &self,
        name: &AgentName,
        revision: i32,
    ) -> Result<Source, RegistryError> {
        let content = self.find_revision_content(name, revision).await?;
        Ok(Source { bytes: content.source_bytes, format: content.format })
    }

    /// A unified diff of two revisions; empty if they are equal.
    pub async fn diff_revisions(
        &self,
        name: &AgentName,
        from: i32,
        to: i32,
    ) -> Result<String, RegistryError> {
        let old = self.find_revision_content(name, from).await?.source_bytes;
        let new = self.find_revision_content(name, to).await?.source_bytes;
        let (old_title, new_title) = (format!("{name}@{from}"), format!("{name}@{to}"));
        // Long texts with little in common take long to compare.
        let diff = tokio::task::spawn_blocking(move || {
            diff::unified((&old_title, &old), (&new_title, &new))
        });
        Ok(diff.await.expect("comparing two texts does not panic"))
    }

    /// Reads the source of a revision anew; `None` if this version cannot.
    pub(super) fn parse_content(
        &self,
        content: &Content,
        name: &AgentName,
    ) -> Option<ParsedDefinition> {
        let settings = &self.inner.settings;
        parse_stored(&content.source_bytes, &content.format, name.as_str(), settings)
    }

    async fn find_revision_content(
        &self,
        name: &AgentName,
        revision: i32,
    ) -> Result<Content, RegistryError> {
        let mut connection = self.inner.pool.acquire().await?;
        if let Some(content) = find_content(&mut connection, name.as_str(), revision).await? {
            return Ok(content);
        }
        if agent_exists(&mut connection, name.as_str()).await? {
            return Err(RegistryError::RevisionNotFound(revision));
        }
        Err(RegistryError::NotFound)
    }
}
