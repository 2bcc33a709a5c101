//! One tool of a server, and whether arguments suit it.

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::wire_name::wire_name;

/// A longer description is cut: every request to a model carries it.
const DESCRIPTION_CHARS: usize = 16_000;

/// How many mistakes a model is told at once, and how long each may be.
const SHOWN_MISTAKES: usize = 5;
const MISTAKE_CHARS: usize = 300;

/// A tool that a server has, as of the moment it was offered.
#[derive(Debug)]
pub struct ServerTool {
    /// What models call it: `mcp__<server>__<tool>`, of letters, digits, `_` and `-`, at most 64 of them.
    pub name: String,
    pub server: String,
    /// What the server calls it.
    pub tool: String,
    pub description: String,
    /// JSON Schema of the arguments: an object with `"type": "object"` and `properties`.
    pub parameters: Value,
    /// `None` if the schema is none: the server checks the arguments itself.
    validator: Option<Validator>,
}

impl ServerTool {
    pub(crate) fn new(
        server: &str,
        tool: &str,
        description: &str,
        schema: Map<String, Value>,
    ) -> Self {
        let parameters = parameters_of(schema);
        // References to other documents are not followed: the library is built without the means.
        let validator = jsonschema::validator_for(&parameters)
            .inspect_err(|error| {
                tracing::debug!(server.name = server, tool.name = tool, %error, "not a schema");
            })
            .ok();
        Self {
            name: wire_name(server, tool),
            server: server.to_owned(),
            tool: tool.to_owned(),
            description: shortened(description),
            parameters,
            validator,
        }
    }

    /// Whether it is what a server lists now.
    pub(super) fn is_as(&self, tool: &str, description: &str, schema: &Map<String, Value>) -> bool {
        self.tool == tool
            && self.description == shortened(description)
            && self.parameters == parameters_of(schema.clone())
    }

    /// The arguments as they are sent, or what is wrong with them in words for the model. Models write `null` for what they
    /// leave out: where the schema takes none, it is left out.
    pub(super) fn accept(&self, arguments: &Value) -> Result<Map<String, Value>, String> {
        let object = arguments.as_object().cloned().unwrap_or_default();
        let Err(mistakes) = self.check(arguments) else { return Ok(object) };
        let mut filled = object;
        filled.retain(|_, value| !value.is_null());
        let filled = Value::Object(filled);
        match self.check(&filled) {
            Ok(()) if arguments.is_object() => Ok(filled.as_object().cloned().unwrap_or_default()),
            _ => Err(mistakes),
        }
    }

    fn check(&self, arguments: &Value) -> Result<(), String> {
        let Some(validator) = &self.validator else { return Ok(()) };
        let mistakes: Vec<String> = validator
            .iter_errors(arguments)
            .take(SHOWN_MISTAKES)
            .map(|mistake| {
                let place = mistake.instance_path().to_string();
                let text: String = mistake.to_string().chars().take(MISTAKE_CHARS).collect();
                if place.is_empty() { text } else { format!("{place}: {text}") }
            })
            .collect();
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes.join("\n")) }
    }
}

/// Some providers ask for both.
fn parameters_of(mut schema: Map<String, Value>) -> Value {
    schema.entry("type").or_insert_with(|| json!("object"));
    schema.entry("properties").or_insert_with(|| json!({}));
    Value::Object(schema)
}

fn shortened(description: &str) -> String {
    description.chars().take(DESCRIPTION_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::ServerTool;

    fn tool(schema: &Value) -> ServerTool {
        ServerTool::new("s", "t", "", schema.as_object().expect("is an object").clone())
    }

    #[test]
    fn arguments_are_checked_against_the_schema() {
        let schema = json!({"type": "object", "required": ["query"], "properties": {"query": {"type": "string"}}});
        let tool = tool(&schema);
        assert_eq!(tool.check(&json!({"query": "x"})), Ok(()));
        let missing = tool.check(&json!({})).expect_err("is refused");
        assert!(missing.contains("query") && missing.contains("required"), "{missing}");
        let wrong = tool.check(&json!({"query": 3})).expect_err("is refused");
        assert!(wrong.starts_with("/query: "), "{wrong}");
    }

    #[test]
    fn null_is_nothing_where_the_schema_takes_none() {
        let schema = json!({"required": ["a"], "properties": {
            "a": {"type": "string"}, "b": {"type": "string"}, "c": {"type": ["string", "null"]}}});
        let accept = |arguments| tool(&schema).accept(&arguments).map(Value::Object);
        assert_eq!(accept(json!({"a": "x", "b": null})), Ok(json!({"a": "x"})));
        assert_eq!(accept(json!({"a": "x", "c": null})), Ok(json!({"a": "x", "c": null})));
        assert!(accept(json!({"a": null})).is_err() && accept(json!("x")).is_err());
    }

    #[test]
    fn what_is_no_schema_checks_nothing_and_nothing_is_fetched() {
        for schema in [
            json!({"type": 3}),
            json!({"properties": {"a": {"$ref": "http://127.0.0.1:9/schema.json"}}}),
            json!({"properties": {"a": {"$ref": "file:///etc/passwd"}}}),
        ] {
            assert_eq!(tool(&schema).check(&json!({"a": 1})), Ok(()), "{schema}");
        }
        assert_eq!(tool(&json!({})).parameters, json!({"type": "object", "properties": {}}));
    }
}
