//! What becomes of an agent whose revisions stay as they are: another one goes live, or it answers no more.

use std::sync::Arc;

use super::agent::AgentState;
use super::change::{Change, ChangeOutcome, OpenChange};
use super::{Registry, RegistryError, history, store, trail};
use crate::audit::Author;
use crate::definition::AgentName;

impl Registry {
    /// Makes a revision the live one. An archived agent is revived, a disabled one stays disabled.
    ///
    /// # Errors
    /// [`RegistryError::StoredDefinition`] if this version cannot read the revision, besides what any change may
    /// meet.
    pub async fn activate(
        &self,
        name: &AgentName,
        revision: i32,
        change: Change,
    ) -> Result<ChangeOutcome, RegistryError> {
        let mut open = OpenChange::begin(self).await?;
        let head = store::find_head(open.connection(), name.as_str()).await?;
        let head = head.ok_or(RegistryError::NotFound)?;
        change.precondition.check(Some(&head))?;
        let content = history::find_content(open.connection(), name.as_str(), revision).await?;
        let content = content.ok_or(RegistryError::RevisionNotFound(revision))?;
        let parsed = self
            .parse_content(&content, name)
            .ok_or_else(|| RegistryError::StoredDefinition { name: name.to_string(), revision })?;
        let was_archived = head.state == AgentState::Archived;
        let is_changed = was_archived || head.revision != revision;
        if is_changed {
            let display_name = &parsed.definition.display_name;
            store::set_live(open.connection(), name.as_str(), revision, display_name).await?;
            let entry = trail::activate(name, head.revision, revision, was_archived);
            open.record(&change.author, entry).await?;
        }
        finish(open, name, is_changed, &change.author).await
    }

    /// Takes an agent out of service, or back into it. Its revisions stay.
    ///
    /// # Errors
    /// [`RegistryError::Archived`] if it is archived: only a revision revives it.
    pub async fn set_state(
        &self,
        name: &AgentName,
        state: AgentState,
        change: Change,
    ) -> Result<ChangeOutcome, RegistryError> {
        let mut open = OpenChange::begin(self).await?;
        let head = store::find_head(open.connection(), name.as_str()).await?;
        let head = head.ok_or(RegistryError::NotFound)?;
        change.precondition.check(Some(&head))?;
        if head.state == AgentState::Archived && state != AgentState::Archived {
            return Err(RegistryError::Archived);
        }
        let is_changed = head.state != state;
        if is_changed {
            store::set_state(open.connection(), &[name.to_string()], state).await?;
            open.record(&change.author, trail::state(name, state, head.revision)).await?;
        }
        finish(open, name, is_changed, &change.author).await
    }
}

async fn finish(
    mut open: OpenChange<'_>,
    name: &AgentName,
    is_changed: bool,
    author: &Author,
) -> Result<ChangeOutcome, RegistryError> {
    let agent = open.find_agent(name).await?;
    if is_changed {
        open.commit().await?;
        tracing::info!(
            agent.name = %name,
            agent.state = %agent.state,
            agent.revision,
            author = %author.name,
            "agent changed"
        );
    } else {
        open.abandon().await?;
    }
    Ok(ChangeOutcome { agent: Arc::new(agent), is_changed })
}
