//! Messages as they are kept: with the thinking that only its model may be shown again.

use serde::Deserialize;
use serde_json::Value;

use crate::chat::{Message, Part, Role, SealedThought, ToolCall};

/// A message on record. Callers' messages have no thinking, so theirs is another type.
#[derive(Debug, Deserialize)]
struct StoredMessage {
    role: Role,
    content: Vec<StoredPart>,
    #[serde(default)]
    tool_calls: Vec<ToolCall>,
    tool_call_id: Option<String>,
    #[serde(default)]
    is_error: bool,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum StoredPart {
    Text { text: String },
    Image { media_type: String, data: String },
    ImageUrl { url: String },
    Thought { model: String, block: Value },
}

impl From<StoredPart> for Part {
    fn from(part: StoredPart) -> Self {
        match part {
            StoredPart::Text { text } => Self::text(text),
            StoredPart::Image { media_type, data } => Self::Image { media_type, data },
            StoredPart::ImageUrl { url } => Self::ImageUrl { url },
            StoredPart::Thought { model, block } => Self::Thought(SealedThought { model, block }),
        }
    }
}

/// The message as JSON. Cache breakpoints are left out: they were the request's, and a request may have few.
pub(super) fn write(mut message: Message) -> String {
    for part in &mut message.content {
        if let Part::Text { cache_control, .. } = part {
            *cache_control = None;
        }
    }
    serde_json::to_string(&message).expect("messages are plain")
}

/// Reads what [`write()`] has made.
pub(super) fn read(stored: &str) -> Option<Message> {
    match serde_json::from_str::<StoredMessage>(stored) {
        Ok(stored) => Some(Message {
            role: stored.role,
            content: stored.content.into_iter().map(Part::from).collect(),
            tool_calls: stored.tool_calls,
            tool_call_id: stored.tool_call_id,
            is_error: stored.is_error,
        }),
        Err(error) => {
            tracing::error!(%error, "a message on record cannot be read");
            None
        }
    }
}

/// Takes out what a model thought for itself.
pub(super) fn without_thoughts(mut message: Message) -> Message {
    message.content.retain(|part| !matches!(part, Part::Thought(_)));
    message
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{read, without_thoughts, write};
    use crate::chat::{Message, Part, SealedThought, ToolCall};

    #[test]
    fn a_message_is_read_as_it_was() {
        let block = json!({"type": "thinking", "signature": "s"});
        let thought = Part::Thought(SealedThought { model: "a/m".into(), block });
        let call = ToolCall {
            id: "1".into(),
            name: "look".into(),
            arguments: json!({"q": "\0"}),
            signature: Some("s".into()),
        };
        let said = Message::assistant(vec![thought, Part::text("Let me look.")], vec![call]);
        assert_eq!(read(&write(said.clone())), Some(said.clone()));
        assert_eq!(without_thoughts(said).content, [Part::text("Let me look.")]);
        let image = Part::Image { media_type: "image/png".into(), data: "AA==".into() };
        let place = Part::ImageUrl { url: "https://example.org/a.png".into() };
        let result = Message::tool_result("1".into(), vec![image, place], true);
        assert_eq!(read(&write(result.clone())), Some(result));
    }

    #[test]
    fn breakpoints_of_a_request_are_not_kept() {
        let cache_control = Some(json!({"type": "ephemeral"}));
        let mut message = Message::user("");
        message.content = vec![Part::Text { text: "long".into(), cache_control }];
        assert_eq!(read(&write(message)), Some(Message::user("long")));
    }
}
