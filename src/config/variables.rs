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
        let mut rest = text;
        while let Some(reference) = Reference::find(rest) {
            expanded.push_str(&rest[..reference.start]);
            match (self.get(reference.name), reference.default) {
                (Some(value), _) => expanded.push_str(value),
                (None, Some(default)) if !default.is_empty() => expanded.push_str(default),
                (None, _) => return Expanded::NotConfigured,
            }
            rest = &rest[reference.end..];
        }
        expanded.push_str(rest);
        Expanded::Text(expanded)
    }

    /// Checks every reference of a file, comments aside.
    pub fn check(&self, path: &Path, yaml: &str) -> Result<(), ConfigError> {
        for (index, line) in yaml.lines().enumerate() {
            let line = if line.trim_start().starts_with('#') { "" } else { line };
            let line = line.split(" #").next().unwrap_or_default();
            let mut position = 0;
            while let Some(reference) = Reference::find(&line[position..]) {
                if reference.default.is_none() && self.get(reference.name).is_none() {
                    return Err(ConfigError::UnsetVariable {
                        path: path.to_owned(),
                        line: index + 1,
                        key: key_before(&line[..position + reference.start]),
                        variable: reference.name.to_owned(),
                    });
                }
                position += reference.end;
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
    fn find(text: &'a str) -> Option<Self> {
        let start = text.find("${")?;
        let length = text[start..].find('}')?;
        let inner = &text[start + 2..start + length];
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        Some(Self { start, end: start + length + 1, name, default })
    }
}

/// The last `key:` of a line's beginning.
fn key_before(text: &str) -> String {
    let Some((before, _)) = text.rsplit_once(": ") else { return String::new() };
    let start = before.rfind([' ', '{', ',', '"']).map_or(0, |position| position + 1);
    before[start..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Expanded, Variables};

    #[test]
    fn references_are_replaced() {
        let variables = Variables::of(&[("A", "1")]);
        let text = |text: &str| Expanded::Text(text.to_owned());
        assert_eq!(variables.expand("x${A}y${B:-2}"), text("x1y2"));
        assert_eq!(variables.expand("plain $A"), text("plain $A"));
        assert_eq!(variables.expand("${B:-}"), Expanded::NotConfigured);
    }
}
