//! The name of an agent: a slug that is safe in a path, a header and a log line.

use std::borrow::Borrow;
use std::fmt;

use serde::{Serialize, Serializer};

/// Longest slug, in bytes; a longer name is cut.
const MAX_LENGTH: usize = 64;

/// Lower-case letters, digits and single hyphens, 1 to 64 of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentName(String);

impl AgentName {
    /// Derives a name: lower case, each run of other characters than a–z and 0–9 becomes one hyphen, trimmed.
    /// `None` if nothing is left.
    pub fn slug(text: &str) -> Option<Self> {
        let mut slug = String::with_capacity(text.len().min(MAX_LENGTH));
        for character in text.chars().flat_map(char::to_lowercase) {
            if character.is_ascii_lowercase() || character.is_ascii_digit() {
                slug.push(character);
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
        }
        slug.truncate(MAX_LENGTH);
        let slug = slug.trim_end_matches('-');
        (!slug.is_empty()).then(|| Self(slug.to_owned()))
    }

    /// Takes a text that is a slug already; `None` if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        Self::slug(text).filter(|name| name.0 == text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for AgentName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for AgentName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::AgentName;

    #[test]
    fn other_characters_become_single_hyphens() {
        let slug = |text| AgentName::slug(text).map(|name| name.to_string());
        assert_eq!(slug("Next.js  Back-End"), Some("next-js-back-end".into()));
        assert_eq!(slug("--a--"), Some("a".into()));
        assert_eq!(slug("42"), Some("42".into()));
        assert_eq!(slug("日本"), None);
        assert_eq!(slug(&"x".repeat(80)).map(|name| name.as_str().len()), Some(64));
    }

    #[test]
    fn only_a_slug_is_parsed() {
        assert!(AgentName::parse("code-reviewer").is_some());
        assert!(AgentName::parse("Code-Reviewer").is_none());
        assert!(AgentName::parse("a/b").is_none());
        assert!(AgentName::parse("").is_none());
    }
}
