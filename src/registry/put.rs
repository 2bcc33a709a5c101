//! Putting an agent's file: a new revision, live at once.

use std::sync::Arc;

use super::agent::{Agent, AgentSource, AgentState};
use super::change::{Change, OpenChange};
use super::store::Head;
use super::{Registry, RegistryError, parse_and_lint, sha256_hex, store, trail};
use crate::definition::{AgentName, Format, Origin, ParsedDefinition};

/// What a put did, or would do.
#[derive(Debug)]
pub struct PutOutcome {
    pub agent: Arc<Agent>,
    pub is_new: bool,
    pub is_changed: bool,
}

impl Registry {
    /// Reads an agent file as it would be put, with every finding.
    ///
    /// # Errors
    /// [`RegistryError::TooLarge`], or [`RegistryError::InvalidDefinition`].
    fn check(&self, source: &[u8], origin: &Origin<'_>) -> Result<ParsedDefinition, RegistryError> {
        let limit = self.inner.settings.definition_bytes;
        if source.len() > limit {
            return Err(RegistryError::TooLarge { limit_bytes: limit });
        }
        parse_and_lint(source, origin, &self.inner.settings.known_world)
            .map_err(|error| RegistryError::InvalidDefinition(error.into_diagnostics()))
    }

    /// The agent that an agent file of this name makes, without a look at what is saved.
    ///
    /// # Errors
    /// As those of a put's file.
    pub fn read_unsaved(&self, name: &AgentName, source: &[u8]) -> Result<Agent, RegistryError> {
        let parsed = self.check_named(name, source, None)?;
        Ok(Agent::unsaved(parsed, sha256_hex(source), 1))
    }

    fn check_named(
        &self,
        name: &AgentName,
        source: &[u8],
        format: Option<Format>,
    ) -> Result<ParsedDefinition, RegistryError> {
        let parsed = self.check(source, &Origin { format, ..Origin::named(name.as_str()) })?;
        if parsed.definition.name != *name {
            return Err(RegistryError::NameMismatch {
                path: name.clone(),
                file: parsed.definition.name,
            });
        }
        Ok(parsed)
    }

    /// Makes `source` the live revision of `name`, in this format or in the one that it is recognised as. Bytes that
    /// are live already make no revision, unless they are to be read as another format.
    pub async fn put(
        &self,
        name: &AgentName,
        source: &[u8],
        format: Option<Format>,
        change: &Change,
    ) -> Result<PutOutcome, RegistryError> {
        let mut put = self.begin_put(name, source, format, change).await?;
        if put.is_live_already {
            return put.leave().await;
        }
        let revision = store::NewRevision {
            sha256: &put.sha256,
            source_bytes: source,
            parsed: &put.parsed,
            folder_labels: &[],
        };
        let (open, author) = (&mut put.open, &change.author);
        store::save_revisions(open.connection(), &[revision], AgentSource::Api, &author.name)
            .await?;
        let (agent, is_new) = (open.find_agent(name).await?, put.head.is_none());
        open.record(author, trail::put(&agent, is_new)).await?;
        put.open.commit().await?;
        Ok(PutOutcome { agent: Arc::new(agent), is_new, is_changed: true })
    }

    /// What [`put`](Self::put) would do, which is not done.
    pub async fn preview_put(
        &self,
        name: &AgentName,
        source: &[u8],
        format: Option<Format>,
        change: &Change,
    ) -> Result<PutOutcome, RegistryError> {
        let mut put = self.begin_put(name, source, format, change).await?;
        if put.is_live_already {
            return put.leave().await;
        }
        let last = store::last_revisions(put.open.connection(), &[name.to_string()]).await?;
        put.open.abandon().await?;
        let next = last.into_values().next().unwrap_or(0) + 1;
        let mut agent = Agent::unsaved(put.parsed, put.sha256, next);
        agent.state = put.head.as_ref().map_or(AgentState::Live, Head::next_state);
        let is_new = put.head.is_none();
        Ok(PutOutcome { agent: Arc::new(agent), is_new, is_changed: true })
    }

    async fn begin_put(
        &self,
        name: &AgentName,
        source: &[u8],
        format: Option<Format>,
        change: &Change,
    ) -> Result<OpenPut<'_>, RegistryError> {
        let parsed = self.check_named(name, source, format)?;
        let sha256 = sha256_hex(source);
        let mut open = OpenChange::begin(self).await?;
        let head = store::find_head(open.connection(), name.as_str()).await?;
        change.precondition.check(head.as_ref())?;
        let is_live_already = head.as_ref().is_some_and(|head| {
            let is_format_kept = format.is_none_or(|format| format.as_str() == head.format);
            head.sha256 == sha256 && is_format_kept && head.state != AgentState::Archived
        });
        Ok(OpenPut { open, parsed, sha256, head, is_live_already })
    }
}

/// A put whose file and condition are right, and that has changed nothing yet.
struct OpenPut<'a> {
    open: OpenChange<'a>,
    parsed: ParsedDefinition,
    sha256: String,
    /// The agent as it is, if it is known.
    head: Option<Head>,
    is_live_already: bool,
}

impl OpenPut<'_> {
    /// Ends it where there is nothing to be changed.
    async fn leave(mut self) -> Result<PutOutcome, RegistryError> {
        let agent = self.open.find_agent(&self.parsed.definition.name).await?;
        self.open.abandon().await?;
        Ok(PutOutcome { agent: Arc::new(agent), is_new: false, is_changed: false })
    }
}
