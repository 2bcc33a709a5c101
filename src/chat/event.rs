//! What a provider's answer consists of, streamed or not.

use serde::{Deserialize, Serialize};

use super::{BrokenCall, ForeignEvent, ForeignItem, Protocol, SealedThought, ToolCall, Usage};

/// One item of an answer. An answer is whole if it holds a [`ChatEvent::Finished`].
#[derive(Debug, Clone, PartialEq)]
pub enum ChatEvent {
    /// The model that really answers, as the provider names it.
    Model(String),
    Text(String),
    /// The texts from here on are a refusal: the model says so itself, and no filter has cut it.
    Refusing,
    Thinking(String),
    /// What was thought, as it has to go back if the model is asked again with the results of tools.
    Thought(SealedThought),
    ToolCall(ToolCall),
    /// A call that cannot be made, but answered: the model may correct it.
    BrokenCall(BrokenCall),
    /// The sums so far; the last one seen counts.
    Usage(Usage),
    Finished(FinishReason),
    /// What has no neutral word.
    Foreign(ForeignEvent),
    /// An item of the answer that has none, as it goes back if the model is asked again; and the call that it is, if the
    /// caller may answer it. What it means, if anything, has been told.
    ForeignItem(ForeignItem, Option<ToolCall>),
    /// What came before, if anything did, is void: the answer begins anew.
    Restarted,
}

impl ChatEvent {
    /// Text, thinking or a tool call: what a caller waits for.
    pub fn is_content(&self) -> bool {
        use ChatEvent as E;
        match self {
            E::Text(_) | E::Thinking(_) | E::Thought(_) | E::ToolCall(_) | E::BrokenCall(_) => true,
            E::Foreign(foreign) => foreign.is_content,
            _ => false,
        }
    }

    /// Whether it is for callers of a face of this protocol, or of none: thinking, and that a text is a refusal, is for faces
    /// alone, and what has no neutral word for those of its own protocol.
    pub fn is_for(&self, face: Option<Protocol>) -> bool {
        match self {
            Self::Refusing | Self::Thinking(_) | Self::Thought(_) => face.is_some(),
            Self::Foreign(foreign) => face == Some(foreign.protocol),
            _ => true,
        }
    }
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    Stop,
    Length,
    ToolCalls,
    Refusal,
    /// A reason that is not known here.
    Other,
}

impl FinishReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::Refusal => "refusal",
            Self::Other => "other",
        }
    }
}
