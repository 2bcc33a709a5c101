//! Calls that only the Responses API has words for: of tools that take a text, of a computer, of a shell.

use serde_json::{Map, Value};

use crate::chat::ToolCall;

/// Fields of an item that are no arguments.
const NO_ARGUMENTS: &[&str] = &["type", "id", "call_id", "name", "namespace", "status"];

/// What the items of results are called.
const RESULT: &str = "_output";

/// The result that has the call's id for its own.
const RESULT_OF_LOCAL_SHELL: &str = "local_shell_call_output";

/// The call that an item is, in neutral words.
pub fn foreign_call(item: &Map<String, Value>) -> Option<ToolCall> {
    let field = |name: &str| item.get(name).and_then(Value::as_str).filter(|it| !it.is_empty());
    let kind = field("type").filter(|kind| !kind.ends_with(RESULT))?;
    let arguments = item.iter().filter(|(name, _)| !NO_ARGUMENTS.contains(&name.as_str()));
    let arguments: Value = arguments.map(|(name, value)| (name.clone(), value.clone())).collect();
    Some(ToolCall::new(field("call_id")?, field("name").unwrap_or(kind), arguments))
}

/// The id of the call whose result an item is.
pub fn foreign_result(item: &Map<String, Value>) -> Option<&str> {
    let field = |name: &str| item.get(name).and_then(Value::as_str);
    let kind = field("type").filter(|kind| kind.ends_with(RESULT))?;
    let own_id = || field("id").filter(|_| kind == RESULT_OF_LOCAL_SHELL);
    field("call_id").or_else(own_id).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::{foreign_call, foreign_result};

    fn item(value: Value) -> Map<String, Value> {
        let Value::Object(item) = value else { unreachable!("it is an object") };
        item
    }

    #[test]
    fn calls_and_their_results_are_known_by_their_ids() {
        let call = |value| {
            foreign_call(&item(value)).map(|call| (call.id, call.name, call.arguments.to_value()))
        };
        let custom = json!({"type": "custom_tool_call", "id": "ctc_1", "call_id": "a", "name": "patch",
            "status": "completed", "input": "*** x"});
        assert_eq!(call(custom), Some(("a".into(), "patch".into(), json!({"input": "*** x"}))));
        let click = json!({"type": "computer_call", "call_id": "b", "action": {"type": "click"}});
        let arguments = json!({"action": {"type": "click"}});
        assert_eq!(call(click), Some(("b".into(), "computer_call".into(), arguments)));
        assert_eq!(call(json!({"type": "web_search_call", "id": "ws_1"})), None);
        let result = json!({"type": "computer_call_output", "call_id": "b", "output": {}});
        assert_eq!(call(result.clone()), None);
        assert_eq!(foreign_result(&item(result)), Some("b"));
        let local = json!({"type": "local_shell_call_output", "id": "c", "output": "x"});
        assert_eq!(foreign_result(&item(local)), Some("c"));
        let of_provider = json!({"type": "tool_search_output", "id": "d", "call_id": null});
        assert_eq!(foreign_result(&item(of_provider)), None);
    }
}
