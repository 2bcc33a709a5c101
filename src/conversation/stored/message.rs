//! Messages as they are kept: with the thinking that only its model may be shown again.

use crate::chat::{Message, Part};

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
    serde_json::from_str(stored)
        .inspect_err(|error| tracing::error!(%error, "a message on record cannot be read"))
        .ok()
}

/// Takes out what a model thought for itself.
pub(super) fn without_thoughts(mut message: Message) -> Message {
    message.content.retain(|part| !matches!(part, Part::Thought(_)));
    message
}

/// The message in neutral words, as callers are shown it.
pub(super) fn in_neutral_words(mut message: Message) -> Message {
    message.content = message.content.into_iter().flat_map(Part::into_meaning).collect();
    message.content.retain(|part| !matches!(part, Part::Thought(_) | Part::Instructions { .. }));
    message
}

/// Takes calls out of a message.
pub(super) fn retain_calls(message: &mut Message, is_kept: impl Fn(&str) -> bool) {
    let Message { content, tool_calls, .. } = message;
    content.retain(|part| part.foreign_call_id().is_none_or(&is_kept));
    tool_calls.retain(|call| is_kept(&call.id));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{in_neutral_words, read, without_thoughts, write};
    use crate::chat::{
        ForeignItem, FurtherWords, Message, Part, Protocol, SealedThought, ToolCall, WrittenJson,
    };

    #[test]
    fn a_message_is_read_as_it_was() {
        let block = json!({"type": "thinking", "signature": "s"});
        let thought = Part::Thought(SealedThought { model: "a/m".into(), block });
        let arguments = WrittenJson::read("{ \"q\":\"\\u0000\", \"n\": 1.50}").expect("is JSON");
        let further = FurtherWords {
            protocol: Protocol::ChatCompletions,
            model: "a/m".into(),
            fields: [("extra_content".into(), json!({"x": 1}).into())].into(),
        };
        let call = ToolCall {
            signature: Some("s".into()),
            further: Some(further.into()),
            ..ToolCall::new("1", "look", arguments)
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
    fn what_one_protocol_says_is_kept_and_its_meaning_is_shown() {
        let told = |text: &str| Part::Instructions { text: text.into() };
        let foreign = |item: &str, meaning| {
            let (protocol, item) = (Protocol::Responses, item.to_owned());
            Part::Foreign(ForeignItem { protocol, item, call_id: None, meaning })
        };
        let content = vec![
            foreign(r#"{"role": "developer"}"#, vec![told("Be brief.")]),
            foreign(r#"{"n": 1e400, "z": "\u0000"}"#, vec![Part::text("A file.")]),
        ];
        let message = Message { content, ..Message::user("") };
        assert_eq!(read(&write(message.clone())), Some(message.clone()));
        assert_eq!(in_neutral_words(message), Message::user("A file."));
    }

    #[test]
    fn breakpoints_of_a_request_are_not_kept() {
        let cache_control = Some(json!({"type": "ephemeral"}));
        let mut message = Message::user("");
        message.content = vec![Part::Text { text: "long".into(), cache_control }];
        assert_eq!(read(&write(message)), Some(Message::user("long")));
    }
}
