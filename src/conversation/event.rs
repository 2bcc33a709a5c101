//! What happens in a run, as it is told to whoever follows it.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Run, RunStatus};
use crate::chat::{ForeignEvent, Part, SealedThought, ToolCall, Usage};
use crate::dispatch::{AgentRef, HandOver, Outcome};

/// One event of a run. The last one is [`RunEvent::Ended`], always and once.
///
/// It is written as its data in the words of the native protocol; its [name](Self::name) goes beside it.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum RunEvent {
    Started {
        id: Uuid,
    },
    AgentSelected {
        agent: AgentRef,
        dispatch_id: Uuid,
        outcome: Outcome,
        confidence: f64,
        /// Why another agent than before, if the conversation had one.
        #[serde(skip_serializing_if = "Option::is_none")]
        handed_over: Option<HandOver>,
    },
    #[serde(serialize_with = "as_text")]
    TextDelta(String),
    /// The texts from here on are a refusal. This and the next three are told to callers of faces alone, see
    /// [`NewRun`](super::NewRun).
    Refusing {},
    /// What the model thinks.
    #[serde(serialize_with = "as_text")]
    ThinkingDelta(String),
    /// The thinking so far is over, and sealed.
    ThinkingSealed(SealedThought),
    /// What the provider said in the caller's protocol and has no neutral word.
    ProviderEvent(ForeignEvent),
    /// A tool is asked for: a server's, or with no server the caller's or one that does not exist.
    ToolCall {
        #[serde(flatten)]
        call: ToolCall,
        server: Option<String>,
    },
    /// What came of a call that is not the caller's.
    ToolResult {
        id: String,
        is_error: bool,
        content: Vec<Part>,
    },
    Usage(Usage),
    Ended(Arc<Run>),
}

fn as_text<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Data<'a> {
        text: &'a str,
    }
    Data { text }.serialize(serializer)
}

/// An event as it is kept: a text is a text delta, everything else a pair of name and data.
#[derive(Debug)]
pub(super) enum StoredEvent<'a> {
    Text(&'a str),
    Other(&'a RunEvent),
}

impl Serialize for StoredEvent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Other(event) => (event.name(), event).serialize(serializer),
        }
    }
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

const REFUSING: &str = "refusal.begun";
const THINKING_DELTA: &str = "thinking.delta";
const THINKING_SEALED: &str = "thinking.sealed";
const PROVIDER_EVENT: &str = "provider.event";

const TOOL_CALL: &str = "tool.call";
const TOOL_RESULT: &str = "tool.result";

impl RunEvent {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "run.started",
            Self::AgentSelected { .. } => "agent.selected",
            Self::TextDelta(_) => TEXT_DELTA,
            Self::Refusing {} => REFUSING,
            Self::ThinkingDelta(_) => THINKING_DELTA,
            Self::ThinkingSealed(_) => THINKING_SEALED,
            Self::ProviderEvent(_) => PROVIDER_EVENT,
            Self::ToolCall { .. } => TOOL_CALL,
            Self::ToolResult { .. } => TOOL_RESULT,
            Self::Usage(_) => "usage",
            Self::Ended(run) => match run.status {
                RunStatus::Completed => "run.completed",
                RunStatus::Cancelled => "run.cancelled",
                RunStatus::Truncated => "run.truncated",
                _ => "run.failed",
            },
        }
    }

    /// The event in the words of the native protocol.
    pub fn numbered(&self, sequence: usize) -> NumberedEvent {
        let data = serde_json::to_string(self).expect("events are plain");
        NumberedEvent { sequence, name: self.name().to_owned(), data }
    }

    /// Reads an event of a run on record: what is said and thought, and the end. Of what else is told, the end has the
    /// sum.
    pub(super) fn read(event: &NumberedEvent) -> Option<Self> {
        let data: Value = serde_json::from_str(&event.data).ok()?;
        let text = || data["text"].as_str().map(str::to_owned);
        match event.name.as_str() {
            TEXT_DELTA => text().map(Self::TextDelta),
            REFUSING => Some(Self::Refusing {}),
            THINKING_DELTA => text().map(Self::ThinkingDelta),
            THINKING_SEALED => serde_json::from_value(data).ok().map(Self::ThinkingSealed),
            PROVIDER_EVENT => serde_json::from_value(data).ok().map(Self::ProviderEvent),
            name if name.starts_with("run.") && name != "run.started" => {
                serde_json::from_value(data).ok().map(|run: Run| Self::Ended(run.into()))
            }
            _ => None,
        }
    }
}

/// Reads a [`StoredEvent`]; `None` if it was not that.
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

/// Gathers the calls that the caller is to answer from the events of a run, in their order.
///
/// They are those that no server has and that have no result: a call of a tool that does not exist has one.
#[derive(Debug, Default)]
pub(super) struct CallsForCaller(Vec<ToolCall>);

impl CallsForCaller {
    pub fn add(&mut self, event: &RunEvent) {
        match event {
            RunEvent::ToolCall { call, server: None } => self.0.push(call.clone()),
            RunEvent::ToolResult { id, .. } => self.remove(id),
            _ => {}
        }
    }

    /// Adds a [`StoredEvent`].
    pub fn add_stored(&mut self, event: &Value) {
        let (name, data) = (event[0].as_str().unwrap_or_default(), &event[1]);
        if name == TOOL_RESULT {
            self.remove(data["id"].as_str().unwrap_or_default());
        } else if name == TOOL_CALL && data["server"].is_null() {
            let mut call = data.clone();
            call.as_object_mut().map(|call| call.remove("server"));
            self.0.extend(serde_json::from_value::<ToolCall>(call));
        }
    }

    pub fn finish(self) -> Vec<ToolCall> {
        self.0
    }

    fn remove(&mut self, id: &str) {
        self.0.retain(|call| call.id != id);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{CallsForCaller, RunEvent, StoredEvent};
    use crate::chat::{Part, ToolCall};

    #[test]
    fn only_the_callers_calls_are_for_the_caller() {
        let asks = |id: &str, server: Option<&str>| RunEvent::ToolCall {
            call: ToolCall {
                id: id.into(),
                name: id.into(),
                arguments: json!({}),
                signature: None,
            },
            server: server.map(str::to_owned),
        };
        let answers = |id: &str| {
            let content = vec![Part::text("none")];
            RunEvent::ToolResult { id: id.into(), is_error: true, content }
        };
        let events = [
            asks("of-server", Some("docs")),
            asks("of-nobody", None),
            answers("of-nobody"),
            asks("of-caller", None),
        ];
        let (mut live, mut on_record) = (CallsForCaller::default(), CallsForCaller::default());
        for event in &events {
            live.add(event);
            on_record.add_stored(&json!(StoredEvent::Other(event)));
        }
        let live = live.finish();
        assert_eq!(live.iter().map(|call| &*call.id).collect::<Vec<_>>(), ["of-caller"]);
        assert_eq!(on_record.finish(), live);
    }
}
