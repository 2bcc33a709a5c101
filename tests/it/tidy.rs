//! Imports point inwards: each component uses only those that the table allows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Component, and what it may use. `app`, `config`, `cli` and `main` may use everything.
const TABLE: &[(&str, &[&str])] = &[
    (
        "http",
        &[
            "access", "audit", "chat", "conversation", "db", "definition", "dispatch", "ledger",
            "limits", "prompt", "provider", "registry", "telemetry", "tools",
        ],
    ),
    (
        "conversation",
        &[
            "access", "chat", "db", "definition", "dispatch", "ledger", "limits", "prompt",
            "provider", "registry", "telemetry", "tools",
        ],
    ),
    (
        "dispatch",
        &[
            "audit", "chat", "db", "definition", "ledger", "provider", "registry", "telemetry",
            "tools",
        ],
    ),
    ("prompt", &["chat", "definition"]),
    ("registry", &["audit", "db", "definition", "telemetry"]),
    ("provider", &["chat", "db", "telemetry"]),
    ("tools", &["audit", "chat", "db", "telemetry"]),
    ("access", &["audit", "db", "definition", "telemetry"]),
    ("limits", &["access", "chat", "db", "telemetry"]),
    ("ledger", &["chat", "db", "telemetry"]),
    ("audit", &["db"]),
    ("definition", &[]),
    ("chat", &[]),
    ("db", &[]),
    ("telemetry", &[]),
];

const FREE: &[&str] = &["app", "cli", "config", "lib", "main"];

#[test]
fn imports_follow_the_table() {
    let table: BTreeMap<&str, &[&str]> = TABLE.iter().copied().collect();
    let mut wrong = Vec::new();
    for file in sources() {
        let component = component_of(&file);
        if FREE.contains(&component.as_str()) {
            continue;
        }
        let allowed = table
            .get(component.as_str())
            .unwrap_or_else(|| panic!("the component `{component}` is not in the table"));
        let text = std::fs::read_to_string(&file).expect("is readable");
        for used in crate_paths(&text) {
            if used != component && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{} uses `{used}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_lives_in_it() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|file| {
            let text = std::fs::read_to_string(file).expect("is readable");
            !text.starts_with("//!")
        })
        .map(|file| file.display().to_string())
        .collect();
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("is a folder") {
            let path = entry.expect("is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

fn component_of(file: &Path) -> String {
    let below = file.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let first = below.expect("lies in src").components().next().expect("has a name");
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The first name behind each `crate::`, in imports with braces too.
fn crate_paths(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (position, _) in text.match_indices("crate::") {
        let rest = &text[position + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default().split(',').collect(),
            None => vec![rest],
        };
        for name in names {
            let name = name.trim();
            let end =
                name.find(|character: char| !(character.is_alphanumeric() || character == '_'));
            found.push(name[..end.unwrap_or(name.len())].to_owned());
        }
    }
    found.retain(|name| !name.is_empty());
    found
}
