//! Where a frontmatter begins and ends, also where its closing fence was forgotten.

use std::collections::HashSet;

use super::scan::{DESCRIPTION, is_key, open_field};
use super::vocabulary::Vocabulary;
use super::{DefinitionError, Diagnostic};

/// A file cut at its fences. Line numbers count from 1 in the whole file.
pub(super) struct Document<'a> {
    /// Where the frontmatter begins, in bytes.
    start: usize,
    pub frontmatter: &'a str,
    pub frontmatter_line: usize,
    pub body: &'a str,
    pub body_line: usize,
    /// What was noticed if no fence closes the frontmatter.
    pub diagnostic: Option<Diagnostic>,
}

/// Cuts a text at its two `---` lines. Where the second is missing the fields end where prose begins.
pub(super) fn split<'a>(
    text: &'a str,
    vocabulary: &Vocabulary,
) -> Result<Document<'a>, DefinitionError> {
    let is_blank = |character: char| character.is_whitespace() || character == '\u{feff}';
    let first = text.len() - text.trim_start_matches(is_blank).len();
    let blank = text[..first].rfind('\n').map_or(0, |end| end + 1);
    let mut lines = text[blank..].split_inclusive('\n');
    let opening = lines.next().unwrap_or_default();
    if opening.trim_start_matches('\u{feff}').trim_end() != "---" {
        return Err(no_frontmatter());
    }
    let start = blank + opening.len();
    let frontmatter_line = 2 + text[..blank].matches('\n').count();
    let mut end = start;
    for (index, line) in lines.enumerate() {
        if is_closing_fence(line) {
            return Ok(Document {
                start,
                frontmatter: &text[start..end],
                frontmatter_line,
                body: &text[end + line.len()..],
                body_line: frontmatter_line + index + 1,
                diagnostic: None,
            });
        }
        end += line.len();
    }
    let whole = Document {
        start,
        frontmatter: &text[start..],
        frontmatter_line,
        body: "",
        body_line: frontmatter_line + text[start..].matches('\n').count(),
        diagnostic: None,
    };
    match last_field(whole.frontmatter, vocabulary) {
        None => Err(DefinitionError::invalid(Diagnostic::error(
            "frontmatter_unclosed",
            frontmatter_line - 1,
            1,
            "the frontmatter that begins here has no field and no closing `---` line",
            "write the fields `name` and `description` below this line, and a line `---` below them",
        ))),
        Some(last) => Ok(cut_at_prose(text, &whole, last, false).unwrap_or_else(|| {
            let diagnostic = Some(unclosed(whole.body_line));
            Document { diagnostic, ..whole }
        })),
    }
}

/// Ends a frontmatter that is not valid YAML at the prose below its last field: what closes it further down is a rule
/// of the body, and its own fence was forgotten. `None` if there is no such prose.
pub(super) fn cut_behind_last_field<'a>(
    text: &'a str,
    document: &Document<'a>,
    vocabulary: &Vocabulary,
) -> Option<Document<'a>> {
    let last = last_field(document.frontmatter, vocabulary)?;
    let cut = cut_at_prose(text, document, last, true)?;
    // A description may have paragraphs, but no title.
    let is_description = document.frontmatter[last..].starts_with(DESCRIPTION);
    (!is_description || cut.body.starts_with("# ")).then_some(cut)
}

fn is_closing_fence(line: &str) -> bool {
    let line = line.trim_end();
    line == "..." || (line.len() >= 3 && line.bytes().all(|byte| byte == b'-'))
}

/// The place of the last field; what repeats one above it is text.
fn last_field(frontmatter: &str, vocabulary: &Vocabulary) -> Option<usize> {
    let mut seen = HashSet::new();
    let mut last = None;
    let mut position = 0;
    for line in frontmatter.split_inclusive('\n') {
        let opened =
            open_field(line.trim_end()).filter(|(key, value)| vocabulary.opens(key, value));
        if opened.is_some_and(|(key, _)| seen.insert(key)) {
            last = Some(position);
        }
        position += line.len();
    }
    last
}

/// Cuts before the first line below `last` that begins prose, if one does.
fn cut_at_prose<'a>(
    text: &'a str,
    document: &Document<'a>,
    last: usize,
    is_closed: bool,
) -> Option<Document<'a>> {
    let position = last + find_prose(&document.frontmatter[last..], is_closed)?;
    let body_line =
        document.frontmatter_line + document.frontmatter[..position].matches('\n').count();
    Some(Document {
        frontmatter: &document.frontmatter[..position],
        body: &text[document.start + position..],
        body_line,
        diagnostic: Some(unclosed(body_line)),
        start: document.start,
        frontmatter_line: document.frontmatter_line,
    })
}

/// Where prose begins below a field: at a heading, at a line behind a blank one that is not indented, or right below a
/// word. Above a fence a heading may be a comment, and a line `key: value` an unknown field: there, prose must follow.
fn find_prose(text: &str, is_closed: bool) -> Option<usize> {
    let mut lines = text.split_inclusive('\n');
    let field = lines.next()?;
    let mut position = field.len();
    let mut heading = None;
    let mut is_behind_blank = false;
    let mut is_list = field.trim_end().ends_with(':');
    for line in lines {
        let is_blank = line.trim().is_empty();
        let is_entry = is_list && line.starts_with("- ");
        let looks_like_field = line.starts_with(|first: char| first.is_ascii_lowercase())
            && open_field(line).is_some_and(|(key, _)| is_key(key));
        let is_field = is_closed && looks_like_field;
        // A word, such as a model, has no further line.
        let is_behind_word = !is_closed && !field.starts_with(DESCRIPTION) && !looks_like_field;
        if line.starts_with('#') {
            if line.trim_start_matches('#').starts_with(' ') {
                heading = heading.or(Some(position));
            }
        } else if is_blank || is_entry || is_field || line.starts_with([' ', '\t']) {
            is_list = is_list && (is_blank || is_entry);
        } else if heading.is_some() || is_behind_blank || is_behind_word {
            return heading.or(Some(position));
        }
        is_behind_blank = is_blank;
        position += line.len();
    }
    heading.filter(|_| !is_closed)
}

fn no_frontmatter() -> DefinitionError {
    DefinitionError::NotAnAgent(Diagnostic::note(
        "frontmatter_missing",
        1,
        1,
        "the file does not begin with frontmatter (a line `---`), so it is taken for documentation",
        "begin it with `---`, the fields `name` and `description`, and `---` if it should be an agent",
    ))
}

fn unclosed(line: usize) -> Diagnostic {
    Diagnostic::warning(
        "frontmatter_unclosed",
        line,
        1,
        "the frontmatter has no closing `---` line; its fields are taken to end here",
        "put a line `---` between the fields and the body",
    )
}
