//! What fields a chunk has, found out without reading what is in them: most chunks have known ones alone.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::foreign::{KNOWN, KNOWN_OF_CHOICE, KNOWN_OF_MESSAGE};

/// The fields of a chunk.
#[derive(Debug, Default)]
pub(super) struct Outline<'a> {
    /// Whether it has any field that only chunks have.
    pub is_chunk: bool,
    /// Whether a choice or its message has an unknown field that says something.
    pub has_unknown_inside: bool,
    /// The other unknown ones that say something, as they are written.
    pub unknown: Vec<(Cow<'a, str>, &'a RawValue)>,
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Outline<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OutlineVisitor)
    }
}

struct OutlineVisitor;

impl<'de> Visitor<'de> for OutlineVisitor {
    type Value = Outline<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Outline<'de>, A::Error> {
        let mut outline = Outline::default();
        while let Some(Name(name)) = fields.next_key()? {
            outline.is_chunk |= matches!(&*name, "choices" | "usage" | "model");
            if name == "choices" {
                outline.has_unknown_inside |= fields.next_value_seed(&CHOICE)?;
            } else if KNOWN.contains(&&*name) {
                fields.next_value::<IgnoredAny>()?;
            } else {
                let value: &RawValue = fields.next_value()?;
                if says_something(value) {
                    outline.unknown.push((name, value));
                }
            }
        }
        Ok(outline)
    }
}

fn says_something(value: &RawValue) -> bool {
    !matches!(value.get(), "null" | "[]")
}

/// Looks for unknown fields in an object, or in those of a list.
struct Search {
    known: &'static [&'static str],
    /// Fields that are searched themselves.
    inside: Option<(&'static [&'static str], &'static Self)>,
}

static MESSAGE: Search = Search { known: KNOWN_OF_MESSAGE, inside: None };
static CHOICE: Search =
    Search { known: KNOWN_OF_CHOICE, inside: Some((&["delta", "message"], &MESSAGE)) };

impl<'de> DeserializeSeed<'de> for &Search {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Search {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object, a list of objects or null")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<bool, A::Error> {
        let mut is_found = false;
        while let Some(Name(name)) = fields.next_key()? {
            match self.inside {
                Some((names, search)) if names.contains(&&*name) => {
                    is_found |= fields.next_value_seed(search)?;
                }
                _ if self.known.contains(&&*name) => {
                    fields.next_value::<IgnoredAny>()?;
                }
                _ => is_found |= says_something(fields.next_value()?),
            }
        }
        Ok(is_found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        let mut is_found = false;
        while let Some(has_unknown) = items.next_element_seed(self)? {
            is_found |= has_unknown;
        }
        Ok(is_found)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::Outline;

    fn outline(chunk: &str) -> Outline<'_> {
        serde_json::from_str(chunk).expect("is read")
    }

    #[test]
    fn known_fields_are_passed_over_wherever_they_are() {
        let plain = outline(
            r#"{"id":"a","model":"m","choices":[{"index":0,"delta":{"content":[{"x":1}],"role":"assistant"},
                "logprobs":null,"finish_reason":null},{"delta":null}],"service_tier":null,"usage":null}"#,
        );
        assert!(plain.is_chunk && !plain.has_unknown_inside && plain.unknown.is_empty());
        assert!(!outline(r#"{"type":"ping"}"#).is_chunk);
    }

    #[test]
    fn unknown_fields_are_found_wherever_they_are() {
        assert!(outline(r#"{"choices":[{"delta":{"annotations":[1]}}]}"#).has_unknown_inside);
        assert!(outline(r#"{"choices":[{"logprobs":{"content":[]}}]}"#).has_unknown_inside);
        let beside = outline(r#"{"choices":[],"t\u0069er":"default"}"#);
        let (name, value) = &beside.unknown[0];
        assert_eq!((&**name, value.get()), ("tier", r#""default""#));
    }
}
