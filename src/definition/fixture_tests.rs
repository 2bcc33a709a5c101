//! Definition files in, snapshots of what is read from them out: one small file for each way in which public
//! files go wrong, every file of `agents/`, and arbitrary text.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Diagnostic, Level, Origin, ParseMode, ParsedDefinition, parse};

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every Markdown file of a folder by its stem, in order.
fn list_files(path: &str) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder(path)).expect("the folder exists");
    let paths = entries.map(|entry| entry.expect("can be listed").path());
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| {
            let stem = path.file_stem().expect("has an extension").to_string_lossy().into_owned();
            (stem, std::fs::read(&path).expect("listed"))
        })
        .collect();
    files.sort();
    files
}

fn read_fixture(name: &str) -> Vec<u8> {
    std::fs::read(folder("tests/fixtures/definitions").join(name).with_extension("md"))
        .expect("the fixture exists")
}

/// What matters of a parsed file, or of its refusal.
fn tell(name: &str) -> Value {
    let place = |found: &Diagnostic| {
        format!("{:?} {} {}:{}", found.level, found.code, found.line, found.column)
    };
    let places = |found: &[Diagnostic]| found.iter().map(place).collect::<Vec<_>>();
    match parse(&read_fixture(name), &Origin::named(name)) {
        Ok(ParsedDefinition { definition, parse_mode, diagnostics, .. }) => json!({
            "parse_mode": parse_mode,
            "name": definition.name,
            "display_name": definition.display_name,
            "description": definition.description,
            "summary": definition.summary,
            "examples": definition.examples,
            "tools": definition.tools,
            "model": definition.model,
            "diagnostics": places(&diagnostics),
        }),
        Err(error) => json!({
            "error": error.to_string(),
            "diagnostics": places(&error.into_diagnostics()),
        }),
    }
}

/// One test for each fixture: a statement, and the file that shows it.
macro_rules! fixture_tests {
    ($($statement:ident: $name:literal,)+) => {
        $(#[test]
        fn $statement() {
            insta::assert_json_snapshot!(tell($name));
        })+

        #[test]
        fn every_fixture_is_read() {
            let names = [$($name),+];
            for (name, _) in list_files("tests/fixtures/definitions") {
                assert!(names.contains(&name.as_str()), "no test reads {name}");
            }
        }
    };
}

fixture_tests! {
    an_unquoted_colon_costs_nothing: "unquoted_colon",
    a_bold_start_is_no_alias: "bold_start",
    unindented_example_lines_belong_to_the_description: "unindented_example_lines",
    a_literal_backslash_n_is_a_line_break: "literal_backslash_n",
    windows_line_ends_make_no_difference: "crlf_line_ends",
    a_byte_order_mark_is_passed_over: "byte_order_mark",
    a_line_separator_ends_no_description: "line_separator",
    a_line_separator_ends_no_line: "line_separator_in_a_scan",
    a_title_case_name_becomes_a_slug: "title_case_name",
    a_number_is_a_name_as_it_is_written: "number_as_name",
    a_boolean_is_a_name_as_it_is_written: "boolean_as_name",
    commas_in_parentheses_do_not_separate_tools: "tools_as_comma_string",
    tools_may_be_a_list: "tools_as_list",
    a_comment_is_no_part_of_a_name_model_or_colour: "comment_after_a_value",
    misspelt_fields_are_pointed_out: "misspelt_fields",
    misspelt_fields_are_pointed_out_in_a_scan: "misspelt_fields_in_a_scan",
    unknown_fields_are_no_part_of_the_field_above: "unknown_fields",
    unknown_fields_are_no_part_of_a_word_in_a_scan: "unknown_fields_in_a_scan",
    a_file_without_a_name_is_called_like_its_stem: "no_name",
    an_empty_body_is_pointed_out: "empty_body",
    a_missing_closing_fence_is_an_error: "no_closing_fence",
    plain_markdown_is_no_definition: "no_frontmatter",
    a_nul_byte_is_an_error: "nul_byte",
    invalid_utf8_is_an_error: "invalid_utf8",
}

/// An editor or a checkout that "repairs" these bytes would leave their tests without a subject.
#[test]
fn the_odd_bytes_of_the_fixtures_are_still_there() {
    let holds = |name: &str, bytes: &[u8]| {
        read_fixture(name).windows(bytes.len()).any(|window| window == bytes)
    };
    assert!(holds("crlf_line_ends", b"---\r\n"));
    assert!(holds("byte_order_mark", b"\xef\xbb\xbf---"));
    assert!(holds("line_separator", "\u{2028}".as_bytes()));
    assert!(holds("literal_backslash_n", br"\n\n"));
    assert!(holds("nul_byte", b"\0"));
    assert!(holds("invalid_utf8", b"f\xfcr"));
}

#[test]
fn every_shipped_agent_parses_without_an_error() {
    let agents = list_files("agents");
    assert!(!agents.is_empty());
    for (stem, source) in agents {
        let parsed =
            parse(&source, &Origin::default()).unwrap_or_else(|error| panic!("{stem}: {error}"));
        assert_eq!(parsed.definition.name.as_str(), stem);
        assert!(!parsed.definition.summary.is_empty(), "{stem} says nothing of itself");
        assert!(parsed.diagnostics.iter().all(|found| found.level < Level::Error), "{stem}");
    }
}

#[test]
fn the_shipped_agent_that_is_no_valid_yaml_is_read_whole() {
    let source = std::fs::read(folder("agents/nextjs-backend-engineer.md")).expect("is shipped");
    let ParsedDefinition { definition, parse_mode, .. } =
        parse(&source, &Origin::default()).expect("parses");
    assert_eq!(parse_mode, ParseMode::Scan);
    assert_eq!(definition.name.as_str(), "nextjs-backend-engineer");
    assert_eq!(definition.model.as_deref(), Some("sonnet"));
    assert_eq!(definition.color.as_deref(), Some("red"));
    assert_eq!(definition.tool_servers, ["context7"]);
    assert!(definition.exclusions.len() >= 4, "{:?}", definition.exclusions);
    assert!(definition.description.ends_with("</example>"));
    let opened = definition.description.matches("<example>").count();
    assert!(opened > 0 && definition.examples.len() == opened);
    for example in &definition.examples {
        let parts = [&example.context, &example.user, &example.assistant, &example.commentary];
        assert!(parts.iter().all(|part| !part.is_empty()), "{example:?}");
    }
}

/// Without a bound these take minutes.
#[test]
fn endless_nesting_examples_and_fields_are_read_at_once() {
    for unit in ["[", "{a: ", "<example>", "<example>user: a</example>"] {
        let text = format!("---\nname: a\ndescription: {}\n---\n{unit}\n", unit.repeat(100_000));
        let parsed = parse(text.as_bytes(), &Origin::default()).expect("has a name");
        assert_eq!(parsed.definition.name.as_str(), "a");
    }
    let fields: Vec<String> = (0..100_000).map(|number| format!("k{number}: x")).collect();
    let text = format!("---\nname: a\n{}\n---\n", fields.join("\n"));
    assert!(parse(text.as_bytes(), &Origin::default()).is_ok());
}

/// What frontmatter is made of, and what breaks it.
const FRAGMENTS: &[&str] = &[
    "---\n", "---", "...\n", "\n", "\r\n", "  ", "\t", "- ", ": ", ":", "#", " # x", ",", "\"",
    "'", "\\n", "\\", "|\n", ">-\n", "|", "{", "}", "[", "]", "&a ", "*a", "**b**", "!!str ",
    "!x ", "<<: *a\n", "? ", "%YAML 1.1\n", "name", "name: ", "name: a\n", "name: 1e3\n",
    "name: ~\n", "description: ", "description: a: b\n", "tools: ", "tools: A(b, c), D\n",
    "tools:\n", "model: ", "mcpServers:\n", "labels: [a]\n", "max_turns: 3\n", "<example>",
    "</example>", "<commentary>", "</commentary>", "Context: ", "user: ", "assistant: ",
    "You do NOT handle:\n", "Responsibilities:\n", "use context7", "mcp__a__b", "(", ")", "a", "7",
    "true", "é", "“", "\u{1F600}", "\u{feff}", "\u{2028}", "\u{85}", "\0", "İ",
];

/// A file is refused with an error, or read without one; each finding lies in the file.
fn check(source: &[u8]) -> Result<(), TestCaseError> {
    let lines = 2 + memchr::memchr_iter(b'\n', source).count();
    let (is_read, diagnostics) = match parse(source, &Origin::named("fallback")) {
        Ok(parsed) => (true, parsed.diagnostics),
        Err(error) => (false, error.into_diagnostics()),
    };
    let has_error = diagnostics.iter().any(|found| found.level == Level::Error);
    prop_assert_ne!(is_read, has_error);
    for found in diagnostics {
        prop_assert!((1..=lines).contains(&found.line) && found.column >= 1, "{:?}", found);
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes)?;
        check(&[b"---\n", bytes.as_slice(), b"\n---\n", bytes.as_slice()].concat())?;
    }

    #[test]
    fn no_frontmatter_makes_the_parser_panic(
        fields in proptest::collection::vec(proptest::sample::select(FRAGMENTS), 0..24),
        body in proptest::collection::vec(proptest::sample::select(FRAGMENTS), 0..12),
    ) {
        check(fields.concat().as_bytes())?;
        check(format!("---\n{}\n---\n{}", fields.concat(), body.concat()).as_bytes())?;
    }
}
