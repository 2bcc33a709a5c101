//! What the judge says, read from whatever text it came in.

use std::sync::Arc;

use serde_json::Value;

use crate::registry::Agent;

/// What the judge says instead of a name if no candidate fits.
pub(super) const NO_AGENT: &str = "none";

/// What the judge says: a place in the shortlist, or that none of it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Agent(usize),
    None,
}

impl Verdict {
    pub fn agent(self, shortlist: &[Arc<Agent>]) -> Option<&Arc<Agent>> {
        match self {
            Self::Agent(place) => shortlist.get(place),
            Self::None => None,
        }
    }
}

/// Reads an answer. A name that was not on the shortlist is no answer.
pub(super) fn read(text: &str, shortlist: &[Arc<Agent>]) -> Option<Verdict> {
    let name = find_name(text)?;
    let name = name.trim();
    if name.eq_ignore_ascii_case(NO_AGENT) {
        return Some(Verdict::None);
    }
    let is_named = |agent: &Arc<Agent>| agent.name().as_str().eq_ignore_ascii_case(name);
    shortlist.iter().position(is_named).map(Verdict::Agent)
}

/// The `agent` of the last JSON object that has one: models without a schema like to think aloud, and to fence.
fn find_name(text: &str) -> Option<String> {
    let mut found = None;
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        rest = &rest[start..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let length = match values.next() {
            Some(Ok(value)) => {
                if let Some(name) = value["agent"].as_str() {
                    found = Some(name.to_owned());
                }
                values.byte_offset()
            }
            _ => 1,
        };
        rest = &rest[length..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::find_name;

    #[test]
    fn json_is_found_wherever_it_stands() {
        for text in [
            r#"{"agent":"a"}"#,
            "```json\n{\n  \"agent\": \"a\"\n}\n```",
            r#"Not {"agent": "b"}, but {braces} and {"why": "{x}", "agent": "a"} it is."#,
            r#"{"agent": {"name": "b"}} {"agent": "a"}"#,
        ] {
            assert_eq!(find_name(text).as_deref(), Some("a"), "{text}");
        }
    }

    #[test]
    fn what_holds_no_name_is_none() {
        for text in ["", "a", "{", "{{{{", r#"{"agent": null}"#, r#"{"agent": 7}"#, r#"["a"]"#] {
            assert_eq!(find_name(text), None, "{text}");
        }
    }
}
