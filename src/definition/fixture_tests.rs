//! Definition files in, snapshots of what is read from them out: one small file for each way in which public
//! files go wrong and for each format, every file of `agents/`, and long ones.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{
    Diagnostic, Format, Level, Member, Origin, ParseMode, ParsedDefinition, members, parse,
};

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every file below a folder by its path there, in order.
fn list_files(path: &str) -> Vec<(String, Vec<u8>)> {
    let root = folder(path);
    let entries = walkdir::WalkDir::new(&root).sort_by_file_name();
    let files = entries.into_iter().map(|entry| entry.expect("can be listed"));
    files
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let path = entry.path().strip_prefix(&root).expect("lies below it");
            let source = std::fs::read(entry.path()).expect("listed");
            (path.to_str().expect("is plain").to_owned(), source)
        })
        .collect()
}

fn read_fixture(path: &str) -> Vec<u8> {
    std::fs::read(folder("tests/fixtures/definitions").join(path)).expect("the fixture exists")
}

/// What matters of a file's agents, or of its refusal.
fn tell(path: &str) -> Value {
    let source = read_fixture(path);
    let origin = Origin { path: Some(path), ..Origin::default() };
    let members = members(&source, &origin);
    if members.is_empty() {
        return tell_one(&source, &origin);
    }
    let tell_member = |member: Member<'_>| {
        let origin = Origin { name: Some(&member.name), ..origin };
        (member.name.clone(), tell_one(member.source, &origin))
    };
    members.into_iter().map(tell_member).collect::<Map<_, _>>().into()
}

fn tell_one(source: &[u8], origin: &Origin<'_>) -> Value {
    let place = |found: &Diagnostic| {
        format!("{:?} {} {}:{}", found.level, found.code, found.line, found.column)
    };
    let places = |found: &[Diagnostic]| found.iter().map(place).collect::<Vec<_>>();
    match parse(source, origin) {
        Ok(ParsedDefinition { definition, format, parse_mode, diagnostics }) => {
            let mut told = json!({
                "parse_mode": parse_mode,
                "name": definition.name,
                "display_name": definition.display_name,
                "description": definition.description,
                "summary": definition.summary,
                "examples": definition.examples,
                "tools": definition.tools,
                "model": definition.model,
                "prompt": definition.prompt,
                "diagnostics": places(&diagnostics),
            });
            // What few files have is shown where it is there.
            let rare = json!({
                "format": Some(format).filter(|format| *format != Format::ClaudeCode),
                "disallowed_tools": definition.disallowed_tools,
                "tool_servers": definition.tool_servers,
                "exclusions": definition.exclusions,
                "color": definition.color,
                "labels": definition.labels,
                "max_turns": definition.max_turns,
                "other_fields": definition.other_fields,
            });
            for (key, value) in rare.as_object().into_iter().flatten() {
                if !(value.is_null() || *value == json!([]) || *value == json!({})) {
                    told[key] = value.clone();
                }
            }
            told
        }
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
            for (path, _) in list_files("tests/fixtures/definitions") {
                assert!(names.contains(&path.as_str()), "no test reads {path}");
            }
        }
    };
}

fixture_tests! {
    an_unquoted_colon_costs_nothing: "unquoted_colon.md",
    a_bold_start_is_no_alias: "bold_start.md",
    unindented_example_lines_belong_to_the_description: "unindented_example_lines.md",
    a_literal_backslash_n_is_a_line_break: "literal_backslash_n.md",
    windows_line_ends_make_no_difference: "crlf_line_ends.md",
    a_byte_order_mark_is_passed_over: "byte_order_mark.md",
    a_line_separator_ends_no_description: "line_separator.md",
    a_line_separator_ends_no_line: "line_separator_in_a_scan.md",
    a_title_case_name_becomes_a_slug: "title_case_name.md",
    a_number_is_a_name_as_it_is_written: "number_as_name.md",
    a_boolean_is_a_name_as_it_is_written: "boolean_as_name.md",
    commas_in_parentheses_do_not_separate_tools: "tools_as_comma_string.md",
    tools_may_be_a_list: "tools_as_list.md",
    a_comment_is_no_part_of_a_name_model_or_colour: "comment_after_a_value.md",
    misspelt_fields_are_pointed_out: "misspelt_fields.md",
    misspelt_fields_are_pointed_out_in_a_scan: "misspelt_fields_in_a_scan.md",
    unknown_fields_are_no_part_of_the_field_above: "unknown_fields.md",
    unknown_fields_are_no_part_of_a_word_in_a_scan: "unknown_fields_in_a_scan.md",
    a_file_without_a_name_is_called_like_its_stem: "no_name.md",
    an_empty_body_is_pointed_out: "empty_body.md",
    a_missing_closing_fence_costs_nothing: "no_closing_fence.md",
    plain_markdown_is_no_definition: "no_frontmatter.md",
    a_nul_byte_is_an_error: "nul_byte.md",
    invalid_utf8_is_an_error: "invalid_utf8.md",
    a_block_keeps_its_lines: "block_scalar.md",
    a_folded_block_joins_its_lines: "folded_scalar.md",
    no_blank_behind_a_colon_costs_nothing: "no_blank_behind_a_colon.md",
    tabs_cost_nothing: "tabs.md",
    a_quote_that_is_not_closed_costs_nothing: "unclosed_quote.md",
    a_field_that_stands_there_twice_is_pointed_out: "repeated_field.md",
    a_field_in_the_middle_of_prose_is_prose: "repeated_fields_in_prose.md",
    a_number_sign_begins_a_description_and_a_colour: "comment_that_is_a_value.md",
    an_ampersand_begins_a_description: "anchor_that_is_text.md",
    fields_may_be_indented: "indented_fields.md",
    keys_may_be_in_quotes: "quoted_keys.md",
    carriage_returns_alone_end_lines: "old_line_ends.md",
    blank_lines_above_the_fence_are_passed_over: "blank_lines_above.md",
    a_fence_may_be_longer: "long_fence.md",
    text_that_no_field_takes_is_pointed_out: "text_below_a_word.md",
    prose_that_looks_like_fields_stays_prose: "prose_that_looks_like_fields.md",
    rules_in_the_body_belong_to_it: "rules_in_the_body.md",
    a_missing_closing_fence_costs_nothing_in_a_scan: "no_closing_fence_in_a_scan.md",
    a_comment_above_the_fence_is_no_body: "comment_above_the_fence.md",
    commas_may_be_missing_between_tools: "tools_without_commas.md",
    all_tools_are_no_list: "all_tools.md",
    a_colour_may_be_any: "any_colour.md",
    options_behind_a_model_are_pointed_out: "options_behind_a_model.md",
    hooks_and_inline_servers_are_kept_as_they_are: "inert_fields.md",
    fields_tell_the_format_where_the_path_does_not: "opencode_by_fields.md",
    copilot_has_servers_handoffs_and_models: ".github/agents/Release Notes.agent.md",
    copilot_is_named_by_its_file: ".github/chatmodes/Plan.chatmode.md",
    opencode_has_maps_of_tools_and_permissions: ".opencode/agent/team/reader.md",
    gemini_cli_has_a_display_name_and_servers: ".gemini/agents/historian.md",
    cursor_has_few_fields: ".cursor/agents/verifier.md",
    codex_has_its_instructions_in_a_field: ".codex/agents/geologist.toml",
    toml_that_is_not_valid_has_a_place: ".codex/agents/unfinished.toml",
    toml_settings_are_no_agent: ".codex/agents/settings.toml",
    a_misplaced_prompt_is_pointed_out: ".codex/agents/misplaced.toml",
    a_skill_says_when_in_a_field_of_its_own: "skills/pressing-flowers/SKILL.md",
    a_json_file_holds_several_agents: "json/crew.json",
    a_json_file_holds_one_agent: "json/alone.json",
    json_that_is_not_valid_has_a_place: "json/unfinished.json",
    json_settings_are_no_agent: "json/settings.json",
}

/// An editor or a checkout that "repairs" these bytes would leave their tests without a subject.
#[test]
fn the_odd_bytes_of_the_fixtures_are_still_there() {
    let holds = |name: &str, bytes: &[u8]| {
        read_fixture(name).windows(bytes.len()).any(|window| window == bytes)
    };
    assert!(holds("crlf_line_ends.md", b"---\r\n"));
    assert!(holds("byte_order_mark.md", b"\xef\xbb\xbf---"));
    assert!(holds("line_separator.md", "\u{2028}".as_bytes()));
    assert!(holds("literal_backslash_n.md", br"\n\n"));
    assert!(holds("old_line_ends.md", b"---\r") && !holds("old_line_ends.md", b"\n"));
    assert!(holds("tabs.md", b"\n\t"));
    assert!(holds("nul_byte.md", b"\0"));
    assert!(holds("invalid_utf8.md", b"f\xfcr"));
}

#[test]
fn every_shipped_agent_parses_without_an_error() {
    let agents = list_files("agents");
    assert!(!agents.is_empty());
    for (path, source) in agents {
        let stem = path.strip_suffix(".md").expect("is Markdown");
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
        assert!(!example.user.is_empty() && !example.assistant.is_empty(), "{example:?}");
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
    for unit in ["k", "tool", "max-turns"] {
        for colon in [":", ": x:"] {
            let line = |number| format!("{unit}{number}{colon} y\n");
            let fields: String = (0..20_000).map(line).collect();
            let text = format!("---\nname: a\ndescription: b\n{fields}---\n");
            let parsed = parse(text.as_bytes(), &Origin::default()).expect("has a name");
            assert!(parsed.diagnostics.len() < 100);
        }
    }
    let text = format!("---\nname: a\ndescription: b: c\n{}---\n", "tools: x\n".repeat(20_000));
    let parsed = parse(text.as_bytes(), &Origin::default()).expect("has a name");
    assert!(parsed.diagnostics.len() < 100);
}

/// What a description may begin with and YAML gives a meaning to.
#[test]
fn a_description_may_begin_with_anything() {
    for start in [
        "@", "`", "%", "*", "**", "&", "!", "{{ ", "{", "[", "- ", "? ", "| ", "> ", ",", "#1 ",
        "'", "\"", ": ", "~ ", "-- ", "\u{201c}", "\u{2014}",
    ] {
        for text in
            ["tea and scones", "tea: and scones", "tea}} and ] scones", "tea` \" and 's scones"]
        {
            let file = format!("---\nname: a\ndescription: {start}{text}\nmodel: opus\n---\nb\n");
            let parsed = parse(file.as_bytes(), &Origin::default()).expect("has a name");
            let written = format!("{start}{text}");
            let description = &parsed.definition.description;
            assert!(written.trim().contains(description.as_str()), "{file}: {description}");
            assert!(
                description.len() + 3 > text.len() + start.trim().len(),
                "{file}: {description}"
            );
            assert_eq!(parsed.definition.model.as_deref(), Some("opus"), "{file}");
        }
    }
}

#[test]
fn long_bodies_and_descriptions_arrive_whole() {
    let description = "Use this agent for tea: black, green or white. ".repeat(128);
    let body = "You taste tea.\n\n---\n\n".repeat(80 * 1024 / 20);
    let file = format!("---\nname: a\ndescription: {description}\nmodel: opus\n---\n{body}");
    assert!(description.len() > 6_000 && body.len() > 80 * 1024);
    let parsed = parse(file.as_bytes(), &Origin::default()).expect("has a name");
    assert_eq!(parsed.parse_mode, ParseMode::Scan);
    assert_eq!(parsed.definition.description, description.trim());
    assert_eq!(parsed.definition.prompt, body.trim());
}
