//! Why a file did not become an agent definition.

use super::Diagnostic;

#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// Plain Markdown: documentation, not a definition.
    #[error("the file does not begin with frontmatter (a line `---`)")]
    NoFrontmatter,
    /// The file cannot be used; at least one diagnostic is an error.
    #[error("{}", cause(.diagnostics))]
    Invalid { diagnostics: Vec<Diagnostic> },
}

impl DefinitionError {
    pub(super) fn invalid(diagnostic: Diagnostic) -> Self {
        Self::Invalid { diagnostics: vec![diagnostic] }
    }

    /// The findings, one at least.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        match self {
            Self::NoFrontmatter => vec![Diagnostic::error(
                "frontmatter_missing",
                1,
                1,
                "the file does not begin with frontmatter (a line `---`)",
                "begin the file with `---`, the fields `name` and `description`, and `---`",
            )],
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
