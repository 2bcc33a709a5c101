//! Messages, and the request that carries them to a provider.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ForeignItem, Inbound, Parameters, SealedThought, Tool, ToolCall};

/// Who speaks. The agent's own instructions are no message: see [`ChatRequest::system`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    User,
    Assistant,
    Tool,
}

/// One piece of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Part {
    Text {
        text: String,
        /// A cache breakpoint in the provider's own words; sent to providers that know the field.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache_control: Option<Value>,
    },
    Image {
        /// Such as `image/png`.
        media_type: String,
        /// Base64.
        data: String,
    },
    /// An image that the provider fetches.
    ImageUrl { url: String },
    /// What the model thought, for itself alone. No caller writes it, nor what follows.
    Thought(SealedThought),
    /// What a caller instructs in the midst of a conversation. It is told with the other instructions.
    Instructions { text: String },
    /// What only one protocol has words for.
    Foreign(ForeignItem),
}

impl Part {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), cache_control: None }
    }

    /// The words, of a text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The image, if it is one.
    pub fn as_image(&self) -> Option<Image<'_>> {
        match self {
            Self::Image { media_type, data } => Some(Image::Inline { media_type, data }),
            Self::ImageUrl { url } => Some(Image::At(url)),
            _ => None,
        }
    }

    /// The call that only one protocol has words for, and that it is, or whose result.
    pub fn foreign_call_id(&self) -> Option<&str> {
        match self {
            Self::Foreign(item) => item.call_id.as_deref(),
            _ => None,
        }
    }

    /// The part in neutral words.
    pub fn meaning(&self) -> &[Self] {
        match self {
            Self::Foreign(item) => &item.meaning,
            part => std::slice::from_ref(part),
        }
    }

    /// The same of a part that is not needed any more.
    pub fn into_meaning(self) -> Vec<Self> {
        match self {
            Self::Foreign(item) => item.meaning,
            part => vec![part],
        }
    }

    fn is_blank(&self) -> bool {
        match self {
            Self::Text { text, .. } => text.is_empty(),
            Self::Instructions { .. } => true,
            _ => false,
        }
    }
}

/// An image of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image<'a> {
    /// Its bytes as base64.
    Inline { media_type: &'a str, data: &'a str },
    /// Where it is to be fetched.
    At(&'a str),
}

/// One entry of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    pub content: Vec<Part>,
    /// The calls that an assistant message asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The call that a tool message answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Whether a tool message tells that the call has failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
}

impl Message {
    pub fn user(text: impl Into<String>) -> Self {
        Self {
            role: Role::User,
            content: vec![Part::text(text)],
            tool_calls: Vec::new(),
            tool_call_id: None,
            is_error: false,
        }
    }

    pub fn assistant(content: Vec<Part>, tool_calls: Vec<ToolCall>) -> Self {
        Self { role: Role::Assistant, content, tool_calls, tool_call_id: None, is_error: false }
    }

    pub fn tool_result(tool_call_id: String, content: Vec<Part>, is_error: bool) -> Self {
        Self {
            role: Role::Tool,
            content,
            tool_calls: Vec::new(),
            tool_call_id: Some(tool_call_id),
            is_error,
        }
    }

    /// The pieces of the message in neutral words.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.content.iter().flat_map(Part::meaning)
    }

    /// The words of the message, its pieces on lines of their own.
    pub fn text(&self) -> Cow<'_, str> {
        if let [Part::Text { text, .. }] = self.content.as_slice() {
            return Cow::Borrowed(text);
        }
        let texts: Vec<&str> = self.parts().filter_map(Part::as_text).collect();
        Cow::Owned(texts.join("\n"))
    }

    /// The images of the message.
    pub fn images(&self) -> impl Iterator<Item = Image<'_>> {
        self.parts().filter_map(Part::as_image)
    }

    /// Whether a call of the message, or its result, has words that only one protocol knows.
    pub fn is_foreign_call(&self, id: &str) -> bool {
        self.content.iter().any(|part| part.foreign_call_id() == Some(id))
    }

    /// The whole content, if it is no more than one text.
    pub fn plain_text(&self) -> Option<&str> {
        match self.content.as_slice() {
            [] => Some(""),
            [Part::Text { text, cache_control: None }] => Some(text),
            _ => None,
        }
    }

    /// The same with a model for the thinking that names none.
    #[must_use]
    pub fn with_thoughts_of(mut self, model: &str) -> Self {
        for part in &mut self.content {
            if let Part::Thought(thought) = part
                && thought.model.is_empty()
            {
                model.clone_into(&mut thought.model);
            }
        }
        self
    }

    /// Whether it says nothing in neutral words.
    pub fn is_blank(&self) -> bool {
        self.parts().all(Part::is_blank)
    }

    /// Whether it says nothing in any words.
    pub fn is_empty(&self) -> bool {
        self.is_blank() && !self.content.iter().any(|part| matches!(part, Part::Foreign(_)))
    }
}

/// What the conversation began with: the user's messages up to the first answer behind them. The agent is picked on it, so
/// that a follow-up ("yes, do that") never changes the pick.
pub fn opening_request<'a>(messages: impl IntoIterator<Item = &'a Message>) -> String {
    requests(messages).next().unwrap_or_default()
}

/// What the user asks for, each time up to the next answer: messages that follow each other are one request.
pub fn requests<'a>(
    messages: impl IntoIterator<Item = &'a Message>,
) -> impl Iterator<Item = String> {
    let mut messages = messages.into_iter();
    std::iter::from_fn(move || {
        let texts: Vec<Cow<'_, str>> = messages
            .by_ref()
            .skip_while(|message| message.role != Role::User)
            .take_while(|message| message.role == Role::User)
            .map(Message::text)
            .collect();
        (!texts.is_empty()).then(|| texts.join("\n"))
    })
}

/// Whether the conversation goes on after an answer: with a follow-up, or with the results of tools.
pub fn has_answer<'a>(messages: impl IntoIterator<Item = &'a Message>) -> bool {
    messages.into_iter().any(|message| message.role == Role::Assistant)
}

/// One model call, before it is put into a provider's words.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatRequest {
    /// The agent that speaks; not sent to providers.
    pub agent: String,
    /// The agent's instructions. They come first and are the same bytes for every request to one revision.
    pub system: String,
    /// What the caller adds to the agent's instructions; it comes behind them.
    pub instructions: String,
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
    pub parameters: Parameters,
    /// The request as it came in, if that was in a protocol that providers speak too.
    pub inbound: Option<Arc<Inbound>>,
}

impl ChatRequest {
    /// What the caller instructs: with the request, and in the midst of the conversation.
    pub fn callers_instructions(&self) -> Cow<'_, str> {
        let among_messages = self.messages.iter().flat_map(Message::parts).filter_map(|part| {
            if let Part::Instructions { text } = part { Some(text.as_str()) } else { None }
        });
        among_messages.fold(Cow::Borrowed(&*self.instructions), |before, text| {
            Cow::Owned(join_instructions(&before, text).into_owned())
        })
    }

    /// The agent's instructions, then the caller's.
    pub fn whole_system(&self) -> Cow<'_, str> {
        match self.callers_instructions() {
            Cow::Borrowed(callers) => join_instructions(&self.system, callers),
            Cow::Owned(callers) => {
                Cow::Owned(join_instructions(&self.system, &callers).into_owned())
            }
        }
    }
}

/// The agent's instructions and behind them the caller's, as one text.
pub fn join_instructions<'a>(agents: &'a str, callers: &'a str) -> Cow<'a, str> {
    match (agents, callers) {
        (agents, "") => Cow::Borrowed(agents),
        ("", callers) => Cow::Borrowed(callers),
        (agents, callers) => Cow::Owned(format!("{agents}\n\n{callers}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Message, Part, opening_request, requests};

    fn said(text: &str) -> Message {
        Message::assistant(vec![Part::text(text)], Vec::new())
    }

    #[test]
    fn messages_that_follow_each_other_are_one_request() {
        let result = Message::tool_result("1".to_owned(), vec![Part::text("7")], false);
        let messages = [
            said("Welcome."),
            Message::user("hi"),
            Message::user("there"),
            said("Hello!"),
            result,
            Message::user("review my diff"),
        ];
        assert_eq!(requests(&messages).collect::<Vec<_>>(), ["hi\nthere", "review my diff"]);
        assert_eq!(opening_request(&messages), "hi\nthere");
        assert_eq!(opening_request([]), "");
    }
}
