//! What a body says of the agent's duties and of what it leaves to others.

use indexmap::IndexSet;

/// Lines that open a list of exclusions contain one of these.
const EXCLUSION_HEADINGS: &[&str] = &[
    "do not handle",
    "don't handle",
    "does not handle",
    "do not do",
    "don't do",
    "do not cover",
    "will not do",
    "not responsible for",
    "not your responsibility",
    "out of scope",
    "not in scope",
    "when not to use",
    "do not use this agent",
    "not for",
];

const DUTY_HEADINGS: &[&str] = &["responsibilities", "your duties", "what you do", "you handle"];

/// Sentences that exclude something in running text begin with one of these.
const EXCLUSION_SENTENCES: &[&str] = &[
    "you do not handle",
    "you don't handle",
    "does not handle",
    "this agent does not handle",
    "do not use this agent for",
    "don't use this agent for",
    "never use this agent for",
    "do not use it for",
    "do not use for",
    "do not use when",
    "do not use this agent when",
];

/// A description excludes with these as well; a body may say so of anything.
const SUMMARY_EXCLUSIONS: &[&str] = &["not for", "not intended for", "not suitable for"];

/// The entries of every list under a heading about duties.
pub(super) fn responsibilities(body: &str) -> Vec<String> {
    lists_under(body, |heading| {
        contains_any(heading, DUTY_HEADINGS) && !contains_any(heading, EXCLUSION_HEADINGS)
    })
}

/// Entries of "You do NOT handle:" lists in the body, and sentences that exclude in description or body.
pub(super) fn exclusions(summary: &str, body: &str) -> Vec<String> {
    let mut found: IndexSet<String> =
        lists_under(body, |heading| contains_any(heading, EXCLUSION_HEADINGS))
            .into_iter()
            .collect();
    let of_summary = sentences(summary).filter(|sentence| {
        excludes(sentence, EXCLUSION_SENTENCES) || excludes(sentence, SUMMARY_EXCLUSIONS)
    });
    let of_body = sentences(body).filter(|sentence| excludes(sentence, EXCLUSION_SENTENCES));
    found.extend(of_summary.chain(of_body).map(str::to_owned));
    found.into_iter().collect()
}

/// Whether a sentence begins in one of these ways and goes on.
fn excludes(sentence: &str, beginnings: &[&str]) -> bool {
    let lower = sentence.to_lowercase().replace('’', "'").replace('*', "");
    beginnings
        .iter()
        .filter_map(|beginning| lower.strip_prefix(beginning))
        .any(|rest| rest.starts_with([' ', ':']) && rest.contains(char::is_alphanumeric))
}

/// The sentences of a text, without their ends and without the marks of a list.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| {
        let line = list_entry(line).unwrap_or(line);
        let mut previous = ' ';
        line.split_inclusive(move |character: char| {
            let is_end = character.is_whitespace() && matches!(previous, '.' | ';' | '!');
            previous = character;
            is_end
        })
        .map(|sentence| sentence.trim().trim_end_matches(['.', ';', '!']))
    })
}

/// Whether one of the needles stands there, ending where a word ends.
fn contains_any(text: &str, needles: &[&str]) -> bool {
    needles.iter().any(|needle| {
        text.match_indices(needle).any(|(position, _)| {
            !text[position + needle.len()..].starts_with(char::is_alphanumeric)
        })
    })
}

/// Collects list entries below each heading that `wanted` accepts, up to the next line that is no entry.
fn lists_under(body: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut entries = Vec::new();
    let mut is_inside = false;
    for line in body.lines() {
        let line = line.trim_end();
        if let Some(entry) = list_entry(line) {
            if is_inside {
                entries.push(entry.to_owned());
            }
        } else if !line.is_empty() && (!is_inside || !line.starts_with("  ")) {
            is_inside = heading(line).is_some_and(|heading| wanted(&heading));
        }
    }
    entries
}

/// A Markdown heading, a bold line, or a line that ends with a colon; in lower case, without its marks.
fn heading(line: &str) -> Option<String> {
    let is_heading = line.starts_with('#') || line.starts_with("**") || line.ends_with(':');
    is_heading.then(|| line.to_lowercase().replace('’', "'").replace('*', ""))
}

/// The text of `- x`, `* x`, `• x` or `1. x`.
fn list_entry(line: &str) -> Option<&str> {
    let line = line.trim_start();
    for bullet in ["- ", "* ", "• ", "+ "] {
        if let Some(entry) = line.strip_prefix(bullet) {
            return Some(entry.trim());
        }
    }
    let digits = line.len() - line.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    let entry = line[digits..].strip_prefix(". ").or_else(|| line[digits..].strip_prefix(") "));
    entry.filter(|_| digits > 0).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::{exclusions, responsibilities};

    const BODY: &str = "You are an engineer.\n\nYour core responsibilities:\n- Build A\n- Build B\n\n\
        You do NOT handle:\n- Frontend\n* Styling (that is the designer's)\n\nAlways be kind:\n- yes\n";

    #[test]
    fn lists_belong_to_the_heading_above_them() {
        assert_eq!(responsibilities(BODY), ["Build A", "Build B"]);
        assert_eq!(exclusions("", BODY), ["Frontend", "Styling (that is the designer's)"]);
    }

    #[test]
    fn headings_and_sentences_exclude_too() {
        assert_eq!(exclusions("Builds. Not for Node.js or C.", ""), ["Not for Node.js or C"]);
        assert_eq!(exclusions("", "Not for Node.js or C."), [""; 0]);
        assert_eq!(exclusions("", "- You do NOT handle names."), ["You do NOT handle names"]);
        let body = "Do NOT use this agent for: small tasks (ask directly).\n**Not for:**\n- Fun\n";
        assert_eq!(
            exclusions("", body),
            ["Fun", "Do NOT use this agent for: small tasks (ask directly)"]
        );
        assert_eq!(exclusions("", "## What you don't document\n- Fun\n"), [""; 0]);
        assert_eq!(exclusions("", "## Out of scope\n1. Payroll\n"), ["Payroll"]);
    }
}
