//! The examples in a description: `<example>` blocks with context, user, assistant and commentary.

use serde::Serialize;
use utoipa::ToSchema;

/// A sample exchange that shows when the agent should be picked. Empty parts were not written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Example {
    pub context: String,
    /// The request, without the quotes around it.
    pub user: String,
    pub assistant: String,
    pub commentary: String,
}

const OPEN: &str = "<example>";
const CLOSE: &str = "</example>";

/// Cuts a description into what precedes and follows its examples (the summary) and the examples.
pub(super) fn split_description(description: &str) -> (String, Vec<Example>) {
    // Many public files hold a literal backslash-n where a line break was meant, and escape quotes that need not be.
    let text = description.replace("\\n", "\n").replace("\\\"", "\"");
    let (outside, blocks) = cut_blocks(&text);
    let (outside, items) = cut_list(&outside);
    let mut summary = outside.trim();
    for label in ["examples:", "example:", "for example:", "e.g.:"] {
        let cut = summary.len().saturating_sub(label.len());
        if summary.get(cut..).is_some_and(|end| end.eq_ignore_ascii_case(label)) {
            summary = summary[..cut].trim_end();
        }
    }
    let blocks = blocks.into_iter().chain(items.iter().map(String::as_str));
    (summary.to_owned(), blocks.map(parse_block).collect())
}

/// Examples in a body count only if they show a request: bodies also hold samples of output.
pub(super) fn in_body(body: &str) -> Vec<Example> {
    let (_, blocks) = cut_blocks(body);
    blocks.into_iter().map(parse_block).filter(|example| !example.user.is_empty()).collect()
}

fn cut_blocks(text: &str) -> (String, Vec<&str>) {
    let mut outside = String::new();
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(open) = find_ignoring_case(rest, OPEN) {
        outside.push_str(&rest[..open]);
        let inner = &rest[open + OPEN.len()..];
        let next_open = find_ignoring_case(inner, OPEN).unwrap_or(inner.len());
        // A block that is not closed ends where the next one begins.
        let (end, skip) = match find_ignoring_case(&inner[..next_open], CLOSE) {
            Some(close) => (close, close + CLOSE.len()),
            None => (next_open, next_open),
        };
        blocks.push(&inner[..end]);
        rest = &inner[skip..];
    }
    outside.push_str(rest);
    (outside, blocks)
}

/// Cuts list entries that are examples: `- user: "…"`, and below it `assistant: "…"`. What is no request stays outside.
fn cut_list(text: &str) -> (String, Vec<String>) {
    let mut outside = String::new();
    let mut items: Vec<String> = Vec::new();
    let mut is_inside = false;
    for line in text.split_inclusive('\n') {
        let entry = line.trim_start().strip_prefix(['-', '*']).map(str::trim_start);
        let opens = entry.is_some_and(|entry| begins_with_marker(entry, &["user", "context"]));
        let is_part = line.starts_with([' ', '\t'])
            || line.trim().is_empty()
            || line.starts_with('<')
            || begins_with_marker(line, &["user", "assistant", "commentary"]);
        is_inside = opens || (is_inside && is_part && entry.is_none());
        match items.last_mut().filter(|_| is_inside && !opens) {
            Some(item) => item.push_str(line),
            None if opens => items.push(entry.unwrap_or(line).to_owned()),
            None => outside.push_str(line),
        }
    }
    // A list of fields, or of circumstances, is prose.
    let is_exchange = |item: &String| {
        let request = find_marker(item, "user", 0);
        request.is_some_and(|(_, end)| find_marker(item, "assistant", end).is_some())
    };
    let (examples, prose): (Vec<String>, Vec<String>) = items.into_iter().partition(is_exchange);
    if prose.is_empty() { (outside, examples) } else { (text.to_owned(), Vec::new()) }
}

fn begins_with_marker(line: &str, markers: &[&str]) -> bool {
    let line = line.trim_start_matches(['*', ' ']);
    markers.iter().any(|marker| {
        let start = line.get(..marker.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(marker))
            && line[marker.len()..].trim_start_matches('*').starts_with(':')
    })
}

/// Parts may come in any order; a part runs to the next marker. Later turns stay with the assistant's part.
fn parse_block(block: &str) -> Example {
    let mut example = Example::default();
    let (block, commentary) = cut_commentary(block);
    example.commentary = commentary;
    let context = find_marker(&block, "context", 0);
    let user = find_marker(&block, "user", 0);
    let behind_user = user.map_or(0, |(_, end)| end);
    let assistant = find_marker(&block, "assistant", behind_user)
        .or_else(|| find_line_marker(&block, "agent", behind_user));
    let part = |start: Option<(usize, usize)>, stops: [Option<(usize, usize)>; 2]| {
        let Some((_, start)) = start else { return String::new() };
        let end = stops
            .into_iter()
            .flatten()
            .map(|(stop, _)| stop)
            .filter(|stop| *stop >= start)
            .min()
            .unwrap_or(block.len());
        unquote(&block[start..end])
    };
    example.context = part(context, [user, assistant]);
    example.user = part(user, [assistant, None]);
    example.assistant = part(assistant, [None, None]);
    if context.is_none() && user.is_none() && assistant.is_none() {
        match tagged(&block, "user") {
            Some(request) => {
                example.user = request;
                example.context = tagged(&block, "context").unwrap_or_default();
                example.assistant = tagged(&block, "assistant").unwrap_or_default();
            }
            None => example.context = unquote(&block),
        }
    }
    example
}

/// What stands between `<user>` or `<user_request>` and the next closing tag.
fn tagged(block: &str, name: &str) -> Option<String> {
    let open = find_ignoring_case(block, &format!("<{name}"))?;
    let (tag, rest) = block[open + 1..].split_once('>')?;
    let is_tag = tag.chars().all(|character| character.is_ascii_alphabetic() || character == '_');
    is_tag.then(|| unquote(rest.split("</").next().unwrap_or(rest)))
}

fn cut_commentary(block: &str) -> (String, String) {
    let Some(open) = find_ignoring_case(block, "<commentary>") else {
        return (block.to_owned(), String::new());
    };
    let inner = &block[open + "<commentary>".len()..];
    let close = find_ignoring_case(inner, "</commentary>");
    let commentary = &inner[..close.unwrap_or(inner.len())];
    let after = close.map_or("", |close| &inner[close + "</commentary>".len()..]);
    (format!("{}{after}", &block[..open]), commentary.trim().to_owned())
}

/// The place of `marker:` as a word of its own, with the place behind its colon.
fn find_marker(text: &str, marker: &str, from: usize) -> Option<(usize, usize)> {
    let mut start = from;
    while let Some(offset) = find_ignoring_case(text.get(start..)?, marker) {
        let position = start + offset;
        let end = position + marker.len();
        let is_word = !text[..position].ends_with(|before: char| before.is_alphanumeric());
        // Markdown emphasis may stand between the word and its colon: `**user**:`.
        let rest = text[end..].trim_start_matches('*');
        if is_word && rest.starts_with(':') {
            let behind = rest[1..].trim_start_matches('*');
            return Some((position, text.len() - behind.len()));
        }
        start = end;
    }
    None
}

/// A marker at the beginning of a line: words that are common in prose too.
fn find_line_marker(text: &str, marker: &str, from: usize) -> Option<(usize, usize)> {
    let found = find_marker(text, marker, from)?;
    let line_start = text[..found.0].rfind('\n').map_or(0, |end| end + 1);
    let is_first = text[line_start..found.0].trim_matches(['*', ' ', '\t', '-']).is_empty();
    is_first.then_some(found)
}

fn unquote(text: &str) -> String {
    let text = text.trim().trim_end_matches("- ").trim_end_matches("**").trim();
    for (open, close) in [('\'', '\''), ('"', '"'), ('“', '”'), ('‘', '’')] {
        if let Some(inner) = text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)) {
            return inner.trim().to_owned();
        }
    }
    text.to_owned()
}

fn find_ignoring_case(text: &str, ascii_needle: &str) -> Option<usize> {
    let (text, needle) = (text.as_bytes(), ascii_needle.as_bytes());
    let first = *needle.first()?;
    memchr::memchr2_iter(first.to_ascii_lowercase(), first.to_ascii_uppercase(), text).find(
        |position| {
            text.get(*position..position + needle.len())
                .is_some_and(|found| found.eq_ignore_ascii_case(needle))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::split_description;

    #[test]
    fn a_block_is_split_into_its_four_parts() {
        let (summary, examples) = split_description(
            "Use me. Examples: <example>Context: A. user: 'It's b' assistant: 'C' \
             <commentary>D</commentary></example> <example>user: \"E\"</example>",
        );
        assert_eq!(summary, "Use me.");
        assert_eq!(examples.len(), 2);
        assert_eq!(examples[0].context, "A.");
        assert_eq!(examples[0].user, "It's b");
        assert_eq!(examples[0].assistant, "C");
        assert_eq!(examples[0].commentary, "D");
        assert_eq!(examples[1].user, "E");
    }

    #[test]
    fn other_words_and_tags_mark_the_parts_too() {
        let (_, examples) = split_description(
            "<example>\nUser: A\nAgent: B\n</example>\n\
             <example><user_request>Ask the agent: now</user_request>\n\
             <commentary>C</commentary></example>\n\
             <example><context>D</context><user>'E'</user><assistant>F</assistant></example>",
        );
        let parts: Vec<_> = examples
            .iter()
            .map(|it| [&*it.context, &*it.user, &*it.assistant, &*it.commentary])
            .collect();
        let expected =
            [["", "A", "B", ""], ["", "Ask the agent: now", "", "C"], ["D", "E", "F", ""]];
        assert_eq!(parts, expected);
    }

    #[test]
    fn literal_backslash_n_and_unclosed_blocks_are_read() {
        let (summary, examples) = split_description(
            "Use me.\\n\\n<example>\\nContext: A\\nUser: \\\"B\\\"\\n<example>user: C</example> Or so.",
        );
        assert_eq!(examples.len(), 2);
        assert_eq!(examples[0].context, "A");
        assert_eq!(examples[0].user, "B");
        assert_eq!(examples[1].user, "C");
        assert!(summary.ends_with("Or so."));
    }

    #[test]
    fn a_list_of_requests_is_a_list_of_examples() {
        let (summary, examples) = split_description(
            "Use me.\\n\\nExamples:\\n- user: \\\"A\\\"\\n  assistant: \\\"B\\\"\\n  <launches me>\\n\\n\
             - user: \\\"C\\\"\\n  assistant: \\\"D\\\"\\n\\n- After that, too.\\nNot for E.",
        );
        let parts: Vec<_> = examples.iter().map(|it| (&*it.user, &*it.assistant)).collect();
        assert_eq!(parts[0].0, "A");
        assert!(parts[0].1.starts_with("\"B\""));
        assert_eq!(parts[1], ("C", "D"));
        assert_eq!(summary, "Use me.\n\nExamples:\n- After that, too.\nNot for E.");
        let (summary, examples) = split_description("Use for:\n- user: the owner\n- role: rights");
        assert!(examples.is_empty() && summary.contains("user: the owner"));
    }
}
