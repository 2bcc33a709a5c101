//! The body of a request to a provider. What is built here stands in it beside what a caller has written, which goes on as
//! it came, without being read and written again. Pure.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memmem;
use serde::Serialize;
use serde_json::Value;

/// As long are most bodies without what callers have written.
const USUAL_BYTES: usize = 4096;

/// The fields of a body, in their order.
#[derive(Debug, Default)]
pub(super) struct RequestBody<'a>(Vec<(Cow<'a, str>, Words<'a>)>);

/// A part of a body.
#[derive(Debug)]
pub(super) enum Words<'a> {
    /// Built here.
    Encoded(Value),
    /// The caller's JSON, as it is written.
    Callers(&'a str),
    List(Vec<Self>),
}

impl<'a> RequestBody<'a> {
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(field, _)| field == name)
    }

    /// Sets a field, where it stands or behind the others.
    pub fn set(&mut self, name: impl Into<Cow<'a, str>>, words: impl Into<Words<'a>>) {
        let (name, words) = (name.into(), words.into());
        match self.0.iter_mut().find(|(field, _)| *field == name) {
            Some((_, present)) => *present = words,
            None => self.0.push((name, words)),
        }
    }

    /// Sets the fields that there is something for.
    pub fn set_some<const N: usize>(&mut self, fields: [(&'static str, Option<Value>); N]) {
        for (name, value) in fields {
            if let Some(value) = value {
                self.set(name, value);
            }
        }
    }

    /// The body as it is sent.
    pub fn to_bytes(&self) -> Bytes {
        let callers: usize = self.0.iter().map(|(_, words)| words.callers_length()).sum();
        let mut bytes = Vec::with_capacity(USUAL_BYTES + callers);
        bytes.push(b'{');
        for (place, (name, words)) in self.0.iter().enumerate() {
            if place > 0 {
                bytes.push(b',');
            }
            write_json(&mut bytes, name);
            bytes.push(b':');
            words.write(&mut bytes);
        }
        bytes.push(b'}');
        bytes.into()
    }
}

impl Words<'_> {
    fn callers_length(&self) -> usize {
        match self {
            Self::Encoded(_) => 0,
            Self::Callers(written) => written.len(),
            Self::List(items) => items.iter().map(Self::callers_length).sum(),
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Encoded(value) => write_json(bytes, value),
            Self::Callers(written) => bytes.extend_from_slice(written.as_bytes()),
            Self::List(items) => {
                bytes.push(b'[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        bytes.push(b',');
                    }
                    item.write(bytes);
                }
                bytes.push(b']');
            }
        }
    }
}

fn write_json(bytes: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(bytes, value).expect("a value can be written");
}

impl From<Value> for Words<'_> {
    fn from(value: Value) -> Self {
        Self::Encoded(value)
    }
}

impl<'a> From<&'a str> for Words<'a> {
    fn from(written: &'a str) -> Self {
        Self::Callers(written)
    }
}

impl<'a> FromIterator<Words<'a>> for Words<'a> {
    fn from_iter<I: IntoIterator<Item = Words<'a>>>(items: I) -> Self {
        Self::List(items.into_iter().collect())
    }
}

/// What is written, if it may hold a certain text as a name or a value: what does not need not be read.
pub(super) fn read_if_it_says(written: &str, text: &str) -> Option<Value> {
    let quoted = format!("\"{text}\"");
    memmem::find(written.as_bytes(), quoted.as_bytes())?;
    serde_json::from_str(written).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{RequestBody, Words, read_if_it_says};

    #[test]
    fn what_a_caller_has_written_goes_on_as_it_came() {
        let written = r#"{ "a":1.50,  "b":"\u00e9" }"#;
        let mut body = RequestBody::default();
        body.set("model", json!("m"));
        let messages = [json!(1).into(), written.into()];
        body.set("messages", messages.into_iter().collect::<Words<'_>>());
        body.set("model", json!("n"));
        let sent = r#"{"model":"n","messages":[1,{ "a":1.50,  "b":"\u00e9" }]}"#;
        assert_eq!(body.to_bytes(), sent);
    }

    #[test]
    fn what_does_not_say_it_is_not_read() {
        let written = r#"{"role":"user"}"#;
        assert_eq!(read_if_it_says(written, "user"), Some(json!({"role": "user"})));
        assert_eq!(read_if_it_says(written, "use"), None);
    }
}
