//! What requests that carry a conversation have in common: `input` or `messages`, and candidates.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::chat::{Image, Message, Part, Role, ToolCall};
use crate::dispatch::Candidates;
use crate::http::error::ApiError;

/// One entry of a conversation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageBody {
    #[schema(value_type = String, example = "user")]
    role: Role,
    /// A text, or a list of parts: `{"type": "text", "text": "…"}`, each with a `cache_control` if it likes, and
    /// `{"type": "image", "media_type": "image/png", "data": "…"}` with base64 or `{"type": "image_url", "url": "…"}`, in
    /// messages of users and tools.
    #[schema(value_type = Object)]
    #[serde(default)]
    content: Content,
    #[serde(default)]
    tool_calls: Vec<ToolCall>,
    tool_call_id: Option<String>,
    /// Whether a tool message tells that the call has failed.
    #[serde(default)]
    is_error: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of {\"type\": \"text\", \"text\": \"…\"}")]
enum Content {
    Text(String),
    Parts(Vec<Part>),
    /// An assistant message that only calls tools has no content.
    Nothing(()),
}

impl Default for Content {
    fn default() -> Self {
        Self::Nothing(())
    }
}

/// Which agents may be picked.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CandidatesBody {
    /// Only these agents: one at least.
    #[schema(min_items = 1)]
    names: Option<Vec<String>>,
    /// Only agents with one of these labels: one at least.
    #[schema(min_items = 1)]
    labels: Option<Vec<String>>,
    /// None of these agents.
    #[serde(default)]
    exclude: Vec<String>,
}

impl CandidatesBody {
    /// Only these, and these are none: whoever asks so has lost them on the way, and does not mean all.
    pub(super) fn read(self) -> Result<Candidates, ApiError> {
        let one_at_least = |list: Option<Vec<String>>, pointer: &str| match list {
            Some(list) if list.is_empty() => Err(ApiError::invalid_field(
                pointer,
                "must not be empty; without it no agent is left out",
            )),
            list => Ok(list.unwrap_or_default()),
        };
        Ok(Candidates {
            names: one_at_least(self.names, "/candidates/names")?,
            labels: one_at_least(self.labels, "/candidates/labels")?,
            exclude: self.exclude,
        })
    }
}

/// Reads `input` or `messages`: one of them, and not nothing. Only behind a stored conversation may they begin with the
/// result of a call.
pub(super) fn read_messages(
    input: Option<String>,
    messages: Option<Vec<MessageBody>>,
    is_behind_others: bool,
) -> Result<Vec<Message>, ApiError> {
    let messages = match (input, messages) {
        (Some(input), None) if input.trim().is_empty() => {
            return Err(ApiError::invalid_field("/input", "must not be empty"));
        }
        (Some(input), None) => return Ok(vec![Message::user(input)]),
        (None, Some(messages)) => messages,
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid_field("/input", "give `input` or `messages`, not both"));
        }
        (None, None) => {
            return Err(ApiError::invalid_field("/input", "give `input` or `messages`"));
        }
    };
    if messages.is_empty() {
        return Err(ApiError::invalid_field("/messages", "must not be empty"));
    }
    if is_behind_others { read_all(messages) } else { read_opening(messages) }
}

/// Reads messages that nothing goes before; there may be none.
pub(super) fn read_opening(messages: Vec<MessageBody>) -> Result<Vec<Message>, ApiError> {
    let messages = read_all(messages)?;
    match messages.first().map(|first| first.role) {
        Some(Role::User) | None => Ok(messages),
        Some(_) => {
            Err(ApiError::invalid_field("/messages/0/role", "the first message must be the user's"))
        }
    }
}

fn read_all(messages: Vec<MessageBody>) -> Result<Vec<Message>, ApiError> {
    let numbered = messages.into_iter().enumerate();
    numbered.map(|(index, message)| message.read(index)).collect()
}

impl MessageBody {
    fn read(self, index: usize) -> Result<Message, ApiError> {
        let field = |name: &str| format!("/messages/{index}/{name}");
        let content = match self.content {
            Content::Text(text) => vec![Part::text(text)],
            Content::Parts(parts) => parts,
            Content::Nothing(()) => Vec::new(),
        };
        if self.role == Role::Tool && self.tool_call_id.is_none() {
            return Err(ApiError::invalid_field(
                field("tool_call_id"),
                "a tool message must have it",
            ));
        }
        if self.role != Role::Assistant && !self.tool_calls.is_empty() {
            return Err(ApiError::invalid_field(
                field("tool_calls"),
                "only an assistant message may have it",
            ));
        }
        if let Some(place) = self.tool_calls.iter().position(|call| call.arguments.is_string()) {
            return Err(ApiError::invalid_field(
                format!("/messages/{index}/tool_calls/{place}/arguments"),
                "must be the arguments themselves, not a text that holds them",
            ));
        }
        if self.role != Role::Tool && self.is_error {
            return Err(ApiError::invalid_field(
                field("is_error"),
                "only a tool message may have it",
            ));
        }
        let message = Message {
            role: self.role,
            content,
            tool_calls: self.tool_calls,
            tool_call_id: self.tool_call_id,
            is_error: self.is_error,
        };
        if let Some(kind) = message.content.iter().find_map(kept_from_callers) {
            let detail = format!("no message of a caller's holds a part of the type `{kind}`");
            return Err(ApiError::invalid_field(field("content"), detail));
        }
        check_images(&message, &field)?;
        let has_image = message.images().next().is_some();
        if message.role == Role::User && !has_image && message.text().trim().is_empty() {
            return Err(ApiError::invalid_field(field("content"), "must not be empty"));
        }
        Ok(message)
    }
}

/// The type of a part that callers cannot send.
fn kept_from_callers(part: &Part) -> Option<&'static str> {
    match part {
        Part::Thought(_) => Some("thought"),
        Part::Instructions { .. } => Some("instructions"),
        Part::Foreign(_) => Some("foreign"),
        Part::Text { .. } | Part::Image { .. } | Part::ImageUrl { .. } => None,
    }
}

/// No provider takes an image that an assistant has said.
fn check_images(message: &Message, field: &impl Fn(&str) -> String) -> Result<(), ApiError> {
    for image in message.images() {
        let problem = match image {
            _ if message.role == Role::Assistant => "an assistant message holds no image",
            Image::Inline { media_type, .. } if !media_type.starts_with("image/") => {
                "the `media_type` of an image is `image/…`"
            }
            Image::Inline { data: "", .. } => "an image needs its `data`",
            Image::At(url) if !url.starts_with("https://") && !url.starts_with("http://") => {
                "the `url` of an image is `https://…`"
            }
            _ => continue,
        };
        return Err(ApiError::invalid_field(field("content"), problem));
    }
    Ok(())
}
