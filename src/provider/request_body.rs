//! The body of a request to a provider. What is built here stands in it beside what a caller or a model has written, which
//! goes on as it came, without being read and written again. Pure.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memmem;
use serde::Serialize;
use serde_json::Value;

use crate::chat::FurtherFields;

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
    /// JSON as it is written: the caller's, or what a model has called a tool with.
    Written(&'a str),
    List(Vec<Self>),
    Object(RequestBody<'a>),
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

    /// The same with what goes back of a call as it was said.
    pub fn with_further(mut self, further: Option<&'a FurtherFields>) -> Self {
        for (name, written) in further.into_iter().flatten() {
            self.set(name.as_str(), written.as_str());
        }
        self
    }

    /// The body as it is sent.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(USUAL_BYTES + self.written_length());
        self.write(&mut bytes);
        bytes.into()
    }

    fn written_length(&self) -> usize {
        self.0.iter().map(|(_, words)| words.written_length()).sum()
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(b'{');
        for (place, (name, words)) in self.0.iter().enumerate() {
            if place > 0 {
                bytes.push(b',');
            }
            write_json(bytes, name);
            bytes.push(b':');
            words.write(bytes);
        }
        bytes.push(b'}');
    }
}

impl Words<'_> {
    /// What is built here, if it is.
    pub fn as_encoded_mut(&mut self) -> Option<&mut Value> {
        match self {
            Self::Encoded(value) => Some(value),
            Self::Written(_) | Self::List(_) | Self::Object(_) => None,
        }
    }

    fn written_length(&self) -> usize {
        match self {
            Self::Encoded(_) => 0,
            Self::Written(written) => written.len(),
            Self::List(items) => items.iter().map(Self::written_length).sum(),
            Self::Object(fields) => fields.written_length(),
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Encoded(value) => write_json(bytes, value),
            Self::Written(written) => bytes.extend_from_slice(written.as_bytes()),
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
            Self::Object(fields) => fields.write(bytes),
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
        Self::Written(written)
    }
}

impl<'a, const N: usize> From<[(&'static str, Words<'a>); N]> for RequestBody<'a> {
    fn from(fields: [(&'static str, Words<'a>); N]) -> Self {
        Self(fields.map(|(name, words)| (Cow::Borrowed(name), words)).into())
    }
}

impl<'a> From<RequestBody<'a>> for Words<'a> {
    fn from(fields: RequestBody<'a>) -> Self {
        Self::Object(fields)
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
        let nested = RequestBody::from([("of", written.into()), ("n", json!(2).into())]);
        let messages = [json!(1).into(), written.into(), nested.into()];
        body.set("messages", messages.into_iter().collect::<Words<'_>>());
        body.set("model", json!("n"));
        let sent = format!(r#"{{"model":"n","messages":[1,{written},{{"of":{written},"n":2}}]}}"#);
        assert_eq!(body.to_bytes(), sent);
    }

    #[test]
    fn what_does_not_say_it_is_not_read() {
        let written = r#"{"role":"user"}"#;
        assert_eq!(read_if_it_says(written, "user"), Some(json!({"role": "user"})));
        assert_eq!(read_if_it_says(written, "use"), None);
    }
}
