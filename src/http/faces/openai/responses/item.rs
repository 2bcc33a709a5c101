//! The items of a response's input, before they are read.

use serde_json::{Value, json};

use super::item_id::ItemId;
use crate::http::error::ApiError;

/// The items of an input; a text is a message of the user.
pub(super) fn as_items(input: Option<Value>) -> Result<Vec<Value>, ApiError> {
    match input {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![json!({"role": "user", "content": text})]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(ApiError::invalid_field("/input", "must be a text or a list of items")),
    }
}

/// Takes out of items what only the service itself understands: ids that it has given. Providers look them up. False if
/// there is none.
pub(super) fn remove_own_ids(items: &mut [Value]) -> bool {
    let mut is_any_removed = false;
    for item in items.iter_mut().filter_map(Value::as_object_mut) {
        let id = item.get("id").and_then(Value::as_str);
        if id.is_some_and(|id| ItemId::read(id).is_some()) {
            item.remove("id");
            is_any_removed = true;
        }
    }
    is_any_removed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::item_id::{ItemId, ItemKind};
    use super::{as_items, remove_own_ids};

    #[test]
    fn an_input_is_a_text_or_a_list() {
        assert!(as_items(Some(json!("Hello"))).is_ok_and(|items| items.len() == 1));
        assert!(as_items(Some(json!(7))).is_err());
    }

    #[test]
    fn ids_that_the_service_has_given_are_taken_out() {
        let id = ItemId { kind: ItemKind::Message, run_id: uuid::Uuid::nil(), place: 0 };
        let own = id.to_string();
        let mut items = [json!({"id": own, "type": "message"}), json!({"id": "rs_68a"})];
        assert!(remove_own_ids(&mut items));
        assert!(!remove_own_ids(&mut items));
        assert_eq!(items, [json!({"type": "message"}), json!({"id": "rs_68a"})]);
    }
}
