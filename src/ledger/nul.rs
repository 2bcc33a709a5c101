//! PostgreSQL takes no NUL in a text.

use serde_json::Value;

pub(super) fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// The same for a text that is JSON, where it is written as an escape.
pub(super) fn json_without_nul(json: String) -> String {
    if !json.contains("\\u0000") {
        return json;
    }
    let mut value: Value = serde_json::from_str(&json).unwrap_or_default();
    remove_nul(&mut value);
    value.to_string()
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
