//! The input of a response, in neutral words.

use serde_json::{Map, Value, json};

use super::item_id::ItemId;
use crate::chat::{Message, Part, Role, SealedThought, ToolCall, WrittenJson};
use crate::http::error::ApiError;
use crate::http::faces::openai::content::{read_arguments, read_image, unknown_part};

/// What the input says.
#[derive(Debug, Default)]
pub(super) struct ReadInput {
    /// The caller's instructions among the items.
    pub instructions: Vec<String>,
    pub messages: Vec<Message>,
}

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

pub(super) fn read_all(items: &[Value]) -> Result<ReadInput, ApiError> {
    let mut read = ReadInput::default();
    for (index, item) in items.iter().enumerate() {
        read.add(item).map_err(|error| error.within(&format!("/input/{index}")))?;
    }
    // Thinking that nothing followed.
    read.messages.retain(|message| {
        let has_said = message.content.iter().any(|part| !matches!(part, Part::Thought(_)));
        message.role != Role::Assistant || has_said || !message.tool_calls.is_empty()
    });
    Ok(read)
}

impl ReadInput {
    fn add(&mut self, item: &Value) -> Result<(), ApiError> {
        let fields = item
            .as_object()
            .ok_or_else(|| ApiError::invalid_field("", "an item must be an object"))?;
        // A message need not say that it is one.
        match fields.get("type").and_then(Value::as_str).unwrap_or("message") {
            "message" => self.add_message(fields)?,
            "function_call" => {
                let arguments = fields.get("arguments").cloned().unwrap_or_default();
                self.add_call(fields, read_arguments(arguments))?;
            }
            "custom_tool_call" => {
                let input = json!({"input": fields.get("input")});
                self.add_call(fields, input)?;
            }
            "function_call_output" | "custom_tool_call_output" => {
                let content = read_content(fields.get("output"), "output")?;
                let id = text(fields, "call_id")?.to_owned();
                self.messages.push(Message::tool_result(id, content, false));
            }
            "reasoning" => {
                let code = fields.get("encrypted_content").and_then(Value::as_str);
                let thought = code.and_then(SealedThought::open_envelope);
                self.answer().content.extend(thought.map(Part::Thought));
            }
            // What only the protocol knows: see `Inbound`.
            _ => {}
        }
        Ok(())
    }

    fn add_message(&mut self, fields: &Map<String, Value>) -> Result<(), ApiError> {
        let content = read_content(fields.get("content"), "content")?;
        match text(fields, "role")? {
            "system" | "developer" => {
                let texts = content.iter().filter_map(Part::as_text).map(str::to_owned);
                self.instructions.extend(texts);
            }
            "user" => self.messages.push(Message { content, ..Message::user("") }),
            "assistant" if content.iter().any(|part| part.as_image().is_some()) => {
                let detail = "an assistant message holds no image";
                return Err(ApiError::invalid_field("/content", detail));
            }
            "assistant" => self.answer().content.extend(content),
            _ => {
                let detail = "must be `system`, `developer`, `user` or `assistant`";
                return Err(ApiError::invalid_field("/role", detail));
            }
        }
        Ok(())
    }

    fn add_call(
        &mut self,
        fields: &Map<String, Value>,
        arguments: impl Into<WrittenJson>,
    ) -> Result<(), ApiError> {
        let (id, name) = (text(fields, "call_id")?, text(fields, "name")?);
        self.answer().tool_calls.push(ToolCall::new(id, name, arguments));
        Ok(())
    }

    /// The answer that an item is a part of: thinking, words and calls that follow each other are one message.
    fn answer(&mut self) -> &mut Message {
        let is_under_way = self.messages.last().is_some_and(|last| last.role == Role::Assistant);
        if !is_under_way {
            self.messages.push(Message::assistant(Vec::new(), Vec::new()));
        }
        let end = self.messages.len() - 1;
        &mut self.messages[end]
    }
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, ApiError> {
    let value = fields.get(name).and_then(Value::as_str);
    value.ok_or_else(|| ApiError::invalid_field(format!("/{name}"), "is missing, or is no text"))
}

fn read_content(content: Option<&Value>, name: &str) -> Result<Vec<Part>, ApiError> {
    match content {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::text(text)]),
        Some(Value::Array(parts)) => {
            let read = |(index, part): (usize, &Value)| {
                read_part(part).map_err(|error| error.within(&format!("/{name}/{index}")))
            };
            parts.iter().enumerate().map(read).collect()
        }
        Some(_) => {
            let detail = "must be a text or a list of parts";
            Err(ApiError::invalid_field(format!("/{name}"), detail))
        }
    }
}

fn read_part(part: &Value) -> Result<Part, ApiError> {
    let missing = |field: &str| ApiError::invalid_field(format!("/{field}"), "is missing");
    let kind = part["type"].as_str().ok_or_else(|| missing("type"))?;
    let text = |field: &str| part[field].as_str().ok_or_else(|| missing(field)).map(Part::text);
    match kind {
        "input_text" | "output_text" | "text" | "summary_text" => text("text"),
        "refusal" => text("refusal"),
        "input_image" if part["file_id"].is_string() => Ok(unknown_part(kind)),
        "input_image" => {
            // Some clients write the object of Chat Completions.
            let url = part["image_url"].as_str().or_else(|| part["image_url"]["url"].as_str());
            read_image(url.ok_or_else(|| missing("image_url"))?, "/image_url")
        }
        other => Ok(unknown_part(other)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::item_id::{ItemId, ItemKind};
    use super::{as_items, read_all, remove_own_ids};
    use crate::chat::{Part, Role, SealedThought};

    #[test]
    fn items_of_one_answer_are_one_message() {
        let thought = SealedThought { model: "a/m".into(), block: json!({"type": "thinking"}) };
        let items = [
            json!({"role": "developer", "content": "Be brief."}),
            json!({"role": "user", "content": [{"type": "input_text", "text": "Two lights?"}]}),
            json!({"type": "reasoning", "summary": [], "encrypted_content": thought.to_envelope()}),
            json!({"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
                   "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}]}),
            json!({"type": "function_call", "call_id": "1", "name": "look", "arguments": "{\"n\":1}"}),
            json!({"type": "function_call", "call_id": "2", "name": "look", "arguments": ""}),
            json!({"type": "function_call_output", "call_id": "1", "output": "on"}),
            json!({"type": "function_call_output", "call_id": "2",
                   "output": [{"type": "input_text", "text": "off"}]}),
            json!({"type": "web_search_call", "id": "ws_1", "status": "completed"}),
        ];
        let read = read_all(&items).expect("is understood");
        assert_eq!(read.instructions, ["Be brief."]);
        let roles: Vec<Role> = read.messages.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::User, Role::Assistant, Role::Tool, Role::Tool]);
        let answer = &read.messages[1];
        assert_eq!(answer.content, [Part::Thought(thought), Part::text("Let me see.")]);
        assert_eq!(answer.tool_calls[0].arguments.as_str(), "{\"n\":1}");
        assert_eq!(answer.tool_calls[1].arguments.as_str(), "{}");
        assert_eq!(read.messages[3].text(), "off");
    }

    #[test]
    fn a_thought_that_nothing_followed_is_no_message() {
        let items = [json!({"type": "reasoning", "summary": []}), json!({"role": "user"})];
        let read = read_all(&items).expect("is understood");
        assert_eq!(read.messages.len(), 1);
    }

    #[test]
    fn a_bad_item_is_named() {
        for (item, field) in [
            (json!("hello"), "/input/0"),
            (json!({"role": "robot", "content": "hi"}), "/input/0/role"),
            (json!({"type": "function_call", "name": "look"}), "/input/0/call_id"),
            (json!({"role": "user", "content": [{"text": "hi"}]}), "/input/0/content/0/type"),
        ] {
            let error = read_all(&[item]).expect_err("is not understood");
            assert_eq!(error.field(), Some(field));
        }
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
