//! Reads a frontmatter line by line, where it is not valid YAML. No text is lost.

use serde_json::Value;

use super::Diagnostic;
use super::strict::strict;
use super::vocabulary::Vocabulary;

/// Fields whose value is text, whatever YAML makes of it.
pub(super) const TEXT_FIELDS: &[&str] = &["name", DESCRIPTION, "model", "color", "display_name"];

/// The text field that is prose. The others are words: they end with their line, and ` #` begins a comment.
pub(super) const DESCRIPTION: &str = "description";

pub(super) struct RawField<'a> {
    pub key: &'a str,
    pub line: usize,
    /// What follows the colon, and every line up to the next field.
    pub text: String,
    /// Whether it is known by its name, and not only because it stands behind a word.
    is_known: bool,
}

pub(super) struct Scan<'a> {
    pub fields: Vec<RawField<'a>>,
    pub diagnostics: Vec<Diagnostic>,
}

/// Cuts a frontmatter at the lines that open a field: those that the vocabulary or `is_field` accepts, and behind a
/// field that is no more than a word (a name, a model) every line that looks like a field. All else continues the
/// field above.
pub(super) fn scan<'a>(
    frontmatter: &'a str,
    first_line: usize,
    vocabulary: &Vocabulary,
    is_field: impl Fn(&str) -> bool,
) -> Scan<'a> {
    let mut scan = Scan { fields: Vec::new(), diagnostics: Vec::new() };
    let mut skips_repeated = false;
    for (index, line) in frontmatter.lines().enumerate() {
        let number = first_line + index;
        let is_behind_a_word = scan.fields.last().is_some_and(RawField::is_word);
        let opened = open_field(line).and_then(|(key, rest)| {
            let is_known = vocabulary.opens(key, rest);
            let opens = is_known || is_field(key) || (is_behind_a_word && is_key(key));
            opens.then_some((key, rest, is_known))
        });
        if let Some((key, rest, is_known)) = opened {
            // Valid YAML repeats no key, so the many others that it may have are not searched.
            skips_repeated = is_known && scan.fields.iter().any(|field| field.key == key);
            if skips_repeated {
                scan.diagnostics.push(Diagnostic::warning(
                    "field_repeated",
                    number,
                    1,
                    &format!("the field `{key}` stands here again; its first value is used"),
                    "remove one of the two",
                ));
            } else {
                scan.fields.push(RawField { key, line: number, text: rest.to_owned(), is_known });
            }
        } else if let Some(field) = scan.fields.last_mut() {
            if !skips_repeated {
                field.text.push('\n');
                field.text.push_str(line);
            }
        } else if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
            scan.diagnostics.push(Diagnostic::warning(
                "text_before_fields",
                number,
                1,
                "this line stands before the first known field and is not used",
                "begin the frontmatter with `name:`",
            ));
        }
    }
    scan
}

impl RawField<'_> {
    /// Whether its value is one word or a few on its own line.
    fn is_word(&self) -> bool {
        let is_word_field = TEXT_FIELDS.contains(&self.key) && self.key != DESCRIPTION;
        (!self.is_known || is_word_field) && is_plain(&self.text) && !self.text.is_empty()
    }
}

/// Whether a key is written as keys of a frontmatter are.
pub(super) fn is_key(key: &str) -> bool {
    key.starts_with(|first: char| first.is_ascii_alphabetic())
        && key.chars().all(|other| other.is_ascii_alphanumeric() || matches!(other, '-' | '_'))
}

/// A line `key: value`, cut at its colon.
pub(super) fn open_field(line: &str) -> Option<(&str, &str)> {
    let (key, rest) = line.split_once(':')?;
    let key = key.trim_end();
    let is_value = rest.is_empty() || rest.starts_with([' ', '\t']);
    is_value.then(|| (key, rest.trim_start()))
}

/// A field that is valid YAML by itself has that value; otherwise its text is its value.
pub(super) fn scanned_value(key: &str, text: &str) -> Value {
    let is_text = TEXT_FIELDS.contains(&key);
    if !(is_text && is_plain(text)) {
        let alone = strict(&format!("{key}: {text}\n")).ok().and_then(|mut map| map.remove(key));
        match alone {
            Some(value @ Value::String(_)) => return value,
            Some(value) if !is_text => return value,
            _ => {}
        }
    }
    let is_prose = key == DESCRIPTION || !is_text || !is_plain(text);
    Value::String(if is_prose { written_text(text) } else { first_line(text).to_owned() })
}

/// Whether a value is written without quotes or a block indicator.
pub(super) fn is_plain(text: &str) -> bool {
    !text.starts_with(['"', '\'', '|', '>'])
}

/// The text of a value that YAML refuses: quotes or a block indicator around it are taken off, nothing else is.
fn written_text(text: &str) -> String {
    let text = text.trim();
    if text.starts_with(['|', '>']) {
        let (indicator, block) = text.split_once('\n').unwrap_or((text, ""));
        if indicator.trim_end().len() <= 3 {
            return dedent(block);
        }
    }
    for quote in ['"', '\''] {
        let inner = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        if let Some(inner) = inner {
            return if quote == '"' {
                inner.replace("\\n", "\n").replace("\\\"", "\"").replace("\\\\", "\\")
            } else {
                inner.replace("''", "'")
            };
        }
    }
    text.to_owned()
}

fn dedent(block: &str) -> String {
    let indent = block
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start_matches(' ').len())
        .min()
        .unwrap_or(0);
    let lines: Vec<&str> = block.lines().map(|line| line.get(indent..).unwrap_or("")).collect();
    lines.join("\n").trim_end().to_owned()
}

/// The value of a field that fills no more than one line, without the comment behind it.
pub(super) fn first_line(text: &str) -> &str {
    let line = text.trim().lines().next().unwrap_or_default();
    line.split(" #").next().unwrap_or_default().trim_end()
}
