//! The frontmatter of a file: where it ends, and its fields, from strict YAML or else from a scan by line.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::scan::{
    DESCRIPTION, KNOWN_FIELDS, RawField, Scan, TEXT_FIELDS, first_line, is_plain, scan,
    scanned_value,
};
use super::strict::strict;
use super::{DefinitionError, Diagnostic};

/// How the frontmatter was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParseMode {
    /// It is valid YAML.
    Strict,
    /// It is not, and was scanned by line.
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

/// A file cut at its fences. Line numbers count from 1 in the whole file.
pub(super) struct Document<'a> {
    pub frontmatter: &'a str,
    pub frontmatter_line: usize,
    pub body: &'a str,
    pub body_line: usize,
}

/// The fields of a frontmatter with the line on which each opens.
pub(super) struct Fields {
    pub mode: ParseMode,
    pub values: Map<String, Value>,
    pub lines: Vec<(String, usize)>,
    pub diagnostics: Vec<Diagnostic>,
}

/// Cuts a text at its two `---` lines.
pub(super) fn split(text: &str) -> Result<Document<'_>, DefinitionError> {
    let mut lines = text.split_inclusive('\n');
    let opening = lines.next().unwrap_or_default();
    if opening.trim_end() != "---" {
        return Err(DefinitionError::NoFrontmatter);
    }
    let start = opening.len();
    let mut end = start;
    for (index, line) in lines.enumerate() {
        if matches!(line.trim_end(), "---" | "...") {
            return Ok(Document {
                frontmatter: &text[start..end],
                frontmatter_line: 2,
                body: &text[end + line.len()..],
                body_line: index + 3,
            });
        }
        end += line.len();
    }
    Err(DefinitionError::invalid(Diagnostic::error(
        "frontmatter_unclosed",
        1,
        1,
        "the frontmatter that begins here has no closing `---` line",
        "put a line `---` between the fields and the body",
    )))
}

/// Reads the fields: strict YAML first, else by line.
pub(super) fn read_fields(document: &Document<'_>) -> Result<Fields, DefinitionError> {
    let strict = strict(document.frontmatter);
    let raw = scan(document.frontmatter, document.frontmatter_line, |key| {
        KNOWN_FIELDS.contains(&key) || strict.as_ref().is_ok_and(|values| values.contains_key(key))
    });
    let fields = match strict {
        Ok(values) => {
            let values = values
                .into_iter()
                .map(|(key, value)| prefer_written_text(key, value, &raw.fields))
                .collect();
            let lines = raw.fields.iter().map(|field| (field.key.to_owned(), field.line)).collect();
            Fields { mode: ParseMode::Strict, values, lines, diagnostics: Vec::new() }
        }
        Err(error) => {
            from_scan(raw, error.into_diagnostic(document.frontmatter, document.frontmatter_line))
        }
    };
    if fields.values.is_empty() {
        return Err(DefinitionError::invalid(Diagnostic::error(
            "frontmatter_empty",
            document.frontmatter_line,
            1,
            "no field was found between the two `---` lines",
            "add at least the fields `name` and `description`",
        )));
    }
    Ok(fields)
}

/// A text field keeps its text, where YAML turns `{{ x }}` into a map and `True` into `true`, and cuts a
/// description at ` #`, as in `issue #12`, or at a line end that only YAML knows.
fn prefer_written_text(key: String, value: Value, raw: &[RawField<'_>]) -> (String, Value) {
    if !TEXT_FIELDS.contains(&key.as_str()) {
        return (key, value);
    }
    let Some(field) = raw.iter().find(|field| field.key == key) else { return (key, value) };
    let cuts = [" #", "\u{85}", "\u{2028}", "\u{2029}"];
    let is_cut = key == DESCRIPTION
        && is_plain(&field.text)
        && cuts.iter().any(|cut| field.text.contains(cut));
    if is_cut || value.is_array() || value.is_object() {
        let lines = field.text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let text = lines.collect::<Vec<_>>().join(" ");
        return (key, Value::String(text.trim().to_owned()));
    }
    if value.is_boolean() || value.is_number() {
        return (key, Value::String(first_line(&field.text).to_owned()));
    }
    (key, value)
}

fn from_scan(scan: Scan<'_>, error: Diagnostic) -> Fields {
    let lines = scan.fields.iter().map(|field| (field.key.to_owned(), field.line)).collect();
    let values = scan
        .fields
        .into_iter()
        .map(|field| (field.key.to_owned(), scanned_value(field.key, &field.text)))
        .collect();
    let mut diagnostics = vec![error];
    diagnostics.extend(scan.diagnostics);
    Fields { mode: ParseMode::Scan, values, lines, diagnostics }
}

#[cfg(test)]
mod tests {
    use super::{ParseMode, read_fields, split};

    fn value(frontmatter: &str, key: &str) -> (ParseMode, serde_json::Value) {
        let text = format!("---\n{frontmatter}\n---\nbody\n");
        let document = split(&text).expect("fenced");
        let mut fields = read_fields(&document).expect("has fields");
        (fields.mode, fields.values.remove(key).unwrap_or_default())
    }

    #[test]
    fn an_unquoted_colon_is_kept_whole() {
        let (mode, description) =
            value("name: a\ndescription: Use: when: asked.\nmodel: opus", "description");
        assert_eq!(mode, ParseMode::Scan);
        assert_eq!(description, "Use: when: asked.");
    }

    #[test]
    fn a_bold_start_and_unindented_lines_are_text() {
        let frontmatter = "name: a\ndescription: **Use** me\nuser: 'hello'\nmodel: opus";
        assert_eq!(value(frontmatter, "description").1, "**Use** me\nuser: 'hello'");
        assert_eq!(value(frontmatter, "model").1, "opus");
    }

    #[test]
    fn a_number_sign_does_not_cut_a_description() {
        let (mode, description) = value("name: a\ndescription: Fixes issue #12 now", "description");
        assert_eq!(mode, ParseMode::Strict);
        assert_eq!(description, "Fixes issue #12 now");
    }

    #[test]
    fn lists_survive_a_scan() {
        let (mode, tools) =
            value("name: a\ndescription: x: y\ntools:\n  - Read\n  - Bash(git:*)", "tools");
        assert_eq!(mode, ParseMode::Scan);
        assert_eq!(tools, serde_json::json!(["Read", "Bash(git:*)"]));
    }

    #[test]
    fn a_block_that_yaml_refuses_loses_only_its_indent() {
        let frontmatter = "name: a: b\ndescription: |\n  one\n   two\nmodel: opus";
        assert_eq!(value(frontmatter, "description").1, "one\n two\n");
    }

    #[test]
    fn behind_a_word_an_unknown_field_is_a_field() {
        let frontmatter = "name: a\nwhen-to-use: often\ndescription: x: y\nnote: still text";
        assert_eq!(value(frontmatter, "name").1, "a");
        assert_eq!(value(frontmatter, "when-to-use").1, "often");
        assert_eq!(value(frontmatter, "description").1, "x: y\nnote: still text");
    }

    #[test]
    fn what_follows_a_repeated_field_joins_no_other() {
        let frontmatter = "name: a\ndescription: x: y\ntools: Read\ndescription: again\nand again";
        assert_eq!(value(frontmatter, "description").1, "x: y");
        assert_eq!(value(frontmatter, "tools").1, "Read");
    }
}
