//! The input of a response, in neutral words. What they do not say all of is kept as it is written beside them.

use serde_json::{Map, Value};

use super::content::{read_content, text};
use super::plain::{is_plain_call, is_plain_message, is_plain_result};
use crate::chat::{ForeignItem, Message, Part, Protocol, Role, SealedThought, ToolCall};
use crate::http::error::ApiError;
use crate::http::faces::openai::content::{read_arguments, unknown_item};
use crate::provider::{foreign_call, foreign_result};

/// What the input says so far.
#[derive(Debug, Default)]
struct ReadInput {
    messages: Vec<Message>,
    /// What belongs to the message behind it.
    waiting: Vec<Part>,
}

/// An item as it is written, and as it is read.
#[derive(Clone, Copy)]
struct Item<'a> {
    fields: &'a Map<String, Value>,
    written: &'a str,
}

impl Item<'_> {
    fn kind(&self) -> &str {
        // A message need not say that it is one.
        self.fields.get("type").and_then(Value::as_str).unwrap_or("message")
    }

    fn foreign(&self, call_id: Option<&str>, meaning: Vec<Part>) -> Part {
        Part::Foreign(ForeignItem {
            protocol: Protocol::Responses,
            item: self.written.to_owned(),
            call_id: call_id.map(str::to_owned),
            meaning,
        })
    }
}

/// Reads items, each of which is there as it is written, too.
pub(super) fn read_all(items: &[Value], written: &[&str]) -> Result<Vec<Message>, ApiError> {
    let mut read = ReadInput::default();
    for (index, (item, written)) in items.iter().zip(written).enumerate() {
        read.add(item, written).map_err(|error| error.within(&format!("/input/{index}")))?;
    }
    Ok(read.finish())
}

impl ReadInput {
    fn add(&mut self, item: &Value, written: &str) -> Result<(), ApiError> {
        let fields = item
            .as_object()
            .ok_or_else(|| ApiError::invalid_field("", "an item must be an object"))?;
        let item = Item { fields, written };
        match item.kind() {
            "message" => self.add_message(item)?,
            "function_call" => {
                let (id, name) = (text(fields, "call_id")?, text(fields, "name")?);
                let arguments =
                    read_arguments(fields.get("arguments").cloned().unwrap_or_default());
                let call = ToolCall::new(id, name, arguments);
                self.add_call(item, call, is_plain_call(fields));
            }
            "custom_tool_call" => {
                text(fields, "call_id")?;
                text(fields, "name")?;
                self.add_foreign(item);
            }
            "function_call_output" | "custom_tool_call_output" => {
                let content = read_content(fields.get("output"), "output")?;
                let id = text(fields, "call_id")?;
                self.add_result(item, id, content);
            }
            "reasoning" => {
                if let Some(thought) = read_thought(fields) {
                    self.answer().content.push(Part::Thought(thought));
                }
            }
            _ => self.add_foreign(item),
        }
        Ok(())
    }

    fn add_message(&mut self, item: Item<'_>) -> Result<(), ApiError> {
        let content = read_content(item.fields.get("content"), "content")?;
        match text(item.fields, "role")? {
            "system" | "developer" => {
                let texts = content.iter().filter_map(Part::as_text).map(str::to_owned);
                let told = texts.map(|text| Part::Instructions { text }).collect();
                self.waiting.push(item.foreign(None, told));
            }
            "user" => {
                let content = content_of(item, content, is_plain_message(item.fields));
                self.add_to_messages(Message { content, ..Message::user("") });
            }
            "assistant" if content.iter().any(|part| part.as_image().is_some()) => {
                let detail = "an assistant message holds no image";
                return Err(ApiError::invalid_field("/content", detail));
            }
            "assistant" => {
                let answer = self.answer();
                // Two in a row would be taken for one.
                let is_behind_another = matches!(answer.content.last(), Some(Part::Text { .. }));
                let is_plain = is_plain_message(item.fields) && !is_behind_another;
                answer.content.extend(content_of(item, content, is_plain));
            }
            _ => {
                let detail = "must be `system`, `developer`, `user` or `assistant`";
                return Err(ApiError::invalid_field("/role", detail));
            }
        }
        Ok(())
    }

    fn add_call(&mut self, item: Item<'_>, call: ToolCall, is_plain: bool) {
        let own_words = (!is_plain).then(|| item.foreign(Some(&call.id), Vec::new()));
        let answer = self.answer();
        answer.content.extend(own_words);
        answer.tool_calls.push(call);
    }

    fn add_result(&mut self, item: Item<'_>, id: &str, content: Vec<Part>) {
        let is_plain = is_plain_result(item.fields);
        let content = if is_plain { content } else { vec![item.foreign(Some(id), content)] };
        self.add_to_messages(Message::tool_result(id.to_owned(), content, false));
    }

    /// Adds what only the protocol knows: a call, a result, or what stands beside what others say.
    fn add_foreign(&mut self, item: Item<'_>) {
        if let Some(id) = foreign_result(item.fields) {
            let content = read_content(item.fields.get("output"), "output").ok();
            let content = content.unwrap_or_else(|| vec![unknown_item(item.kind())]);
            self.add_result(item, id, content);
        } else if let Some(call) = foreign_call(item.fields) {
            self.add_call(item, call, false);
        } else if self.is_answer_under_way() {
            self.answer().content.push(item.foreign(None, Vec::new()));
        } else {
            self.waiting.push(item.foreign(None, Vec::new()));
        }
    }

    fn add_to_messages(&mut self, mut message: Message) {
        message.content.splice(..0, self.waiting.drain(..));
        self.messages.push(message);
    }

    fn is_answer_under_way(&self) -> bool {
        self.messages.last().is_some_and(|last| last.role == Role::Assistant)
    }

    /// The answer that an item is a part of: thinking, words and calls that follow each other are one message.
    fn answer(&mut self) -> &mut Message {
        if !self.is_answer_under_way() {
            self.messages.push(Message::assistant(Vec::new(), Vec::new()));
        }
        let end = self.messages.len() - 1;
        self.messages[end].content.append(&mut self.waiting);
        &mut self.messages[end]
    }

    fn finish(mut self) -> Vec<Message> {
        // Thinking that nothing followed.
        self.messages.retain(|message| {
            let has_said = message.content.iter().any(|part| !matches!(part, Part::Thought(_)));
            message.role != Role::Assistant || has_said || !message.tool_calls.is_empty()
        });
        if let Some(last) = self.messages.last_mut() {
            last.content.append(&mut self.waiting);
        } else if self.waiting.iter().any(|part| part.meaning().is_empty()) {
            // Such as the answer to what a provider's own tool has asked.
            self.waiting.iter_mut().for_each(explain);
            self.add_to_messages(Message { content: Vec::new(), ..Message::user("") });
        }
        self.messages
    }
}

/// Gives an item that is all that is said a meaning.
fn explain(part: &mut Part) {
    if let Part::Foreign(ForeignItem { item, meaning, .. }) = part
        && meaning.is_empty()
    {
        let item: Value = serde_json::from_str(item).unwrap_or_default();
        meaning.push(unknown_item(item["type"].as_str().unwrap_or_default()));
    }
}

fn content_of(item: Item<'_>, content: Vec<Part>, is_plain: bool) -> Vec<Part> {
    if is_plain { content } else { vec![item.foreign(None, content)] }
}

/// Thinking that somebody could read. What a provider of the protocol has encrypted is for the model that is asked now.
fn read_thought(fields: &Map<String, Value>) -> Option<SealedThought> {
    let code = fields.get("encrypted_content").and_then(Value::as_str)?;
    let of_answer = || SealedThought::of_answer(Value::Object(fields.clone()));
    (!code.is_empty()).then(|| SealedThought::open_envelope(code).unwrap_or_else(of_answer))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::chat::{Message, Part, Role, SealedThought};
    use crate::http::error::ApiError;

    fn read_all(items: &[Value]) -> Result<Vec<Message>, ApiError> {
        let written: Vec<String> = items.iter().map(Value::to_string).collect();
        super::read_all(items, &written.iter().map(String::as_str).collect::<Vec<_>>())
    }

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
        let roles: Vec<Role> = read.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::User, Role::Assistant, Role::Tool, Role::Tool]);
        let told: Vec<&Part> = read[0].parts().collect();
        let instructions = Part::Instructions { text: "Be brief.".into() };
        assert_eq!(told, [&instructions, &Part::text("Two lights?")]);
        let said: Vec<&Part> = read[1].parts().collect();
        assert_eq!(said, [&Part::Thought(thought), &Part::text("Let me see.")]);
        assert_eq!(read[1].tool_calls[0].arguments.to_value(), json!({"n": 1}));
        assert_eq!(read[1].tool_calls[1].arguments.to_value(), json!({}));
        assert_eq!(read[3].text(), "off");
        assert_eq!(written(&read[..1]), [items[0].clone()]);
        // An id, and arguments that are none; the others say no more than neutral words do.
        assert_eq!(written(&read[1..]), [3, 5, 8].map(|place| items[place].clone()));
    }

    /// The items that are kept as they were written.
    fn written(messages: &[Message]) -> Vec<Value> {
        let parts = messages.iter().flat_map(|message| &message.content);
        let foreign = parts.filter_map(|part| match part {
            Part::Foreign(item) => serde_json::from_str(&item.item).ok(),
            _ => None,
        });
        foreign.collect()
    }

    #[test]
    fn what_only_the_protocol_knows_stands_where_it_stood() {
        let searched = json!({"type": "web_search_call", "id": "ws_1", "status": "completed"});
        let clicks = json!({"type": "computer_call", "call_id": "1", "action": {"type": "click"}});
        let clicked = json!({"type": "computer_call_output", "call_id": "1", "output": {"type": "of_the_future"}});
        let file =
            json!({"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]});
        let later = json!({"type": "message", "role": "system", "content": "Hurry."});
        let items = [
            searched.clone(),
            json!({"role": "assistant", "content": "Found."}),
            clicks.clone(),
            clicked.clone(),
            file.clone(),
            later.clone(),
        ];
        let read = read_all(&items).expect("is understood");
        let roles: Vec<Role> = read.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::Assistant, Role::Tool, Role::User]);
        assert_eq!(written(&read), [searched, clicks, clicked, file, later]);
        assert_eq!(
            read[0].tool_calls[0].arguments.to_value(),
            json!({"action": {"type": "click"}})
        );
        assert!(read[1].text().contains("computer_call_output"));
        assert!(read[2].text().contains("input_file"));
    }

    #[test]
    fn an_item_may_be_all_that_is_said() {
        let approves = json!({"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": true});
        let read = read_all(std::slice::from_ref(&approves)).expect("is understood");
        assert_eq!((read.len(), read[0].role), (1, Role::User));
        assert!(read[0].text().contains("mcp_approval_response"));
        assert_eq!(written(&read), [approves]);
        let instructs = json!({"role": "developer", "content": "Be brief."});
        assert!(read_all(&[instructs]).expect("is understood").is_empty());
    }

    #[test]
    fn answers_in_a_row_stay_apart() {
        let says = |text: &str| json!({"role": "assistant", "content": text});
        let read = read_all(&[says("One."), says("Two.")]).expect("is understood");
        assert_eq!((read.len(), read[0].text().as_ref()), (1, "One.\nTwo."));
        assert_eq!(written(&read), [says("Two.")]);
    }

    #[test]
    fn a_thought_that_nothing_followed_is_no_message() {
        let items = [json!({"type": "reasoning", "summary": []}), json!({"role": "user"})];
        let read = read_all(&items).expect("is understood");
        assert_eq!(read.len(), 1);
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
    }
}
