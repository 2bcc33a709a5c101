//! The fields of a frontmatter: strict YAML, or else a scan by line.

use serde_json::{Map, Value};

use super::fences::{Document, cut_behind_last_field, split};
use super::fields::{Fields, ParseMode};
use super::scan::{
    DESCRIPTION, RawField, Scan, TEXT_FIELDS, first_line, is_plain, scan, scanned_value,
};
use super::strict::{StrictError, strict};
use super::vocabulary::Vocabulary;
use super::{DefinitionError, Diagnostic};

/// Reads a Markdown file: its fields and its body.
pub(super) fn read(text: &str, vocabulary: &Vocabulary) -> Result<Fields, DefinitionError> {
    let mut document = split(text, vocabulary)?;
    let mut values = strict(document.frontmatter);
    if values.is_err()
        && let Some(shorter) = cut_behind_last_field(text, &document, vocabulary)
    {
        document = shorter;
        values = strict(document.frontmatter);
    }
    let mut fields = read_fields(&document, values, vocabulary);
    if fields.values.is_empty() {
        return Err(DefinitionError::invalid(Diagnostic::error(
            "frontmatter_empty",
            document.frontmatter_line,
            1,
            "no field was found between the two `---` lines",
            "add at least the fields `name` and `description`",
        )));
    }
    fields.diagnostics.extend(document.diagnostic);
    Ok(fields)
}

fn read_fields(
    document: &Document<'_>,
    strict: Result<Map<String, Value>, StrictError>,
    vocabulary: &Vocabulary,
) -> Fields {
    let raw = scan(document.frontmatter, document.frontmatter_line, vocabulary, |key| {
        strict.as_ref().is_ok_and(|values| values.contains_key(key))
    });
    let lines = raw.fields.iter().map(|field| (field.key.to_owned(), field.line)).collect();
    let (mode, values, diagnostics) = match strict {
        Ok(values) => {
            let values = values
                .into_iter()
                .map(|(key, value)| prefer_written_text(key, value, &raw.fields))
                .collect();
            (ParseMode::Strict, values, Vec::new())
        }
        Err(error) => {
            let error = error.into_diagnostic(document.frontmatter, document.frontmatter_line);
            let (values, diagnostics) = from_scan(raw, error);
            (ParseMode::Scan, values, diagnostics)
        }
    };
    Fields {
        mode,
        values,
        lines,
        diagnostics,
        body: document.body.trim().to_owned(),
        body_line: document.body_line,
    }
}

/// A text field keeps its text, where YAML turns `{{ x }}` into a map and `True` into `true`, and cuts a
/// description at ` #`, as in `issue #12`, or at a line end that only YAML knows.
fn prefer_written_text(key: String, value: Value, raw: &[RawField<'_>]) -> (String, Value) {
    if !TEXT_FIELDS.contains(&key.as_str()) {
        return (key, value);
    }
    let Some(field) = raw.iter().find(|field| field.key == key) else { return (key, value) };
    if value.is_null() {
        return (key, marked_text(field).map_or(value, Value::String));
    }
    // Copilot has lists of models.
    let is_list = value.is_array() && key != "model";
    let is_cut = key == DESCRIPTION && is_cut_by_yaml(&field.text);
    if is_cut || is_list || value.is_object() {
        let lines = field.text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let text = lines.collect::<Vec<_>>().join(" ");
        return (key, Value::String(text.trim().to_owned()));
    }
    if value.is_boolean() || value.is_number() {
        return (key, Value::String(first_line(&field.text).to_owned()));
    }
    (key, value)
}

/// Whether YAML leaves out a part of a description: what it takes for a comment, for an anchor's name, or what stands
/// behind a line end that only YAML knows.
fn is_cut_by_yaml(text: &str) -> bool {
    let cuts = [" #", "\t#", "\u{85}", "\u{2028}", "\u{2029}"];
    let behind_anchor = text.strip_prefix('&').and_then(|text| text.split_once(' '));
    is_plain(text)
        && (cuts.iter().any(|cut| text.contains(cut))
            || behind_anchor.is_some_and(|(_, rest)| is_plain(rest.trim_start())))
}

/// A description such as `#1 in tea` or a colour such as `#ff8800`, which are comments to YAML; or one of a single word
/// that YAML takes for a mark.
fn marked_text(field: &RawField<'_>) -> Option<String> {
    let text = field.text.trim();
    let is_text = text.strip_prefix(['#', '&', '!'])?.starts_with(char::is_alphanumeric);
    match field.key {
        DESCRIPTION if is_text => Some(text.to_owned()),
        "color" if is_text => Some(first_line(text).to_owned()),
        _ => None,
    }
}

fn from_scan(scan: Scan<'_>, error: Diagnostic) -> (Map<String, Value>, Vec<Diagnostic>) {
    let mut diagnostics = vec![error];
    diagnostics.extend(scan.diagnostics);
    let mut values = Map::new();
    for field in scan.fields {
        if let Some(line) = field.unused_line() {
            diagnostics.push(Diagnostic::warning(
                "text_unused",
                line,
                1,
                &format!("what stands here below the field `{}` is not used", field.key),
                "put it into the description or the body, or remove it",
            ));
        }
        values.insert(field.key.to_owned(), scanned_value(field.key, &field.text));
    }
    (values, diagnostics)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Format;
    use super::{ParseMode, read};

    fn value(frontmatter: &str, key: &str) -> (ParseMode, serde_json::Value) {
        let text = format!("---\n{frontmatter}\n---\nbody\n");
        let vocabulary = Format::ClaudeCode.vocabulary();
        let mut fields = read(&text, &vocabulary).unwrap_or_else(|error| panic!("{error}"));
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
    fn what_json_cannot_hold_is_kept_as_its_text() {
        let long = "123456789012345678901234567890";
        for (field, key, expected) in [
            (format!("id: {long}"), "id", json!(long)),
            (format!("id: -{long}"), "id", json!(format!("-{long}"))),
            (format!("id: {{a: [{long}]}}"), "id", json!({"a": [long]})),
            (
                "hooks: {true: a, null: b, 3: c}".to_owned(),
                "hooks",
                json!({"true": "a", "null": "b", "3": "c"}),
            ),
            ("true: x".to_owned(), "true", json!("x")),
            ("id: !tag x".to_owned(), "id", json!({"!tag": "x"})),
            ("id: .nan".to_owned(), "id", json!(null)),
        ] {
            let frontmatter = format!("name: a\ndescription: b\n{field}");
            assert_eq!(value(&frontmatter, key), (ParseMode::Strict, expected), "{field}");
            assert_eq!(value(&frontmatter, "description").1, "b", "{field}");
        }
    }

    #[test]
    fn lists_survive_a_scan() {
        let (mode, tools) =
            value("name: a\ndescription: x: y\ntools:\n  - Read\n  - Bash(git:*)", "tools");
        assert_eq!(mode, ParseMode::Scan);
        assert_eq!(tools, json!(["Read", "Bash(git:*)"]));
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

    #[test]
    fn what_yaml_takes_for_a_comment_or_an_anchor_is_text() {
        assert_eq!(value("name: a\ndescription: #1 in tea", "description").1, "#1 in tea");
        assert_eq!(value("name: a\ncolor: #ff8800 # warm", "color").1, "#ff8800");
        assert_eq!(value("name: a\ndescription: &Sons of tea", "description").1, "&Sons of tea");
        assert!(value("name: a\ndescription: # to do", "description").1.is_null());
    }

    #[test]
    fn fields_are_found_without_a_blank_in_quotes_and_indented() {
        for frontmatter in [
            "name:a\ndescription:b: c\nmodel:opus",
            "\"name\": a\n'description': b: c\n\"model\": opus",
            "  name: a\n  description: b: c\n  model: opus",
        ] {
            assert_eq!(value(frontmatter, "description").1, "b: c", "{frontmatter}");
            assert_eq!(value(frontmatter, "model").1, "opus", "{frontmatter}");
        }
    }

    #[test]
    fn a_line_of_prose_is_no_field() {
        let frontmatter = "name: a\ntools: Read\ndescription: b: c\nbackground: a user asks\n\
            tools: none\nmore\nmodel: opus";
        let (_, description) = value(frontmatter, "description");
        assert_eq!(description, "b: c\nbackground: a user asks\ntools: none\nmore");
        assert_eq!(value(frontmatter, "tools").1, "Read");
        assert_eq!(value(frontmatter, "model").1, "opus");
        assert_eq!(value("name: a: b\nbackground: true # often", "background").1, true);
    }

    #[test]
    fn text_that_no_field_takes_is_pointed_out() {
        let vocabulary = Format::ClaudeCode.vocabulary();
        let text =
            "---\nname: a\n\nand more\ndescription: b: c\nmodel: opus\n# a comment\n---\nd\n";
        let fields = read(text, &vocabulary).unwrap_or_else(|error| panic!("{error}"));
        let found: Vec<_> = fields.diagnostics.iter().map(|it| (&*it.code, it.line)).collect();
        assert!(found.contains(&("text_unused", 4)), "{found:?}");
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn a_comment_a_list_and_an_unknown_field_are_no_prose() {
        let vocabulary = Format::ClaudeCode.vocabulary();
        for end in
            ["model: opus\n\n# a comment", "tools:\n\n- Read\n- Bash", "model: x\n\nhome: y: z"]
        {
            let text = format!("---\nname: a\ndescription: b: c\n{end}\n---\nBody\n");
            let fields = read(&text, &vocabulary).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(fields.body, "Body", "{end}");
        }
    }

    #[test]
    fn lists_in_lists_are_not_followed_for_ever() {
        let text = format!("---\nname: a\ntools: x\n{}\n---\nb\n", "- ".repeat(200_000));
        let fields = read(&text, &Format::ClaudeCode.vocabulary());
        assert!(fields.is_ok_and(|fields| fields.mode == ParseMode::Scan));
    }

    #[test]
    fn a_forgotten_fence_costs_nothing() {
        let read = |text: &str| {
            let vocabulary = Format::ClaudeCode.vocabulary();
            read(text, &vocabulary).unwrap_or_else(|error| panic!("{error}"))
        };
        for text in [
            "---\nname: a\ndescription: b\n\nYou paint.\n",
            "---\nname: a\ndescription: b\nmodel: opus\nYou paint.\n",
            "---\nname: a\ndescription: b\n# You paint\n\nWalls.\n",
            "---\nname: a\ndescription: b: c\nmodel: opus\n\nYou paint.\n\n---\n\nWalls.\n",
            "---\nname: a\ndescription: b: c\nmodel: opus\n\n# You paint\nWalls.\n\n---\n\nEnd.\n",
            "---\nname: a\ndescription: b\n\nYou paint.\nname: like this\n",
            "---\nname: a\ndescription: b: c\n\n# You paint\n\nWalls.\n\n---\n\nEnd.\n",
        ] {
            let fields = read(text);
            assert!(fields.body.contains("You paint"), "{text}");
            assert!(fields.values["description"].as_str().is_some_and(|it| it.starts_with('b')));
            assert_eq!(fields.diagnostics.last().map(|it| &*it.code), Some("frontmatter_unclosed"));
        }
        assert!(read("---\nname: a\ndescription: b: c\n\nMore of it.\n---\nBody\n").body == "Body");
    }
}
