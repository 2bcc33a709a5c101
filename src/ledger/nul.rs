//! PostgreSQL takes no NUL in a text.

use memchr::memmem;
use serde::Serialize;
use serde_json::Value;

/// Puts JSON behind some bytes. A NUL in a text, where it is written as an escape, becomes a replacement character.
pub(super) fn write_row(bytes: &mut Vec<u8>, row: &impl Serialize) {
    let start = bytes.len();
    serde_json::to_writer(&mut *bytes, row).expect("records are plain");
    if memmem::find(&bytes[start..], b"\\u0000").is_none() {
        return;
    }
    let mut value: Value = serde_json::from_slice(&bytes[start..]).expect("it was just written");
    remove_nul(&mut value);
    bytes.truncate(start);
    serde_json::to_writer(bytes, &value).expect("a value can be written");
}

fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

fn remove_nul(value: &mut Value) {
    match value {
        Value::String(text) => *text = without_nul(std::mem::take(text)),
        Value::Array(items) => items.iter_mut().for_each(remove_nul),
        Value::Object(map) if map.keys().any(|key| key.contains('\0')) => {
            let members = std::mem::take(map).into_iter();
            *map = members.map(|(key, value)| (without_nul(key), value)).collect();
            map.values_mut().for_each(remove_nul);
        }
        Value::Object(map) => map.values_mut().for_each(remove_nul),
        _ => {}
    }
}
