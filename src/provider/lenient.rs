//! Readers of fields that compatible servers leave out, null, or write in another shape than the protocol's.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// For `deserialize_with`, beside `default`: null is what a missing field is.
pub(super) fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// For `deserialize_with`, beside `default`: what is no text is an empty one.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        _ => String::new(),
    })
}

/// For `deserialize_with`, beside `default`: a text, or JSON that should have been written as one and stays as it is.
pub(super) fn text_or_json<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let Some(written) = Option::<Box<RawValue>>::deserialize(deserializer)? else {
        return Ok(None);
    };
    if written.get().starts_with('"') {
        return serde_json::from_str(written.get()).map(Some).map_err(D::Error::custom);
    }
    Ok(Some(Box::<str>::from(written).into_string()))
}

/// The texts of a content: it is one text, or a list of parts that have texts.
pub(super) fn texts(content: &Value) -> Vec<&str> {
    match content {
        Value::String(text) => vec![text],
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => Vec::new(),
    }
}
