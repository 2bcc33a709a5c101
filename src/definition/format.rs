//! The formats in which agents are written, and by what a file's path tells its own.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A format of agent files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Markdown with frontmatter, as Claude Code's subagents are written.
    ClaudeCode,
}

impl Format {
    const ALL: [Self; 1] = [Self::ClaudeCode];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
        }
    }

    /// The format of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }
}

/// What is known of a source besides its bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'a> {
    /// Where the file lies: its folders and its ending tell of its format.
    pub path: Option<&'a str>,
    /// The format, where it is known.
    pub format: Option<Format>,
    /// What the agent is called if the file does not say; the stem of the path if this is `None`.
    pub name: Option<&'a str>,
}

impl<'a> Origin<'a> {
    /// A file of which nothing but the agent's name is known.
    pub fn named(name: &'a str) -> Self {
        Self { name: Some(name), ..Self::default() }
    }

    /// What the agent is called if the file does not say.
    pub(super) fn fallback_name(&self) -> Option<&'a str> {
        self.name.or_else(|| stem(self.path?))
    }
}

fn stem(path: &str) -> Option<&str> {
    let file = path.rsplit('/').next()?;
    Some(file.rsplit_once('.').map_or(file, |(stem, _)| stem))
}
