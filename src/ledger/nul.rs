//! PostgreSQL takes no NUL in a text, nor in the JSON that it can look into: there is a replacement character instead.

use memchr::{memchr, memmem};
use serde::Serialize;
use serde_json::Value;

/// Most of it is no longer.
const USUAL_BYTES: usize = 1024;

/// Writes JSON that a record may hold.
///
/// # Panics
/// If it cannot be written: it has a map whose keys are no texts.
pub fn json_text(value: &impl Serialize) -> String {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    serde_json::to_writer(&mut bytes, value).expect("records are plain");
    let text = String::from_utf8(bytes).expect("JSON is UTF-8");
    if memmem::find(text.as_bytes(), b"\\u0000").is_none() {
        return text;
    }
    let mut value: Value = serde_json::from_str(&text).expect("it was just written");
    remove_nul(&mut value);
    value.to_string()
}

/// A text that a record may hold.
pub fn plain_text(text: String) -> String {
    if memchr(0, text.as_bytes()).is_some() { text.replace('\0', "\u{fffd}") } else { text }
}

fn remove_nul(value: &mut Value) {
    match value {
        Value::String(text) => *text = plain_text(std::mem::take(text)),
        Value::Array(items) => items.iter_mut().for_each(remove_nul),
        Value::Object(map) if map.keys().any(|key| key.contains('\0')) => {
            let members = std::mem::take(map).into_iter();
            *map = members.map(|(key, value)| (plain_text(key), value)).collect();
            map.values_mut().for_each(remove_nul);
        }
        Value::Object(map) => map.values_mut().for_each(remove_nul),
        _ => {}
    }
}
