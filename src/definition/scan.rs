//! Reads a frontmatter line by line, where it is not valid YAML. No text is lost.

use std::collections::HashSet;

use serde_json::Value;

use super::Diagnostic;
use super::diagnostic::MAX_FINDINGS;
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
    let mut seen = HashSet::new();
    let mut skips_repeated = false;
    let indent = common_indent(frontmatter);
    for (index, line) in frontmatter.lines().enumerate() {
        let line = line.strip_prefix(indent).unwrap_or(line);
        let number = first_line + index;
        let is_behind_a_word = scan.fields.last().is_some_and(RawField::is_word);
        let opened = open_field(line).and_then(|(key, rest)| {
            let is_known = vocabulary.opens(key, rest);
            let opens = is_known || is_field(key) || (is_behind_a_word && is_key(key));
            opens.then_some((key, rest, is_known))
        });
        if let Some((key, rest, is_known)) = opened {
            let is_repeated = !seen.insert(key);
            skips_repeated = is_repeated && !scan.take_for_prose(key, line, number);
            if !is_repeated {
                scan.fields.push(RawField { key, line: number, text: rest.to_owned(), is_known });
            }
        } else if let Some(field) = scan.fields.last_mut() {
            if !skips_repeated {
                field.text.push('\n');
                field.text.push_str(line);
            }
        } else if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
            scan.tell(|| {
                Diagnostic::warning(
                    "text_before_fields",
                    number,
                    1,
                    "this line stands before the first known field and is not used",
                    "begin the frontmatter with `name:`",
                )
            });
        }
    }
    scan
}

impl Scan<'_> {
    /// What repeats another field inside a description may well be a line of it; else it is not used.
    fn take_for_prose(&mut self, key: &str, line: &str, number: usize) -> bool {
        let above = self.fields.last_mut().filter(|field| field.key == DESCRIPTION);
        let prose = above.filter(|_| key != DESCRIPTION);
        let is_prose = prose.is_some();
        if let Some(field) = prose {
            field.text.push('\n');
            field.text.push_str(line);
        }
        self.tell(|| repeated(key, number, is_prose));
        is_prose
    }

    fn tell(&mut self, find: impl FnOnce() -> Diagnostic) {
        if self.diagnostics.len() < MAX_FINDINGS {
            self.diagnostics.push(find());
        }
    }
}

fn repeated(key: &str, line: usize, is_prose: bool) -> Diagnostic {
    let consequence = if is_prose {
        "the line is taken as a part of the description"
    } else {
        "its first value is used"
    };
    Diagnostic::warning(
        "field_repeated",
        line,
        1,
        &format!("the field `{key}` stands here again; {consequence}"),
        "remove one of the two",
    )
}

/// What all fields are indented by, if the first one is.
fn common_indent(frontmatter: &str) -> &str {
    let first = frontmatter.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let indent = &first[..first.len() - first.trim_start().len()];
    if open_field(first.trim_start()).is_some() { indent } else { "" }
}

impl RawField<'_> {
    /// Whether its value is one word or a few on its own line.
    fn is_word(&self) -> bool {
        (!self.is_known || self.is_word_field()) && is_plain(&self.text) && !self.text.is_empty()
    }

    fn is_word_field(&self) -> bool {
        TEXT_FIELDS.contains(&self.key) && self.key != DESCRIPTION
    }

    /// The line on which text begins that a value of one line leaves over.
    pub fn unused_line(&self) -> Option<usize> {
        if !self.is_word_field() || !is_plain(&self.text) {
            return None;
        }
        let blank = self.text.lines().take_while(|line| line.trim().is_empty()).count();
        let mut behind = self.text.lines().enumerate().skip(blank + 1);
        let is_text = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
        behind.find(|(_, line)| is_text(line)).map(|(index, _)| self.line + index)
    }
}

/// Whether a key is written as keys of a frontmatter are.
pub(super) fn is_key(key: &str) -> bool {
    key.starts_with(|first: char| first.is_ascii_alphabetic())
        && key.chars().all(|other| other.is_ascii_alphanumeric() || matches!(other, '-' | '_'))
}

/// Fields that are told from prose even without a blank behind their colon.
const COMPACT_FIELDS: &[&str] = &["name", DESCRIPTION, "tools", "model", "color"];

/// A line `key: value`, cut at its colon. The key may be in quotes.
pub(super) fn open_field(line: &str) -> Option<(&str, &str)> {
    let (key, rest) = line.split_once(':')?;
    let key = key.trim_end();
    let bare = ['"', '\'']
        .into_iter()
        .find_map(|quote| key.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)));
    let key = bare.unwrap_or(key);
    let is_value =
        rest.is_empty() || rest.starts_with([' ', '\t']) || COMPACT_FIELDS.contains(&key);
    is_value.then(|| (key, rest.trim_start()))
}

/// A field that is valid YAML by itself has that value; otherwise its text is its value.
pub(super) fn scanned_value(key: &str, text: &str) -> Value {
    let is_text = TEXT_FIELDS.contains(&key);
    if !(is_text && is_plain(text)) {
        let alone = strict(&format!("{key}: {text}\n"));
        // What looks like a second field is a part of the first.
        let alone = alone.ok().filter(|map| map.len() == 1).and_then(|mut map| map.remove(key));
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
