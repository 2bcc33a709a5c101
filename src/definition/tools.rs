//! The list of an agent's tools, in its many spellings.

use serde_json::Value;

/// Tools that an agent may use, and may not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ToolList {
    /// `None` if all may be used.
    pub allowed: Option<Vec<String>>,
    pub denied: Vec<String>,
}

/// Reads `a, b(c, d)`, a list, or a map of booleans. In a map, tools that are not named may be used unless others are
/// allowed by name.
pub(super) fn read_list(value: &Value) -> Option<ToolList> {
    let list = match value {
        Value::Object(map) => {
            let (denied, allowed): (Vec<_>, Vec<_>) =
                map.iter().partition(|(_, value)| value.as_bool() == Some(false));
            let names = |entries: Vec<(&String, &Value)>| {
                entries.into_iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
            };
            let allowed = (!allowed.is_empty()).then(|| names(allowed));
            ToolList { allowed, denied: names(denied) }
        }
        _ => ToolList { allowed: Some(read_entries(value, split_tools)?), denied: Vec::new() },
    };
    let allows_all = list.allowed.as_deref().is_some_and(means_all);
    Some(if allows_all { ToolList { allowed: None, ..list } } else { list })
}

/// Reads `a b, c` or a list.
pub(super) fn read_words(value: &Value) -> Option<Vec<String>> {
    read_entries(value, |text| split(text, |character| matches!(character, ',' | '\n')))
}

fn read_entries(value: &Value, split: impl Fn(&str) -> Vec<String>) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(split(text)),
        Value::Array(items) => Some(items.iter().flat_map(|item| split(&word(item))).collect()),
        _ => None,
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `*`, `all` and `All tools` are no tools but every one.
fn means_all(tools: &[String]) -> bool {
    match tools {
        [all] => all == "*" || all.eq_ignore_ascii_case("all"),
        [all, tools] => all.eq_ignore_ascii_case("all") && tools.eq_ignore_ascii_case("tools"),
        _ => false,
    }
}

/// No client's tools have names with blanks, and some separate by blanks alone.
fn split_tools(text: &str) -> Vec<String> {
    let separates_by_blanks = text.starts_with('[') || !text.contains([',', '\n']);
    split(text, |character| {
        matches!(character, ',' | '\n') || (separates_by_blanks && character == ' ')
    })
}

/// Cuts a text at what separates its entries, outside of parentheses. What is left of a list's own marks, where the
/// list is not valid YAML, is taken off.
fn split(text: &str, separates: impl Fn(char) -> bool) -> Vec<String> {
    let mut depth = 0_usize;
    text.split(|character: char| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && separates(character)
    })
    .map(|entry| {
        let entry = entry.trim().trim_start_matches("- ");
        entry.trim_matches(|mark: char| mark.is_whitespace() || "[]'\"".contains(mark)).to_owned()
    })
    .filter(|entry| !entry.is_empty())
    .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ToolList, read_list, read_words};

    fn allowed(value: &serde_json::Value) -> Option<Vec<String>> {
        read_list(value)?.allowed
    }

    #[test]
    fn commas_in_parentheses_do_not_separate() {
        assert_eq!(
            allowed(&json!("Read, Bash(git log:*, git diff:*), mcp__a__b")),
            Some(vec!["Read".into(), "Bash(git log:*, git diff:*)".into(), "mcp__a__b".into()])
        );
        assert_eq!(
            allowed(&json!("Read Bash(git add:*)")),
            Some(vec!["Read".into(), "Bash(git add:*)".into()])
        );
        assert_eq!(read_list(&json!(3)), None);
    }

    #[test]
    fn a_map_allows_and_denies() {
        let list = read_list(&json!({"read": true, "bash": false}));
        assert_eq!(
            list,
            Some(ToolList { allowed: Some(vec!["read".into()]), denied: vec!["bash".into()] })
        );
        assert_eq!(allowed(&json!({"bash": false})), None);
    }

    #[test]
    fn every_tool_is_no_list() {
        for all in [json!("*"), json!(["*"]), json!("All tools"), json!(["all"])] {
            assert_eq!(read_list(&all), Some(ToolList::default()), "{all}");
        }
        assert_eq!(allowed(&json!([])), Some(Vec::new()));
    }

    #[test]
    fn a_list_without_its_commas_or_brackets_is_read() {
        let read = Some(vec!["Read".to_owned(), "Bash(a b)".to_owned()]);
        for list in [
            json!("Read Bash(a b)"),
            json!(["Read Bash(a b)"]),
            json!(["Read, Bash(a b)"]),
            json!("['Read' 'Bash(a b)']"),
            json!("['Read', 'Bash(a b)']"),
            json!("[Read,\n  \"Bash(a b)\"\n]"),
            json!("- Read\n- Bash(a b)"),
        ] {
            assert_eq!(allowed(&list), read, "{list}");
        }
        assert_eq!(
            read_words(&json!("web dev, mobile")),
            Some(vec!["web dev".into(), "mobile".into()])
        );
    }
}
