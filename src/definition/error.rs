//! Why a file did not become an agent definition.

use super::Diagnostic;

#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// Something else than an agent, such as documentation.
    #[error("{}", .0.message)]
    NotAnAgent(Diagnostic),
    /// The file cannot be used; at least one diagnostic is an error.
    #[error("{}", cause(.diagnostics))]
    Invalid { diagnostics: Vec<Diagnostic> },
}

impl DefinitionError {
    pub(super) fn invalid(diagnostic: Diagnostic) -> Self {
        Self::Invalid { diagnostics: vec![diagnostic] }
    }

    /// The findings, one at least, where an agent was expected.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        match self {
            Self::NotAnAgent(note) => vec![note.into_error()],
            Self::Invalid { diagnostics } => diagnostics,
        }
    }
}

fn cause(diagnostics: &[Diagnostic]) -> String {
    diagnostics.first().map_or_else(
        || "the file is not usable".to_owned(),
        |first| format!("line {}: {}", first.line, first.message),
    )
}
