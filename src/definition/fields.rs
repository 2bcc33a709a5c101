//! Takes typed values out of the frontmatter's fields; what nobody takes is kept.

use serde_json::{Map, Value};

use super::frontmatter::Fields;
use super::{Diagnostic, tools};

/// Spellings that other loaders ignore in silence, and what was meant.
const MISSPELT_FIELDS: &[(&str, &str)] = &[
    ("allowedTools", "tools"),
    ("allowed-tools", "tools"),
    ("allowed_tools", "tools"),
    ("disallowed_tools", "disallowedTools"),
    ("disallowed-tools", "disallowedTools"),
    ("max_turns", "maxTurns"),
    ("mcp_servers", "mcpServers"),
    ("permission_mode", "permissionMode"),
    ("colour", "color"),
];

pub(super) struct FieldReader {
    values: Map<String, Value>,
    lines: Vec<(String, usize)>,
    diagnostics: Vec<Diagnostic>,
}

impl FieldReader {
    pub fn new(fields: Fields) -> Self {
        Self { values: fields.values, lines: fields.lines, diagnostics: fields.diagnostics }
    }

    /// The line on which a field opens; the first line of the frontmatter if it is not there.
    pub fn line_of(&self, key: &str) -> usize {
        self.lines.iter().find(|(name, _)| name == key).map_or(2, |(_, line)| *line)
    }

    /// A text; numbers and booleans count as what was written.
    pub fn take_text(&mut self, key: &str) -> Option<String> {
        match self.values.remove(key)? {
            Value::Null => None,
            Value::String(text) => Some(text.trim().to_owned()),
            other => Some(other.to_string()),
        }
    }

    /// A list of words, however it is written; absent and empty differ.
    pub fn take_tools(&mut self, key: &str) -> Option<Vec<String>> {
        let value = self.values.remove(key)?;
        let words = tools::read_list(&value);
        if words.is_none() && !value.is_null() {
            self.diagnostics.push(Diagnostic::warning(
                "field_type",
                self.line_of(key),
                1,
                &format!("`{key}` is neither a text nor a list, and is not used"),
                "write the entries separated by commas, or as a YAML list",
            ));
        }
        words
    }

    pub fn warn_at_start(&mut self, code: &'static str, message: &str, help: &str) {
        self.diagnostics.push(Diagnostic::warning(code, 2, 1, message, help));
    }

    pub fn note_at(&mut self, line: usize, code: &'static str, message: &str, help: &str) {
        self.diagnostics.push(Diagnostic::note(code, line, 1, message, help));
    }

    /// The fields that nobody took, and every finding.
    pub fn finish(mut self) -> (Map<String, Value>, Vec<Diagnostic>) {
        for (misspelt, meant) in MISSPELT_FIELDS {
            if self.values.contains_key(*misspelt) {
                self.diagnostics.push(Diagnostic::warning(
                    "field_misspelt",
                    self.line_of(misspelt),
                    1,
                    &format!("the field `{misspelt}` has no effect"),
                    &format!("did you mean `{meant}`?"),
                ));
            }
        }
        (self.values, self.diagnostics)
    }
}
