//! Where a frontmatter begins and ends, also where its closing fence was forgotten.

use super::scan::{DESCRIPTION, open_field};
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
    let blank = text.len() - text.trim_start_matches(['\r', '\n']).len();
    let mut lines = text[blank..].split_inclusive('\n');
    let opening = lines.next().unwrap_or_default();
    if opening.trim_end() != "---" {
        return Err(no_frontmatter());
    }
    let start = blank + opening.len();
    let frontmatter_line = 2 + text[..blank].matches('\n').count();
    let mut end = start;
    for (index, line) in lines.enumerate() {
        if matches!(line.trim_end(), "---" | "...") {
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
        Some(last) => Ok(cut_at_prose(text, &whole, last).unwrap_or_else(|| {
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
    // A description may have paragraphs.
    if document.frontmatter[last..].starts_with(DESCRIPTION) {
        return None;
    }
    cut_at_prose(text, document, last)
}

/// The place of the last field; what repeats one above it is text.
fn last_field(frontmatter: &str, vocabulary: &Vocabulary) -> Option<usize> {
    let mut seen: Vec<&str> = Vec::new();
    let mut last = None;
    let mut position = 0;
    for line in frontmatter.split_inclusive('\n') {
        let opened =
            open_field(line.trim_end()).filter(|(key, value)| vocabulary.opens(key, value));
        if let Some((key, _)) = opened.filter(|(key, _)| !seen.contains(key)) {
            seen.push(key);
            last = Some(position);
        }
        position += line.len();
    }
    last
}

/// Cuts before the first line below `last` that is a heading, or stands behind a blank line and is not indented.
fn cut_at_prose<'a>(text: &'a str, document: &Document<'a>, last: usize) -> Option<Document<'a>> {
    let frontmatter = document.frontmatter;
    let mut is_behind_blank = false;
    let mut position = last;
    for line in frontmatter[last..].split_inclusive('\n') {
        let is_heading = line.starts_with('#') && line.trim_start_matches('#').starts_with(' ');
        let is_flush = !line.starts_with([' ', '\t']) && !line.trim().is_empty();
        if position > last && is_flush && (is_heading || is_behind_blank) {
            break;
        }
        is_behind_blank = line.trim().is_empty();
        position += line.len();
    }
    (position < frontmatter.len()).then(|| {
        let body_line = document.frontmatter_line + frontmatter[..position].matches('\n').count();
        Document {
            frontmatter: &frontmatter[..position],
            body: &text[document.start + position..],
            body_line,
            diagnostic: Some(unclosed(body_line)),
            start: document.start,
            frontmatter_line: document.frontmatter_line,
        }
    })
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
