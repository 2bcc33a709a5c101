//! What was noticed about a file: where, which class, and what to do about it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Of findings that a file may have on every line no more than these are told.
pub(super) const MAX_FINDINGS: usize = 50;

/// How bad a finding is. A file with an error is not loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Note,
    Warning,
    Error,
}

/// One finding about one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Diagnostic {
    pub level: Level,
    /// The class of the finding, a stable word such as `yaml_invalid`.
    pub code: Cow<'static, str>,
    /// Line in the file, counted from 1.
    pub line: usize,
    /// Column in the line, in characters, counted from 1.
    pub column: usize,
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// Longest text of a finding, in characters: what it quotes may be as long as a file.
const LONGEST_TEXT: usize = 400;

/// A text that can be shown and stored, which one with a NUL cannot be.
fn presentable(text: &str) -> String {
    let text = text.replace('\0', "\u{fffd}");
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Line and column of what follows a text, in characters, counted from 1.
pub(super) fn place_behind(text: &str) -> (usize, usize) {
    let column = text.chars().rev().take_while(|character| *character != '\n').count();
    (1 + text.matches('\n').count(), 1 + column)
}

impl Diagnostic {
    pub fn error(
        code: &'static str,
        line: usize,
        column: usize,
        message: &str,
        help: &str,
    ) -> Self {
        Self::new(Level::Error, code, line, column, message, help)
    }

    pub fn warning(
        code: &'static str,
        line: usize,
        column: usize,
        message: &str,
        help: &str,
    ) -> Self {
        Self::new(Level::Warning, code, line, column, message, help)
    }

    pub fn note(code: &'static str, line: usize, column: usize, message: &str, help: &str) -> Self {
        Self::new(Level::Note, code, line, column, message, help)
    }

    /// The same finding where it is one of a file that has to be an agent.
    #[must_use]
    pub fn into_error(self) -> Self {
        Self { level: Level::Error, ..self }
    }

    fn new(
        level: Level,
        code: &'static str,
        line: usize,
        column: usize,
        message: &str,
        help: &str,
    ) -> Self {
        Self {
            level,
            code: Cow::Borrowed(code),
            line,
            column,
            message: presentable(message),
            help: presentable(help),
        }
    }
}
