//! What happens in a run, as it is told to whoever follows it.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Run, RunStatus};
use crate::chat::{ToolCall, Usage};
use crate::dispatch::{AgentRef, Outcome};

/// One event of a run. The last one is [`RunEvent::Ended`], always and once.
#[derive(Debug, Clone)]
pub enum RunEvent {
    Started { id: Uuid },
    AgentSelected { agent: AgentRef, dispatch_id: Uuid, outcome: Outcome, confidence: f64 },
    TextDelta(String),
    ToolCall(ToolCall),
    Usage(Usage),
    Ended(Arc<Run>),
}

/// An event with its place and in the words of the native protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedEvent {
    /// Counted from 1.
    pub sequence: usize,
    pub name: String,
    /// JSON.
    pub data: String,
}

/// The name of a text delta, which is kept as the text alone.
const TEXT_DELTA: &str = "text.delta";

impl RunEvent {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "run.started",
            Self::AgentSelected { .. } => "agent.selected",
            Self::TextDelta(_) => TEXT_DELTA,
            Self::ToolCall(_) => "tool.call",
            Self::Usage(_) => "usage",
            Self::Ended(run) => match run.status {
                RunStatus::Completed => "run.completed",
                RunStatus::Cancelled => "run.cancelled",
                RunStatus::Truncated => "run.truncated",
                _ => "run.failed",
            },
        }
    }

    pub fn data(&self) -> Value {
        match self {
            Self::Started { id } => json!({"id": id}),
            Self::AgentSelected { agent, dispatch_id, outcome, confidence } => json!({
                "agent": agent,
                "dispatch_id": dispatch_id,
                "outcome": outcome,
                "confidence": confidence,
            }),
            Self::TextDelta(text) => json!({"text": text}),
            Self::ToolCall(call) => {
                let mut data = json!(call);
                data["server"] = Value::Null;
                data
            }
            Self::Usage(usage) => json!(usage),
            Self::Ended(run) => json!(run),
        }
    }

    /// The event in the words of the native protocol.
    pub fn numbered(&self, sequence: usize) -> NumberedEvent {
        let (name, data) = (self.name().to_owned(), self.data().to_string());
        NumberedEvent { sequence, name, data }
    }

    /// As it is kept: a text is a text delta, everything else a pair of name and data.
    pub(super) fn stored(&self) -> Value {
        match self {
            Self::TextDelta(text) => json!(text),
            other => json!([other.name(), other.data()]),
        }
    }
}

/// Reads what [`RunEvent::stored`] has made; `None` if it was not that.
pub(super) fn read_stored(stored: Value, sequence: usize) -> Option<NumberedEvent> {
    let (name, data) = match stored {
        Value::String(text) => (TEXT_DELTA.to_owned(), json!({"text": text})),
        Value::Array(pair) => {
            let [Value::String(name), data] = <[Value; 2]>::try_from(pair).ok()? else {
                return None;
            };
            (name, data)
        }
        _ => return None,
    };
    Some(NumberedEvent { sequence, name, data: data.to_string() })
}
