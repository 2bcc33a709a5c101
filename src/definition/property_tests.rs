//! Arbitrary files in: none makes the parser panic, and what was written arrives.

use proptest::prelude::*;
use serde_json::json;

use super::{Level, Origin, members, parse};

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

/// What the other syntaxes are made of.
const OTHER_FRAGMENTS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "[[a]]\n",
    "[a.b]\n",
    "\"",
    "'",
    "\"\"\"",
    "'''",
    "\\",
    "\\u12",
    ",",
    ":",
    "=",
    "#",
    "\n",
    "\"a\"",
    "\"name\": ",
    "\"prompt\": \"p\"",
    "\"description\": \"d\", ",
    "{\"prompt\": \"p\"}",
    "name = ",
    "\"b\"\n",
    "developer_instructions = ",
    "1",
    "1e999",
    "true",
    "null",
    "é",
    "\u{2028}",
    "\0",
];

/// What lines of a description are made of, and what YAML takes for something else.
const PROSE: &[&str] = &[
    "kettle ", "steam ", "leaf ", "Context: ", "user: ", "assistant: ", "'quoted' ", "\"double ",
    "it's ", ": ", " - ", "- ", "* ", "**bold** ", "\t", "  ", "{{ x }} ", "[one, two ", "] ",
    "@home ", "`code` ", "100% ", "a | b ", "> ", "? ", "<example>", "</example>", "model: steam ",
    "tools: spoons ", "background: noise ", "note: this ", "name:x ", "…é ", "\\n", "--- ",
];

/// A path for each format.
const PATHS: &[&str] = &[
    "a.md", ".github/agents/a.md", ".opencode/agent/a/b.md", ".gemini/agents/a.md",
    ".cursor/agents/a.md", "a/SKILL.md", "a.toml", "a.json",
];

/// In no format makes a text the parser panic.
fn check(source: &[u8]) -> Result<(), TestCaseError> {
    check_at(source, &Origin::named("fallback"))?;
    for path in PATHS {
        let origin = Origin { path: Some(path), ..Origin::default() };
        check_at(source, &origin)?;
        for member in members(source, &origin) {
            check_at(member.source, &Origin { name: Some(&member.name), ..origin })?;
        }
    }
    Ok(())
}

/// A file is refused with an error, or read without one; each finding lies in the file.
fn check_at(source: &[u8], origin: &Origin<'_>) -> Result<(), TestCaseError> {
    let breaks = |byte| memchr::memchr_iter(byte, source).count();
    let lines = 2 + breaks(b'\n').max(breaks(b'\r'));
    let (is_read, diagnostics) = match parse(source, origin) {
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

/// The letters and digits of a text, word by word.
fn words(text: &str) -> Vec<String> {
    let words = text.split(|character: char| !character.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
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

    #[test]
    fn no_toml_or_json_makes_the_parser_panic(
        parts in proptest::collection::vec(proptest::sample::select(OTHER_FRAGMENTS), 0..24),
    ) {
        check(parts.concat().as_bytes())?;
        check(format!("{{{}}}", parts.concat()).as_bytes())?;
    }

    #[test]
    fn what_was_written_as_yaml_arrives(
        name in "[a-z][a-z0-9]{0,9}x",
        description in "[^\\p{Cc}]{1,80}",
        body in "[^\\x00\r]{0,80}",
    ) {
        // JSON's quotes are YAML's.
        let quoted = serde_json::to_string(&description).expect("is a text");
        let file = format!("---\nname: {name}\ndescription: {quoted}\nmodel: opus\n---\n{body}");
        let parsed = parse(file.as_bytes(), &Origin::default()).expect("is an agent").definition;
        prop_assert_eq!(parsed.name.as_str(), &name);
        prop_assert_eq!(&parsed.prompt, body.trim());
        prop_assert_eq!(parsed.model.as_deref(), Some("opus"));
        prop_assert_eq!(words(&parsed.description), words(&description), "{}", file);
    }

    #[test]
    fn what_was_written_as_json_or_toml_arrives(
        name in "[a-z][a-z0-9]{0,9}",
        description in "[^\\x00\\x7f]{1,80}",
        prompt in "[^\\x00\\x7f]{1,80}",
    ) {
        let agent = json!({"description": description, "prompt": prompt});
        let file = json!({&name: agent.clone()}).to_string();
        let origin = Origin { path: Some("x.json"), ..Origin::default() };
        let parsed = parse(file.as_bytes(), &origin).expect("is an agent").definition;
        prop_assert_eq!(parsed.name.as_str(), &name);
        prop_assert_eq!(&parsed.description, description.trim());
        prop_assert_eq!(&parsed.prompt, prompt.trim());

        let file = json!({"first-one": agent.clone(), "other-one": agent}).to_string();
        prop_assert_eq!(members(file.as_bytes(), &origin).len(), 2);

        // JSON's quotes are TOML's, but for the one character that is left out above.
        let fields = [
            ("name", &name),
            ("description", &description),
            ("developer_instructions", &prompt),
        ];
        let lines = fields.map(|(key, value)| format!("{key} = {}\n", json!(value)));
        let origin = Origin { path: Some("x.toml"), ..Origin::default() };
        let parsed = parse(lines.concat().as_bytes(), &origin).expect("is an agent").definition;
        prop_assert_eq!(parsed.name.as_str(), &name);
        prop_assert_eq!(&parsed.description, description.trim());
        prop_assert_eq!(&parsed.prompt, prompt.trim());
    }

    #[test]
    fn no_word_of_a_description_vanishes(
        lines in proptest::collection::vec(
            proptest::collection::vec(proptest::sample::select(PROSE), 1..8), 1..6),
        start in proptest::sample::select(&["", "Tea: ", "Issue #12 ", "&Sons "][..]),
        behind in proptest::sample::select(&["", "model: opus\n", "tools: Read\ncolor: red\n"][..]),
    ) {
        let lines: Vec<String> = lines.iter().map(|words| words.concat()).collect();
        let description = lines.join("\n");
        let file = format!("---\nname: a\ndescription: {start}{description}\n{behind}---\nThe end.\n");
        let parsed = parse(file.as_bytes(), &Origin::default()).expect("is an agent");
        let whole = serde_json::to_value(&parsed.definition).expect("is data").to_string();
        let is_pointed_out = parsed
            .diagnostics
            .iter()
            .any(|found| ["field_repeated", "text_unused"].contains(&&*found.code));
        for word in words(&description) {
            prop_assert!(whole.contains(&word) || is_pointed_out, "{}:\n{}\n{}", word, file, whole);
        }
        prop_assert!(parsed.definition.prompt.ends_with("The end."), "{}", file);
    }
}
