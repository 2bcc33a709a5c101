//! What happens in a run, as it is told to whoever follows it.

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Run, RunStatus};
use crate::chat::{ForeignEvent, FurtherWords, Part, SealedThought, ToolCall, Usage, WrittenJson};
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
        let data = event.data.as_str();
        let text = || {
            let data: Value = serde_json::from_str(data).ok()?;
            data["text"].as_str().map(str::to_owned)
        };
        match event.name.as_str() {
            TEXT_DELTA => text().map(Self::TextDelta),
            REFUSING => Some(Self::Refusing {}),
            THINKING_DELTA => text().map(Self::ThinkingDelta),
            THINKING_SEALED => serde_json::from_str(data).ok().map(Self::ThinkingSealed),
            PROVIDER_EVENT => serde_json::from_str(data).ok().map(Self::ProviderEvent),
            name if name.starts_with("run.") && name != "run.started" => {
                serde_json::from_str(data).ok().map(|run: Run| Self::Ended(run.into()))
            }
            _ => None,
        }
    }
}

/// A [`StoredEvent`] that is read again. What calls are made with stays as it is written.
#[derive(Debug)]
pub(super) enum EventOnRecord<'a> {
    Text(String),
    Other(String, &'a RawValue),
}

impl<'a> EventOnRecord<'a> {
    /// `None` if it is none.
    pub fn read(stored: &'a RawValue) -> Option<Self> {
        if stored.get().starts_with('"') {
            return serde_json::from_str(stored.get()).ok().map(Self::Text);
        }
        let (name, data) = serde_json::from_str(stored.get()).ok()?;
        Some(Self::Other(name, data))
    }

    pub fn numbered(self, sequence: usize) -> NumberedEvent {
        let (name, data) = match self {
            Self::Text(text) => (TEXT_DELTA.to_owned(), json!({"text": text}).to_string()),
            Self::Other(name, data) => (name, data.get().to_owned()),
        };
        NumberedEvent { sequence, name, data }
    }
}

/// The data of a call on record.
#[derive(Deserialize)]
struct CallOnRecord {
    id: String,
    name: String,
    arguments: WrittenJson,
    signature: Option<String>,
    further: Option<Box<FurtherWords>>,
    server: Option<String>,
}

impl From<CallOnRecord> for ToolCall {
    fn from(call: CallOnRecord) -> Self {
        let CallOnRecord { id, name, arguments, signature, further, server: _ } = call;
        Self { id, name, arguments, signature, further }
    }
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

    /// Adds an event on record by its name and its data.
    pub fn add_on_record(&mut self, name: &str, data: &RawValue) {
        match name {
            TOOL_RESULT => {
                let result: Value = serde_json::from_str(data.get()).unwrap_or_default();
                self.remove(result["id"].as_str().unwrap_or_default());
            }
            TOOL_CALL => {
                let call = serde_json::from_str::<CallOnRecord>(data.get()).ok();
                let callers = call.filter(|call| call.server.is_none());
                self.0.extend(callers.map(ToolCall::from));
            }
            _ => {}
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
    use serde_json::value::to_raw_value;

    use super::{CallsForCaller, EventOnRecord, RunEvent, StoredEvent};
    use crate::chat::{Part, ToolCall, WrittenJson};

    #[test]
    fn only_the_callers_calls_are_for_the_caller() {
        let arguments = WrittenJson::read("{ \"a\": 1.50}").expect("is JSON");
        let asks = |id: &str, server: Option<&str>| RunEvent::ToolCall {
            call: ToolCall::new(id, id, arguments.clone()),
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
            let stored = to_raw_value(&StoredEvent::Other(event)).expect("is plain");
            let read = EventOnRecord::read(&stored).expect("is an event");
            let EventOnRecord::Other(name, data) = read else { panic!("{read:?}") };
            on_record.add_on_record(&name, data);
        }
        let live = live.finish();
        assert_eq!(live.iter().map(|call| &*call.id).collect::<Vec<_>>(), ["of-caller"]);
        assert_eq!(on_record.finish(), live);
    }
}
