//! A request as it came in, kept beside its neutral form for providers that speak the same protocol.

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::written::written_items;
use super::{Message, WrittenFields};

/// A protocol that both callers and providers may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Anthropic's Messages.
    Messages,
    /// OpenAI's Chat Completions.
    ChatCompletions,
    /// OpenAI's Responses.
    Responses,
}

/// A request in the words of its protocol.
///
/// A provider of that protocol is sent these words where they say more than the neutral vocabulary has: fields that are
/// not known here, kinds of content, hints. Every other provider is sent what they mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Inbound {
    pub protocol: Protocol,
    /// The body, whole.
    pub body: WrittenFields,
    /// Headers that belong to fields of the body.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The place among the neutral messages of the first that is the body's. Those before it are a stored conversation's.
    pub first_message: usize,
    /// How many of the neutral messages the body's are. Those behind them came of the run.
    pub message_count: usize,
    /// How many of the body's messages, at their beginning, are instructions, which are no neutral messages.
    pub leading_instructions: usize,
    /// How many of the neutral tools the body's tools are. They are the last ones.
    pub tool_count: usize,
    /// Tools that only the protocol knows, and whose calls are the caller's to answer.
    pub own_tools: Vec<String>,
}

impl Inbound {
    /// Of the neutral messages, those of a stored conversation that go before the body's.
    pub fn before<'a>(&self, messages: &'a [Message]) -> &'a [Message] {
        messages.get(..self.first_message).unwrap_or_default()
    }

    /// Of the neutral messages, those behind the body's.
    pub fn behind<'a>(&self, messages: &'a [Message]) -> &'a [Message] {
        messages.get(self.first_message + self.message_count..).unwrap_or_default()
    }

    /// A field as it is written, if it is there and not null.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.body.get(name).map(|field| &**field).filter(|field| *field != "null")
    }

    /// What a field says.
    pub fn value(&self, name: &str) -> Option<Value> {
        serde_json::from_str(self.field(name)?).ok()
    }

    /// The items of a field that holds a list, as they are written; none if it does not.
    pub fn list(&self, name: &str) -> Vec<&str> {
        self.field(name).map_or_else(Vec::new, written_items)
    }
}
