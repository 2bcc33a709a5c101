//! Another roster than the live one, as a request describes it. Nothing of it is saved.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::EvaluationError;
use crate::definition::AgentName;
use crate::registry::{Registry, Roster};

/// How another roster differs from the live one: first files are put, then agents are taken out.
#[derive(Debug, Clone, Default)]
pub struct RosterChange {
    pub put: Vec<OtherFile>,
    pub remove: Vec<String>,
    /// If there are any, all others are taken out.
    pub only: Vec<String>,
}

/// An agent file that takes the place of the agent of that name.
#[derive(Debug, Clone)]
pub struct OtherFile {
    pub name: String,
    pub source: String,
}

impl RosterChange {
    /// The roster as it would be.
    ///
    /// # Errors
    /// If a file is not usable, or a name to be taken out or kept is nobody's.
    pub(super) fn apply(
        &self,
        live: &Roster,
        registry: &Registry,
    ) -> Result<Roster, EvaluationError> {
        let mut agents = live.agents.clone();
        let mut names = BTreeSet::new();
        for (place, OtherFile { name, source }) in self.put.iter().enumerate() {
            let name = AgentName::parse(name).filter(|name| names.insert(name.clone()));
            let name = name.ok_or(EvaluationError::FileName { place })?;
            let agent = registry
                .read_unsaved(&name, source.as_bytes())
                .map_err(|error| EvaluationError::File { place, error })?;
            agents.insert(name, Arc::new(agent));
        }
        let mut roster = Roster { revision: live.revision, agents };
        for name in self.remove.iter().chain(&self.only) {
            if roster.find(name).is_none() {
                return Err(EvaluationError::AgentNotFound(name.clone()));
            }
        }
        let removed: HashSet<&str> = self.remove.iter().map(String::as_str).collect();
        let only: HashSet<&str> = self.only.iter().map(String::as_str).collect();
        roster.agents.retain(|name, _| {
            !removed.contains(name.as_str()) && (only.is_empty() || only.contains(name.as_str()))
        });
        Ok(roster)
    }
}
