//! What a scan of the folder found, to be compared with what the next one finds.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::super::agent::Roster;
use super::known::{KnownOutcome, KnownOutcomes, Stamp};
use super::{ScanOutcome, ScannedFile};
use crate::definition::AgentName;

/// What a process found at each place of the folder.
#[derive(Debug, Default)]
pub(in crate::registry) struct FolderContent {
    found: BTreeMap<String, Found>,
    stamps: HashMap<String, Stamp>,
}

#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// The hash of the bytes, or why there is none.
    content: String,
    agent: Option<AgentName>,
}

impl FolderContent {
    pub fn of(files: &[ScannedFile]) -> Self {
        // What is no agent may change as it likes.
        let of_interest =
            files.iter().filter(|file| !matches!(file.outcome, ScanOutcome::Skipped(_)));
        Self {
            found: of_interest.map(|file| (file.place(), Found::of(file))).collect(),
            stamps: files
                .iter()
                .filter_map(|file| Some((file.path.clone(), file.stamp?)))
                .collect(),
        }
    }

    /// Whether the folder holds the same, whoever has written to it.
    pub fn is_same(&self, other: &Self) -> bool {
        self.found == other.found
    }

    pub fn is_same_at(&self, place: &str, other: &Self) -> bool {
        self.found.get(place) == other.found.get(place)
    }

    /// What was found here and is live: whatever another process has made of the agent, no revision comes of it.
    pub fn known_outcomes(&self, roster: &Roster) -> KnownOutcomes {
        let known = self.found.iter().filter_map(|(place, found)| {
            let agent = roster.agents.get(found.agent.as_ref()?)?;
            let outcome = KnownOutcome {
                sha256: found.content.clone(),
                agent: agent.name().clone(),
                diagnostics: Arc::clone(&agent.diagnostics),
            };
            (agent.sha256 == found.content).then(|| (place.clone(), outcome))
        });
        KnownOutcomes::new(known.collect(), self.stamps.clone())
    }
}

impl Found {
    fn of(file: &ScannedFile) -> Self {
        let agent = match &file.outcome {
            ScanOutcome::Parsed { parsed, .. } => Some(&parsed.definition.name),
            ScanOutcome::Known { agent, .. } => Some(agent),
            ScanOutcome::Quarantined(_) | ScanOutcome::Skipped(_) => None,
        };
        let content = match &file.outcome {
            ScanOutcome::Quarantined(diagnostics) if file.sha256.is_empty() => {
                diagnostics.first().map(|first| first.message.clone()).unwrap_or_default()
            }
            _ => file.sha256.clone(),
        };
        Self { content, agent: agent.cloned() }
    }
}
