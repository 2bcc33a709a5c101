//! The fields of a file, and typed values taken out of them; what nobody takes is kept.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Diagnostic;
use super::diagnostic::MAX_FINDINGS;
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
    lines: IndexMap<String, usize>,
    diagnostics: Vec<Diagnostic>,
    body: String,
    body_line: usize,
}

impl FieldReader {
    pub fn new(fields: Fields) -> Self {
        let Fields { values, diagnostics, body, body_line, .. } = fields;
        let mut lines = IndexMap::with_capacity(fields.lines.len());
        for (key, line) in fields.lines {
            lines.entry(key).or_insert(line);
        }
        Self { values, lines, diagnostics, body, body_line }
    }

    /// The line on which a field opens; the first line of the fields if it is not there.
    pub fn line_of(&self, key: &str) -> usize {
        let first = || self.lines.first().map(|(_, line)| line);
        self.lines.get(key).or_else(first).copied().unwrap_or(1)
    }

    /// A text; numbers and booleans count as what was written.
    pub fn take_text(&mut self, key: &str) -> Option<String> {
        match self.values.shift_remove(key)? {
            Value::Null => None,
            Value::String(text) => Some(text.trim().to_owned()),
            other => Some(other.to_string()),
        }
    }

    /// A text, or the first of several, which are then kept as well.
    pub fn take_first_text(&mut self, key: &str) -> Option<String> {
        let text = match self.values.get(key) {
            Some(Value::Array(items)) => items.first()?.as_str().map(|text| text.trim().to_owned()),
            _ => self.take_text(key),
        };
        text.filter(|text| !text.is_empty())
    }

    /// The description, with what a format has in a field of its own about when to use the agent.
    pub fn take_description(&mut self, vocabulary: &Vocabulary) -> String {
        let texts = [Some("description"), vocabulary.occasions];
        let texts = texts.into_iter().flatten().filter_map(|key| self.take_text(key));
        texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n")
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

    /// A model. Claude Code and Cursor take options in brackets behind it, which mean nothing to a provider.
    pub fn take_model(&mut self) -> Option<String> {
        let written = self.take_first_text("model")?;
        let Some((model, options)) =
            written.strip_suffix(']').and_then(|rest| rest.split_once('['))
        else {
            return Some(written);
        };
        let model = model.trim_end();
        if model.is_empty() {
            return Some(written);
        }
        self.note_at(
            self.line_of("model"),
            "model_option",
            &format!("`[{options}]` behind the model `{model}` has no effect"),
            "leave it out if other clients do not need it",
        );
        Some(model.to_owned())
    }

    /// The tools that a field allows and denies, however it is written; absent and empty differ.
    pub fn take_tools(&mut self, key: &str) -> ToolList {
        self.take_list(key, tools::read_list).unwrap_or_default()
    }

    /// A list of words, or a text of words with commas between them.
    pub fn take_words(&mut self, key: &str) -> Vec<String> {
        self.take_list(key, tools::read_words).unwrap_or_default()
    }

    fn take_list<T>(&mut self, key: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let value = self.values.shift_remove(key)?;
        let list = read(&value);
        if list.is_none() && !value.is_null() {
            self.diagnostics.push(Diagnostic::warning(
                "field_type",
                self.line_of(key),
                1,
                &format!("`{key}` is neither a text nor a list, and is not used"),
                "write the entries separated by commas, or as a YAML list",
            ));
        }
        list
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
        let first = self.lines.values().copied().min();
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
        let guesses = self.values.keys().filter_map(|key| Some((key, vocabulary.guess(key)?)));
        let misspelt = guesses.take(MAX_FINDINGS).map(|(key, meant)| {
            Diagnostic::warning(
                "field_misspelt",
                self.line_of(key),
                1,
                &format!("the field `{key}` has no effect"),
                &format!("did you mean `{meant}`?"),
            )
        });
        let misspelt: Vec<_> = misspelt.collect();
        self.diagnostics.extend(misspelt);
        (self.values, self.diagnostics)
    }
}
