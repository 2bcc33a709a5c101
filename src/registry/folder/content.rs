//! What a scan of the folder found, to be compared with what the next one finds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::agent::Roster;
use super::{LiveFiles, ScanOutcome, ScannedFile};
use crate::definition::AgentName;

/// What a process found at each place of the folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::registry) struct FolderContent(BTreeMap<String, Found>);

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
        Self(of_interest.map(|file| (file.place(), Found::of(file))).collect())
    }

    pub fn is_same_at(&self, place: &str, other: &Self) -> bool {
        self.0.get(place) == other.0.get(place)
    }

    /// The agents of the roster that were found here.
    pub fn live_files(&self, roster: &Roster) -> LiveFiles {
        let by_place = self.0.iter().filter_map(|(place, found)| {
            let agent = roster.agents.get(found.agent.as_ref()?)?;
            Some((place.clone(), Arc::clone(agent)))
        });
        LiveFiles::new(by_place.collect())
    }
}

impl Found {
    fn of(file: &ScannedFile) -> Self {
        let agent = match &file.outcome {
            ScanOutcome::Parsed { parsed, .. } => Some(&parsed.definition.name),
            ScanOutcome::Live(agent) => Some(agent.name()),
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
