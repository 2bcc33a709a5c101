//! The parts of the Chat Completions wire format that are read. Compatible servers leave out or null
//! nearly everything, so nearly everything is optional.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::foreign::{KNOWN, KNOWN_OF_MESSAGE};
use crate::provider::lenient::{text_or_json, texts};
use crate::provider::openai_error::ErrorDetail;

/// A whole answer or a chunk, read once: what is known of it, and whether it says more.
#[derive(Debug, Default)]
pub(super) struct Answer<'a> {
    pub model: Cow<'a, str>,
    pub choices: Vec<Choice>,
    pub usage: Option<Usage>,
    /// Some servers report an error inside a stream that began with status 200.
    pub error: Option<ErrorDetail>,
    /// Whether it is one: it has a field that only answers have.
    pub is_known: bool,
    /// The unknown fields that say something, as they are written.
    pub unknown: Vec<(Cow<'a, str>, &'a RawValue)>,
}

/// A choice of a whole answer has a `message`, one of a chunk has a `delta`; they look alike.
#[derive(Debug, Default)]
pub(super) struct Choice {
    pub index: u64,
    pub delta: Delta,
    /// Boxed: chunks have none, or none that is read.
    pub message: Option<Box<Delta>>,
    pub finish_reason: Option<String>,
    /// Whether an unknown field says something.
    pub has_unknown: bool,
}

#[derive(Debug, Default)]
pub(super) struct Delta {
    pub content: Content,
    pub refusal: Option<String>,
    /// Thinking, as `DeepSeek` and others send it.
    pub reasoning_content: Option<String>,
    /// Thinking, as vLLM and others send it. No alias: servers that send both would repeat a field.
    pub reasoning: Option<String>,
    pub tool_calls: Vec<ToolCall>,
    /// Whether an unknown field says something.
    pub has_unknown: bool,
}

impl Answer<'_> {
    /// Whether a choice says something in an unknown field.
    pub fn has_unknown_inside(&self) -> bool {
        let inside = |choice: &Choice| {
            let is_in_message = choice.message.as_ref().is_some_and(|message| message.has_unknown);
            choice.has_unknown || choice.delta.has_unknown || is_in_message
        };
        self.choices.iter().any(inside)
    }
}

impl<'de> ReadByField<'de> for Answer<'de> {
    fn take<A: MapAccess<'de>>(&mut self, name: Name<'de>, fields: &mut A) -> Result<(), A::Error> {
        self.is_known |= matches!(&*name, "choices" | "usage" | "model");
        match &*name {
            "model" => self.model = or_default::<Text<'_>, A>(fields)?.0,
            "choices" => self.choices = or_default(fields)?,
            "usage" => self.usage = fields.next_value()?,
            "error" => self.error = fields.next_value()?,
            known if KNOWN.contains(&known) => ignore(fields)?,
            _ => {
                let value = fields.next_value()?;
                if says_something(value) {
                    self.unknown.push((name, value));
                }
            }
        }
        Ok(())
    }
}

impl<'de> ReadByField<'de> for Choice {
    fn take<A: MapAccess<'de>>(&mut self, name: Name<'de>, fields: &mut A) -> Result<(), A::Error> {
        match &*name {
            "index" => self.index = or_default(fields)?,
            "delta" => self.delta = or_default(fields)?,
            "message" => self.message = fields.next_value()?,
            "finish_reason" => self.finish_reason = fields.next_value()?,
            _ => self.has_unknown |= says_something(fields.next_value()?),
        }
        Ok(())
    }
}

impl<'de> ReadByField<'de> for Delta {
    fn take<A: MapAccess<'de>>(&mut self, name: Name<'de>, fields: &mut A) -> Result<(), A::Error> {
        match &*name {
            "content" => self.content = fields.next_value()?,
            "refusal" => self.refusal = fields.next_value()?,
            "reasoning_content" => self.reasoning_content = fields.next_value()?,
            "reasoning" => self.reasoning = fields.next_value()?,
            "tool_calls" => self.tool_calls = or_default(fields)?,
            known if KNOWN_OF_MESSAGE.contains(&known) => ignore(fields)?,
            _ => self.has_unknown |= says_something(fields.next_value()?),
        }
        Ok(())
    }
}

impl<'de> ReadByField<'de> for ToolCall {
    fn take<A: MapAccess<'de>>(&mut self, name: Name<'de>, fields: &mut A) -> Result<(), A::Error> {
        match &*name {
            "index" => self.index = fields.next_value()?,
            "id" => self.id = fields.next_value()?,
            "type" => self.kind = fields.next_value()?,
            "function" => self.function = or_default(fields)?,
            _ => self.further.push((name.into_owned(), fields.next_value()?)),
        }
        Ok(())
    }
}

impl<'de> ReadByField<'de> for Usage {
    fn take<A: MapAccess<'de>>(&mut self, name: Name<'de>, fields: &mut A) -> Result<(), A::Error> {
        match &*name {
            "prompt_tokens" => self.prompt_tokens = or_default(fields)?,
            "completion_tokens" => self.completion_tokens = or_default(fields)?,
            "total_tokens" => ignore(fields)?,
            "prompt_tokens_details" => {
                self.prompt_tokens_details = or_default(fields)?;
                self.says_more |= self.prompt_tokens_details.says_more;
            }
            _ => self.says_more |= says_something(fields.next_value()?),
        }
        Ok(())
    }
}

impl<'de> ReadByField<'de> for PromptDetails {
    fn take<A: MapAccess<'de>>(&mut self, name: Name<'de>, fields: &mut A) -> Result<(), A::Error> {
        self.says_more |= name != "cached_tokens";
        match &*name {
            "cached_tokens" => self.cached_tokens = or_default(fields)?,
            "cache_write_tokens" => self.cache_write_tokens = or_default(fields)?,
            _ => ignore(fields)?,
        }
        Ok(())
    }
}

fn says_something(value: &RawValue) -> bool {
    !matches!(value.get(), "null" | "[]")
}

/// The name of a field.
type Name<'de> = Cow<'de, str>;

/// An object that is read field by field.
trait ReadByField<'de>: Default {
    /// Takes the value of a field.
    fn take<A: MapAccess<'de>>(&mut self, name: Name<'de>, fields: &mut A) -> Result<(), A::Error>;
}

struct Object<T>(PhantomData<T>);

impl<'de, T: ReadByField<'de>> Visitor<'de> for Object<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<T, A::Error> {
        let mut object = T::default();
        while let Some(Text(name)) = fields.next_key()? {
            object.take(name, &mut fields)?;
        }
        Ok(object)
    }
}

macro_rules! read_by_fields {
    ($($object:ty),+) => {$(
        impl<'de> Deserialize<'de> for $object {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_map(Object(PhantomData))
            }
        }
    )+};
}

read_by_fields!(Answer<'de>, Choice, Delta, ToolCall, Usage, PromptDetails);

/// A text that is not copied if it stands there as it is.
#[derive(Debug, Default, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A value, of which null is what a missing one is.
fn or_default<'de, T: Default + Deserialize<'de>, A: MapAccess<'de>>(
    fields: &mut A,
) -> Result<T, A::Error> {
    fields.next_value::<Option<T>>().map(Option::unwrap_or_default)
}

fn ignore<'de, A: MapAccess<'de>>(fields: &mut A) -> Result<(), A::Error> {
    fields.next_value::<IgnoredAny>().map(drop)
}

/// A text; with Mistral and others also a list of parts, thinking among them.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "Value")]
pub(super) struct Content {
    pub text: String,
    pub thinking: String,
}

impl From<Value> for Content {
    fn from(content: Value) -> Self {
        let mut read = Self::default();
        let parts = match content {
            Value::String(text) => return Self { text, ..read },
            Value::Array(parts) => parts,
            _ => return read,
        };
        for part in &parts {
            match part["type"].as_str() {
                Some("thinking") => read.thinking += &texts(&part["thinking"]).concat(),
                Some("reasoning") => read.thinking += &texts(&part["summary"]).concat(),
                _ => read.text += part["text"].as_str().unwrap_or_default(),
            }
        }
        read
    }
}

#[derive(Debug, Default)]
pub(super) struct ToolCall {
    pub index: Option<u64>,
    pub id: Option<String>,
    pub kind: Option<String>,
    pub function: Function,
    /// All else, as it is written.
    pub further: Vec<(String, Box<RawValue>)>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Function {
    pub name: Option<String>,
    /// A text; some servers send the object itself.
    #[serde(default, deserialize_with = "text_or_json")]
    pub arguments: Option<String>,
}

/// `prompt_tokens` includes the tokens read from the cache and those written to it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub prompt_tokens_details: PromptDetails,
    /// Whether it counts what callers are not told by the known sums.
    pub says_more: bool,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PromptDetails {
    pub cached_tokens: u64,
    pub cache_write_tokens: u64,
    says_more: bool,
}

#[cfg(test)]
mod tests {
    use super::Answer;

    fn answer(chunk: &str) -> Answer<'_> {
        serde_json::from_str(chunk).expect("is read")
    }

    #[test]
    fn known_fields_are_passed_over_wherever_they_are() {
        let plain = answer(
            r#"{"id":"a","model":"m","choices":[{"index":0,"delta":{"content":[{"x":1}],"role":"assistant"},
                "logprobs":null,"finish_reason":null},{"delta":null}],"service_tier":null,"usage":null}"#,
        );
        assert!(plain.is_known && !plain.has_unknown_inside() && plain.unknown.is_empty());
        assert!(!answer(r#"{"type":"ping"}"#).is_known);
    }

    #[test]
    fn unknown_fields_are_found_wherever_they_are() {
        assert!(answer(r#"{"choices":[{"delta":{"annotations":[1]}}]}"#).has_unknown_inside());
        assert!(answer(r#"{"choices":[{"logprobs":{"content":[]}}]}"#).has_unknown_inside());
        let beside = answer(r#"{"choices":[],"t\u0069er":"default"}"#);
        let (name, value) = &beside.unknown[0];
        assert_eq!((&**name, value.get()), ("tier", r#""default""#));
    }
}
