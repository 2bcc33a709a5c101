//! Items of an answer that say more in the protocol's words than in neutral ones, as they go back when the model is asked
//! again.

use serde_json::{Map, Value};

use super::foreign_call::{foreign_call, foreign_result};
use crate::chat::{ChatEvent, ForeignItem, Part, Protocol, has_no_more_than};

/// An item that is whole, in its own words; `None` if `text`, or what is read of it elsewhere, says all of it.
pub(super) fn of_item(written: &str, text: String, is_behind_another: bool) -> Option<ChatEvent> {
    let item: Map<String, Value> = serde_json::from_str(written).ok()?;
    let meaning = match item.get("type")?.as_str()? {
        "" | "reasoning" | "function_call" => return None,
        "message" if is_plain(&item) && (text.is_empty() || !is_behind_another) => return None,
        "message" if !text.is_empty() => vec![Part::text(text)],
        _ => Vec::new(),
    };
    let call = foreign_call(&item);
    let call_id = call.as_ref().map(|call| &*call.id).or_else(|| foreign_result(&item));
    let call_id = call_id.map(str::to_owned);
    let (protocol, item) = (Protocol::Responses, written.to_owned());
    Some(ChatEvent::ForeignItem(ForeignItem { protocol, item, call_id, meaning }, call))
}

/// Whether a message is no more than one text.
fn is_plain(message: &Map<String, Value>) -> bool {
    let is_known = has_no_more_than(message, &["type", "id", "role", "status", "content"]);
    let parts = message.get("content").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let is_text = |part: &Value| {
        let fields = part.as_object().filter(|_| part["type"] == "output_text");
        fields.is_some_and(|fields| has_no_more_than(fields, &["type", "text"]))
    };
    is_known && parts.len() <= 1 && parts.iter().all(is_text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::of_item;

    fn message(part: &Value) -> String {
        json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]})
            .to_string()
    }

    #[test]
    fn what_a_text_says_needs_no_other_words() {
        let plain = message(
            &json!({"type": "output_text", "text": "Hi", "annotations": [], "logprobs": null}),
        );
        assert!(of_item(&plain, "Hi".into(), false).is_none());
        assert!(of_item(&plain, "Hi".into(), true).is_some());
        let citing =
            json!({"type": "output_text", "text": "Hi", "annotations": [{"type": "url_citation"}]});
        for odd in
            [citing, json!({"type": "refusal", "refusal": "Hi"}), json!({"type": "of_the_future"})]
        {
            assert!(of_item(&message(&odd), "Hi".into(), false).is_some());
        }
        assert!(of_item(r#"{"type": "reasoning", "summary": []}"#, String::new(), false).is_none());
        assert!(of_item(r#"{"type": "web_search_call"}"#, String::new(), false).is_some());
    }
}
