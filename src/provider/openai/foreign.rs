//! What a server says in Chat Completions and has no neutral word: log probabilities, annotations, its tier and more.
//!
//! It is kept for callers who speak the protocol: an event that is no chunk as it came, and of a chunk what is left when
//! the known fields are taken out.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::wire::Answer;
use crate::chat::{ChatEvent, ForeignEvent, Protocol};
use crate::provider::SseEvent;
use crate::provider::openai_words::further_usage;

/// Fields that are read here, or that the service says itself.
pub(super) const KNOWN: &[&str] =
    &["id", "object", "created", "model", "choices", "usage", "error", "obfuscation"];
const KNOWN_OF_CHOICE: &[&str] = &["index", "delta", "message", "finish_reason"];
pub(super) const KNOWN_OF_MESSAGE: &[&str] =
    &["role", "content", "refusal", "reasoning_content", "reasoning", "tool_calls"];
const SUMS: &[&str] = &["prompt_tokens", "completion_tokens", "total_tokens"];

/// Finds it in a stream. Servers repeat fields of the answer with every chunk: each is told when it changes.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    /// As it was written.
    told: BTreeMap<String, Box<RawValue>>,
}

impl Foreign {
    /// `answer` is what was read of the event.
    pub fn of_event(&mut self, event: &SseEvent, answer: &Answer<'_>) -> Option<ChatEvent> {
        if !answer.is_known {
            return Some(foreign(&event.event, event.data.clone()));
        }
        let changed = self.take_changed(answer);
        let counts_more = answer.usage.is_some_and(|usage| usage.says_more);
        if changed.is_empty() && !answer.has_unknown_inside() && !counts_more {
            return None;
        }
        let mut left = remainder(&serde_json::from_str(&event.data).ok()?, "delta")?;
        let fields = left.as_object_mut()?;
        fields.retain(|name, _| {
            matches!(name.as_str(), "choices" | "usage") || changed.contains(&name.as_str())
        });
        let says_something = fields.len() > 1 || !is_empty(&fields["choices"]);
        says_something.then(|| foreign("", left.to_string()))
    }

    /// The fields beside the choices that were not told like this before. They count as told from now on.
    fn take_changed<'a>(&mut self, answer: &'a Answer<'_>) -> Vec<&'a str> {
        let mut changed = Vec::new();
        for (name, value) in &answer.unknown {
            let before = self.told.get(&**name);
            if before.is_none_or(|before| before.get() != value.get()) {
                self.told.insert(name.to_string(), (*value).to_owned());
                changed.push(&**name);
            }
        }
        changed
    }
}

/// What is left of a whole answer, as a chunk.
pub(super) fn of_answer(body: &[u8]) -> Option<ChatEvent> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    remainder(&answer, "message").map(|data| foreign("", data.to_string()))
}

fn foreign(name: &str, data: String) -> ChatEvent {
    let (protocol, name) = (Protocol::ChatCompletions, name.to_owned());
    ChatEvent::Foreign(ForeignEvent { protocol, name, data, is_content: false })
}

/// The unknown fields in their places; `None` if there are none.
fn remainder(chunk: &Value, message: &str) -> Option<Value> {
    let choice = chunk["choices"].as_array().and_then(|choices| {
        choices.iter().find(|choice| choice["index"].as_u64().unwrap_or(0) == 0)
    });
    let of_choice = choice.map_or_else(Map::new, |choice| unknown(choice, KNOWN_OF_CHOICE));
    let delta = choice.map_or_else(Map::new, |choice| unknown(&choice[message], KNOWN_OF_MESSAGE));
    let mut left = unknown(chunk, KNOWN);
    let usage = further_usage(&chunk["usage"], SUMS, "prompt_tokens_details");
    left.extend(usage.map(|usage| ("usage".to_owned(), usage)));
    if left.is_empty() && of_choice.is_empty() && delta.is_empty() {
        return None;
    }
    let mut choices = Vec::new();
    if !of_choice.is_empty() || !delta.is_empty() {
        let mut choice = json!({"index": 0, "delta": delta, "finish_reason": null});
        for (name, value) in of_choice {
            choice[name] = value;
        }
        choices.push(choice);
    }
    left.insert("choices".to_owned(), Value::Array(choices));
    Some(Value::Object(left))
}

/// The fields of an object that say something and are not among the known ones.
fn unknown(object: &Value, known: &[&str]) -> Map<String, Value> {
    let fields = object.as_object().into_iter().flatten();
    fields
        .filter(|(name, value)| !known.contains(&name.as_str()) && !is_empty(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}
