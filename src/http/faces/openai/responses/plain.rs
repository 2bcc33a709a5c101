//! Which items of an input neutral words say all of. The others are kept as they are written, too.

use serde_json::{Map, Value};

use crate::chat::has_no_more_than;

type Fields = Map<String, Value>;

pub(super) fn is_plain_message(message: &Fields) -> bool {
    has_no_more_than(message, &["type", "role", "content", "status"])
        && is_whole(message)
        && message.get("content").is_none_or(is_plain_content)
}

pub(super) fn is_plain_call(call: &Fields) -> bool {
    call.get("type").is_some_and(|kind| kind == "function_call")
        && has_no_more_than(call, &["type", "call_id", "name", "arguments", "status"])
        && is_whole(call)
        && call.get("arguments").is_some_and(holds_object)
}

pub(super) fn is_plain_result(result: &Fields) -> bool {
    result.get("type").is_some_and(|kind| kind == "function_call_output")
        && has_no_more_than(result, &["type", "call_id", "output", "status"])
        && is_whole(result)
        && result.get("output").is_none_or(is_plain_content)
}

fn is_whole(item: &Fields) -> bool {
    item.get("status").is_none_or(|status| status.is_null() || status == "completed")
}

fn holds_object(arguments: &Value) -> bool {
    let read = arguments.as_str().map(serde_json::from_str::<Fields>);
    read.is_some_and(|read| read.is_ok())
}

fn is_plain_content(content: &Value) -> bool {
    match content {
        Value::Array(parts) => parts.iter().all(is_plain_part),
        other => other.is_string() || other.is_null(),
    }
}

fn is_plain_part(part: &Value) -> bool {
    let Some(fields) = part.as_object() else { return false };
    match part["type"].as_str() {
        Some("input_text" | "output_text" | "text") => has_no_more_than(fields, &["type", "text"]),
        Some("input_image") => {
            let is_usual = part["detail"].is_null() || part["detail"] == "auto";
            is_usual
                && part["image_url"].is_string()
                && has_no_more_than(fields, &["type", "image_url", "detail"])
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::{is_plain_call, is_plain_message, is_plain_result};

    fn fields(value: Value) -> Map<String, Value> {
        let Value::Object(fields) = value else { unreachable!("it is an object") };
        fields
    }

    fn is_plain(part: &Value) -> bool {
        is_plain_message(&fields(json!({"role": "user", "content": [part]})))
    }

    #[test]
    fn what_neutral_words_have_no_place_for_is_not_plain() {
        assert!(is_plain_message(&fields(json!({"role": "user", "content": "Hi"}))));
        assert!(is_plain(
            &json!({"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []})
        ));
        assert!(!is_plain(&json!({"type": "output_text", "text": "Hi", "annotations": [1]})));
        assert!(is_plain(
            &json!({"type": "input_image", "image_url": "https://x", "detail": "auto"})
        ));
        assert!(!is_plain(
            &json!({"type": "input_image", "image_url": "https://x", "detail": "low"})
        ));
        assert!(!is_plain(&json!({"type": "input_image", "file_id": "file-1"})));
        for part in [
            json!({"type": "input_file", "file_id": "file-1"}),
            json!({"type": "refusal", "refusal": "No"}),
        ] {
            assert!(!is_plain(&part));
        }
        for further in [
            json!({"id": "msg_1"}),
            json!({"phase": "commentary"}),
            json!({"status": "incomplete"}),
        ] {
            let mut message = fields(json!({"role": "assistant", "content": "Hi"}));
            message.extend(fields(further));
            assert!(!is_plain_message(&message));
        }
    }

    #[test]
    fn calls_and_results_are_plain_if_nothing_is_lost_of_them() {
        let call = |arguments: &str| {
            is_plain_call(&fields(
                json!({"type": "function_call", "call_id": "a", "name": "look", "arguments": arguments}),
            ))
        };
        assert!(call(r#"{"x": 1}"#));
        assert!(!call("x") && !call(""));
        let result = |kind: &str, output: Value| {
            is_plain_result(&fields(json!({"type": kind, "call_id": "a", "output": output})))
        };
        assert!(result("function_call_output", json!("on")));
        assert!(!result("function_call_output", json!([{"type": "input_file"}])));
        assert!(!result("custom_tool_call_output", json!("on")));
    }
}
