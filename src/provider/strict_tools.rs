//! Whether a model is held to the schema of a tool, where whoever offers it asks for that. Vendors refuse the whole request for
//! a schema that they cannot guarantee, and each can guarantee others: such a tool is offered as any other is. Pure.

use serde_json::{Map, Value};

use crate::chat::Tool;

/// Objects must be closed and require all that they have.
/// <https://platform.openai.com/docs/guides/function-calling#strict-mode>
pub(super) fn is_strict_for_openai(tool: &Tool) -> bool {
    tool.strict == Some(true) && holds(&tool.parameters, &is_closed_and_requires_all)
}

/// Objects must be closed, and numbers, texts and lists without bounds.
/// <https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations>
pub(super) fn is_strict_for_anthropic(tool: &Tool) -> bool {
    tool.strict == Some(true) && holds(&tool.parameters, &is_closed_and_unbounded)
}

const BOUNDS: &[&str] = &[
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "maxItems", "uniqueItems", "minProperties", "maxProperties",
];

/// Whether something holds of all objects in a schema.
fn holds(schema: &Value, condition: &impl Fn(&Map<String, Value>) -> bool) -> bool {
    match schema {
        Value::Object(fields) => {
            condition(fields) && fields.values().all(|inner| holds(inner, condition))
        }
        Value::Array(items) => items.iter().all(|inner| holds(inner, condition)),
        _ => true,
    }
}

fn is_closed(schema: &Map<String, Value>) -> bool {
    let is_of_objects = schema.get("type").is_some_and(|kind| kind == "object")
        || schema.get("properties").is_some_and(Value::is_object);
    !is_of_objects || schema.get("additionalProperties") == Some(&Value::Bool(false))
}

fn is_closed_and_requires_all(schema: &Map<String, Value>) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    let is_required =
        |name: &String| required.into_iter().flatten().any(|required| required == name);
    let properties = schema.get("properties").and_then(Value::as_object);
    is_closed(schema) && properties.into_iter().flatten().all(|(name, _)| is_required(name))
}

fn is_closed_and_unbounded(schema: &Map<String, Value>) -> bool {
    is_closed(schema) && !BOUNDS.iter().any(|bound| schema.contains_key(*bound))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{is_strict_for_anthropic, is_strict_for_openai};
    use crate::chat::Tool;

    /// Whether a model of OpenAI's and one of Anthropic's is held to it.
    fn strict_for(parameters: Value) -> [bool; 2] {
        let (name, description) = ("look".to_owned(), String::new());
        let tool = Tool { name, description, parameters, strict: Some(true), cache_control: None };
        for not_strict in [None, Some(false)] {
            let tool = Tool { strict: not_strict, ..tool.clone() };
            assert!(!is_strict_for_openai(&tool) && !is_strict_for_anthropic(&tool));
        }
        [is_strict_for_openai(&tool), is_strict_for_anthropic(&tool)]
    }

    #[test]
    fn each_vendor_holds_models_to_schemas_of_its_own() {
        let schema = |inner: Value, required: Value| {
            json!({
                "type": "object",
                "properties": {"a": {"type": "array", "items": inner}, "b": {"type": "string"}},
                "required": required,
                "additionalProperties": false,
            })
        };
        let closed =
            json!({"type": ["object", "null"], "properties": {}, "additionalProperties": false});
        assert_eq!(strict_for(schema(closed.clone(), json!(["a", "b"]))), [true, true]);
        assert_eq!(strict_for(schema(closed, json!(["a"]))), [false, true]);
        let bounded = json!({"type": "integer", "minimum": 1});
        assert_eq!(strict_for(schema(bounded, json!(["a", "b"]))), [true, false]);
        let open = json!({"type": "object"});
        assert_eq!(strict_for(schema(open.clone(), json!(["a", "b"]))), [false, false]);
        assert_eq!(strict_for(open), [false, false]);
    }
}
