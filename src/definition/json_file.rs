//! Agents in JSON: an object of agents by name, or one agent by itself. The prompt is a field.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::fields::{Fields, ParseMode};
use super::{DefinitionError, Diagnostic};

/// One agent of a file of several: its name there, and the bytes of its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    pub name: String,
    pub source: &'a [u8],
}

/// Cuts a file of several agents. Empty if it holds one, or none, or is not valid.
pub(super) fn split(text: &str) -> Vec<Member<'_>> {
    let Ok(Entries(entries)) = serde_json::from_str::<Entries<'_>>(text) else { return Vec::new() };
    let is_agent = |value: &RawValue| {
        serde_json::from_str::<Map<String, Value>>(value.get()).is_ok_and(|fields| is_one(&fields))
    };
    let objects: Vec<_> =
        entries.into_iter().filter(|(_, value)| value.get().starts_with('{')).collect();
    if objects.len() < 2 || !objects.iter().any(|(_, value)| is_agent(value)) {
        return Vec::new();
    }
    let members = objects.into_iter();
    members.map(|(name, value)| Member { name, source: value.get().as_bytes() }).collect()
}

/// Reads a file of one agent.
pub(super) fn read(text: &str) -> Result<Fields, DefinitionError> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        if !text.contains("\"prompt\"") {
            return not_an_agent();
        }
        let message = error.to_string();
        let cause = message.split(" at line ").next().unwrap_or(&message);
        DefinitionError::invalid(Diagnostic::error(
            "json_invalid",
            error.line().max(1),
            error.column().max(1),
            &format!("the file is not valid JSON: {cause}"),
            "mend the place; a line break in a text is written `\\n`",
        ))
    })?;
    let Value::Object(fields) = value else { return Err(not_an_agent()) };
    let values = if is_one(&fields) { fields } else { only_member(fields)? };
    let lines = text.lines().enumerate().filter_map(|(index, line)| {
        let key = first_key(line).filter(|key| values.contains_key(*key))?;
        Some((key.to_owned(), index + 1))
    });
    Ok(Fields {
        mode: ParseMode::Strict,
        lines: lines.collect(),
        values,
        diagnostics: Vec::new(),
        body: String::new(),
        body_line: 1,
    })
}

/// Whether an object is an agent and not an object of agents.
fn is_one(fields: &Map<String, Value>) -> bool {
    fields.get("prompt").is_some_and(Value::is_string)
}

fn only_member(fields: Map<String, Value>) -> Result<Map<String, Value>, DefinitionError> {
    let mut agents = fields.into_iter().filter_map(|(name, value)| match value {
        Value::Object(agent) if is_one(&agent) => Some((name, agent)),
        _ => None,
    });
    let (name, mut agent) = agents.next().ok_or_else(not_an_agent)?;
    if agents.next().is_some() {
        return Err(DefinitionError::invalid(Diagnostic::error(
            "agents_several",
            1,
            1,
            "the file holds several agents",
            "give each agent a file of its own, or put the file into the agents folder",
        )));
    }
    agent.insert("name".to_owned(), Value::String(name));
    Ok(agent)
}

/// The first text in quotes of a line that begins with one, as the line of a field does.
fn first_key(line: &str) -> Option<&str> {
    let rest = line.trim_start_matches(|before: char| before.is_whitespace() || before == '{');
    rest.strip_prefix('"')?.split('"').next()
}

fn not_an_agent() -> DefinitionError {
    DefinitionError::NotAnAgent(Diagnostic::note(
        "not_an_agent",
        1,
        1,
        "the file holds no agent: no object with a `description` and a `prompt`",
        "write `{\"name\": {\"description\": \"…\", \"prompt\": \"…\"}}` if it should be one",
    ))
}

/// The entries of an object, repeated ones included.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::{read, split};

    #[test]
    fn members_are_cut_byte_for_byte() {
        let text = r#"{"$schema": "x", "a": {"description": "A", "prompt":  "B"},
            "b": {"prompt": "C"}}"#;
        let members = split(text);
        assert_eq!(members.len(), 2);
        assert_eq!(members[0].name, "a");
        assert_eq!(members[0].source, br#"{"description": "A", "prompt":  "B"}"#);
        assert!(
            split(r#"{"description": "A", "prompt": "B", "hooks": {}, "mcpServers": {}}"#)
                .is_empty()
        );
        assert!(split(r#"{"a": {"prompt": "C"}}"#).is_empty());
    }

    #[test]
    fn one_agent_is_read_with_or_without_its_name() {
        let name =
            |text| read(text).map(|fields| fields.values.get("name").cloned()).ok().flatten();
        assert_eq!(name(r#"{"a": {"description": "A", "prompt": "B"}}"#), Some("a".into()));
        assert_eq!(name(r#"{"name": "b", "prompt": "B"}"#), Some("b".into()));
        assert!(read(r#"{"name": "package", "version": "1", "scripts": {}}"#).is_err());
        assert!(read("[1]").is_err());
    }
}
