//! Environment variables, and references to them in the configuration file: `${NAME}` and `${NAME:-default}`.

use std::collections::HashMap;
use std::path::Path;

use super::ConfigError;

/// The environment as of the start. Empty variables count as unset.
#[derive(Debug, Default)]
pub(super) struct Variables {
    values: HashMap<String, String>,
}

/// A text whose references are replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expanded {
    Text(String),
    /// It refers to an optional variable that is not set: what it belongs to is not configured.
    NotConfigured,
}

impl Variables {
    pub fn of_process() -> Self {
        let values = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        Self { values }
    }

    #[cfg(test)]
    pub fn of(values: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self { values: values.iter().map(owned).filter(|(_, value)| !value.is_empty()).collect() }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Replaces every reference. That each required variable is set has been checked before.
    pub fn expand(&self, text: &str) -> Expanded {
        let mut expanded = String::new();
        let mut end = 0;
        for reference in Reference::all(text) {
            expanded.push_str(&text[end..reference.start]);
            match (self.get(reference.name), reference.default) {
                (Some(value), _) => expanded.push_str(value),
                (None, Some(default)) if !default.is_empty() => expanded.push_str(default),
                (None, _) => return Expanded::NotConfigured,
            }
            end = reference.end;
        }
        expanded.push_str(&text[end..]);
        Expanded::Text(expanded)
    }

    /// What the environment gives to a text: the variables that it refers to, and their values.
    pub fn given_to<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        Reference::all(text)
            .filter_map(|reference| Some((reference.name, self.get(reference.name)?)))
    }

    /// Checks every reference of a file, comments aside.
    pub fn check(&self, path: &Path, yaml: &str) -> Result<(), ConfigError> {
        for (index, line) in yaml.lines().enumerate() {
            let line = without_comment(line);
            for reference in Reference::all(line) {
                if reference.default.is_none() && self.get(reference.name).is_none() {
                    return Err(ConfigError::UnsetVariable {
                        path: path.to_owned(),
                        line: index + 1,
                        key: key_before(&line[..reference.start]),
                        variable: reference.name.to_owned(),
                    });
                }
            }
        }
        Ok(())
    }
}

struct Reference<'a> {
    start: usize,
    end: usize,
    name: &'a str,
    default: Option<&'a str>,
}

impl<'a> Reference<'a> {
    fn all(text: &'a str) -> impl Iterator<Item = Self> {
        let mut end = 0;
        std::iter::from_fn(move || {
            let reference = Self::find(text, end)?;
            end = reference.end;
            Some(reference)
        })
    }

    /// The first one behind a place.
    fn find(text: &'a str, behind: usize) -> Option<Self> {
        let start = behind + text[behind..].find("${")?;
        let length = text[start..].find('}')?;
        let inner = &text[start + 2..start + length];
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        Some(Self { start, end: start + length + 1, name, default })
    }
}

/// A line up to its comment, if it has one: a number sign behind a blank, and not in quotes.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (position, character) in line.char_indices() {
        let is_escaped = quote == Some('"') && before == '\\';
        match (quote, character) {
            (None, '#') if before.is_whitespace() => return &line[..position],
            // Behind a letter it is an apostrophe; behind another one it goes on with the text that the first has ended.
            (None, '"' | '\'') if before.is_whitespace() || "[{,:'".contains(before) => {
                quote = Some(character);
            }
            (Some(open), _) if open == character && !is_escaped => quote = None,
            _ => {}
        }
        before = if is_escaped { ' ' } else { character };
    }
    line
}

/// The last `key:` of a line's beginning.
fn key_before(text: &str) -> String {
    let Some((before, _)) = text.rsplit_once(": ") else { return String::new() };
    let start = before.rfind([' ', '{', ',', '"']).map_or(0, |position| position + 1);
    before[start..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Expanded, Variables, without_comment};

    #[test]
    fn a_number_sign_in_quotes_begins_no_comment() {
        for (line, kept) in [
            ("# all", ""),
            ("a: b # c", "a: b "),
            ("a: b#c", "a: b#c"),
            ("a: \"b # c\" # d", "a: \"b # c\" "),
            ("a: {b: 'c # d'}# e", "a: {b: 'c # d'}# e"),
            (r#"a: "b \" # c" # d"#, r#"a: "b \" # c" "#),
            (r#"a: "b\\" # c"#, r#"a: "b\\" "#),
            (r"a: 'b\' # c", r"a: 'b\' "),
            ("a: it's # b", "a: it's "),
            ("a: 'it''s # b' # c", "a: 'it''s # b' "),
        ] {
            assert_eq!(without_comment(line), kept, "{line}");
        }
    }

    #[test]
    fn references_are_replaced() {
        let variables = Variables::of(&[("A", "1")]);
        let text = |text: &str| Expanded::Text(text.to_owned());
        assert_eq!(variables.expand("x${A}y${B:-2}"), text("x1y2"));
        assert_eq!(variables.expand("plain $A"), text("plain $A"));
        assert_eq!(variables.expand("${B:-}"), Expanded::NotConfigured);
    }
}
