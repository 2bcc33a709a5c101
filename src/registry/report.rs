//! What a sync says of each file.

use serde::Serialize;
use utoipa::ToSchema;

use crate::definition::{Diagnostic, Level};

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Loaded,
    LoadedWithWarnings,
    Quarantined,
    Skipped,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::LoadedWithWarnings => "loaded_with_warnings",
            Self::Quarantined => "quarantined",
            Self::Skipped => "skipped",
        }
    }
}

/// What a sync does about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Created,
    Updated,
    Unchanged,
    Archived,
    /// An agent of the same name came by the API; the file waits behind it.
    Shadowed,
    None,
}

impl Action {
    pub fn changes_agent(self) -> bool {
        matches!(self, Self::Created | Self::Updated | Self::Archived)
    }
}

/// One file in the report of a sync.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FileReport {
    pub path: String,
    pub verdict: Verdict,
    pub action: Action,
    pub agent: Option<String>,
    pub diagnostics: Vec<Diagnostic>,
}

impl FileReport {
    pub fn is_loaded(&self) -> bool {
        matches!(self.verdict, Verdict::Loaded | Verdict::LoadedWithWarnings)
    }

    /// Adds a finding that needed more than the file.
    pub fn add(&mut self, diagnostic: Diagnostic) {
        if self.verdict == Verdict::Loaded && diagnostic.level >= Level::Warning {
            self.verdict = Verdict::LoadedWithWarnings;
        }
        self.diagnostics.push(diagnostic);
    }
}
