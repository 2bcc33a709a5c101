//! The fields of a file, and typed values taken out of them; what nobody takes is kept.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Diagnostic;
use super::tools::{self, ToolList};
use super::vocabulary::Vocabulary;

/// How the fields were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParseMode {
    /// They are valid in the syntax of their format.
    Strict,
    /// They are not valid YAML, and were scanned by line.
    Scan,
}

impl ParseMode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Scan => "scan",
        }
    }
}

/// What a file holds, whatever its syntax. Line numbers count from 1 in the whole file.
pub(super) struct Fields {
    pub mode: ParseMode,
    pub values: Map<String, Value>,
    /// The line on which each field opens, as far as it is known.
    pub lines: Vec<(String, usize)>,
    pub diagnostics: Vec<Diagnostic>,
    /// The text below the fields.
    pub body: String,
    pub body_line: usize,
}

pub(super) struct FieldReader {
    values: Map<String, Value>,
    lines: Vec<(String, usize)>,
    diagnostics: Vec<Diagnostic>,
    body: String,
    body_line: usize,
}

impl FieldReader {
    pub fn new(fields: Fields) -> Self {
        let Fields { values, lines, diagnostics, body, body_line, .. } = fields;
        Self { values, lines, diagnostics, body, body_line }
    }

    /// The line on which a field opens; the first line of the fields if it is not there.
    pub fn line_of(&self, key: &str) -> usize {
        let found = self.lines.iter().find(|(name, _)| name == key).or(self.lines.first());
        found.map_or(1, |(_, line)| *line)
    }

    /// A text; numbers and booleans count as what was written.
    pub fn take_text(&mut self, key: &str) -> Option<String> {
        match self.values.shift_remove(key)? {
            Value::Null => None,
            Value::String(text) => Some(text.trim().to_owned()),
            other => Some(other.to_string()),
        }
    }

    /// A text, or the first of several.
    pub fn take_first_text(&mut self, key: &str) -> Option<String> {
        if let Some(Value::Array(items)) = self.values.get(key) {
            let first = items.first().cloned().unwrap_or_default();
            self.values.insert(key.to_owned(), first);
        }
        self.take_text(key).filter(|text| !text.is_empty())
    }

    /// The first of several fields that is a count.
    pub fn take_count(&mut self, keys: &[&str]) -> Option<u32> {
        let key = keys.iter().find(|key| self.values.contains_key(**key))?;
        let value = self.values.get(*key)?;
        let count = value
            .as_u64()
            .or_else(|| value.as_str()?.trim().parse().ok())
            .and_then(|count| u32::try_from(count).ok());
        match count {
            Some(_) => drop(self.values.shift_remove(*key)),
            None => self.diagnostics.push(Diagnostic::warning(
                "field_type",
                self.line_of(key),
                1,
                &format!("`{key}` is not a whole number, and is not used"),
                "write a number such as `10`",
            )),
        }
        count
    }

    /// A list of words, however it is written; absent and empty differ.
    pub fn take_tools(&mut self, key: &str) -> ToolList {
        let Some(value) = self.values.shift_remove(key) else { return ToolList::default() };
        let list = tools::read_list(&value);
        if list.is_none() && !value.is_null() {
            self.diagnostics.push(Diagnostic::warning(
                "field_type",
                self.line_of(key),
                1,
                &format!("`{key}` is neither a text nor a list, and is not used"),
                "write the entries separated by commas, or as a YAML list",
            ));
        }
        list.unwrap_or_default()
    }

    /// The body, and the line on which it begins; `field` is its text if it is empty.
    pub fn take_body(&mut self, field: &str) -> (String, usize) {
        let body = std::mem::take(&mut self.body);
        if body.is_empty() && self.values.get(field).is_some_and(Value::is_string) {
            return (self.take_text(field).unwrap_or_default(), self.line_of(field));
        }
        (body, self.body_line)
    }

    /// Entries of a map of permissions that refuse.
    pub fn denied(&self, key: &str) -> Vec<String> {
        let map = self.values.get(key).and_then(Value::as_object);
        map.into_iter()
            .flatten()
            .filter(|(_, value)| value.as_str() == Some("deny"))
            .map(|(tool, _)| tool.clone())
            .collect()
    }

    pub fn warn_at_start(&mut self, code: &'static str, message: &str, help: &str) {
        let first = self.lines.iter().map(|(_, line)| *line).min();
        self.warn_at(first.unwrap_or(1), code, message, help);
    }

    pub fn warn_at(&mut self, line: usize, code: &'static str, message: &str, help: &str) {
        self.diagnostics.push(Diagnostic::warning(code, line, 1, message, help));
    }

    pub fn note_at(&mut self, line: usize, code: &'static str, message: &str, help: &str) {
        self.diagnostics.push(Diagnostic::note(code, line, 1, message, help));
    }

    /// The fields that nobody took, and every finding.
    pub fn finish(mut self, vocabulary: &Vocabulary) -> (Map<String, Value>, Vec<Diagnostic>) {
        for key in self.values.keys() {
            if let Some(meant) = vocabulary.guess(key) {
                self.diagnostics.push(Diagnostic::warning(
                    "field_misspelt",
                    self.line_of(key),
                    1,
                    &format!("the field `{key}` has no effect"),
                    &format!("did you mean `{meant}`?"),
                ));
            }
        }
        (self.values, self.diagnostics)
    }
}
