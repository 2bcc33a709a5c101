//! An agent as it is served, and the roster of all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::folder::{ScanOutcome, ScannedFile};
use crate::definition::{
    AgentDefinition, AgentName, Diagnostic, Format, ParseMode, ParsedDefinition,
};

/// Where an agent comes from. A sync touches only what came from files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentSource {
    File,
    Api,
}

impl AgentSource {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Api => "api",
        }
    }

    pub(super) fn from_column(text: &str) -> Self {
        if text == "api" { Self::Api } else { Self::File }
    }
}

/// Whether an agent answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    Live,
    Disabled,
    Archived,
}

impl AgentState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Disabled => "disabled",
            Self::Archived => "archived",
        }
    }

    pub(super) fn from_column(text: &str) -> Self {
        match text {
            "disabled" => Self::Disabled,
            "archived" => Self::Archived,
            _ => Self::Live,
        }
    }
}

impl fmt::Display for AgentState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One agent with its live revision.
#[derive(Debug, Clone)]
pub struct Agent {
    pub definition: Arc<AgentDefinition>,
    pub revision: i32,
    pub sha256: String,
    pub format: Format,
    pub parse_mode: ParseMode,
    pub diagnostics: Arc<[Diagnostic]>,
    pub source: AgentSource,
    pub state: AgentState,
    /// Labels of the file and the folders it lies in.
    pub labels: Vec<String>,
    pub updated_at: DateTime<Utc>,
}

impl Agent {
    pub fn name(&self) -> &AgentName {
        &self.definition.name
    }

    pub fn is_live(&self) -> bool {
        self.state == AgentState::Live
    }

    /// An agent as it would be if it were saved by the API.
    pub fn unsaved(parsed: ParsedDefinition, sha256: String, revision: i32) -> Self {
        Self {
            labels: parsed.definition.labels.clone(),
            definition: Arc::new(parsed.definition),
            revision,
            sha256,
            format: parsed.format,
            parse_mode: parsed.parse_mode,
            diagnostics: parsed.diagnostics.into(),
            source: AgentSource::Api,
            state: AgentState::Live,
            updated_at: Utc::now(),
        }
    }
}

/// Every agent, archived ones included, as of one revision of the roster.
#[derive(Debug, Default)]
pub struct Roster {
    /// Grows with every change of any agent.
    pub revision: i64,
    pub agents: BTreeMap<AgentName, Arc<Agent>>,
}

impl Roster {
    /// The agent of that name, unless it is archived.
    pub fn find(&self, name: &str) -> Option<&Arc<Agent>> {
        self.agents.get(name).filter(|agent| agent.state != AgentState::Archived)
    }

    /// The agents of a folder, read without a database: the first file of a name has it.
    pub fn of_files(files: &[ScannedFile]) -> Self {
        let mut roster = Self::default();
        for file in files {
            if let ScanOutcome::Parsed { parsed, .. } = &file.outcome {
                let name = parsed.definition.name.clone();
                roster.agents.entry(name).or_insert_with(|| {
                    Arc::new(Agent::unsaved((**parsed).clone(), file.sha256.clone(), 1))
                });
            }
        }
        roster
    }

    /// The agents of these files.
    #[cfg(test)]
    pub fn of_sources<S: Into<String>>(sources: impl IntoIterator<Item = S>) -> Self {
        let agents = sources.into_iter().map(|source| {
            let source: String = source.into();
            let parsed =
                crate::definition::parse(source.as_bytes(), &crate::definition::Origin::default())
                    .expect("is an agent");
            // The source tells files apart as well as its digest does.
            let agent = Agent::unsaved(parsed, source, 1);
            (agent.name().clone(), Arc::new(agent))
        });
        Self { revision: 1, agents: agents.collect() }
    }

    /// Agents that can be picked, in order of name.
    pub fn live(&self) -> impl Iterator<Item = &Arc<Agent>> {
        self.agents.values().filter(|agent| agent.is_live())
    }
}
