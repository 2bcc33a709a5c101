//! What a run has told so far. Its texts lie behind each other in one string: a run has thousands of them.

use serde::ser::{SerializeSeq, Serializer};

use super::RunEvent;
use super::event::{CallsForCaller, StoredEvent};
use crate::chat::ToolCall;

/// Events as they are kept mostly take no more.
const EVENTS_BYTES: usize = 1024;

/// The events of a run, in their order.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    text: String,
    entries: Vec<Entry>,
}

/// An event.
#[derive(Debug)]
enum Entry {
    /// Where the delta ends; it begins where the one before it ends.
    Text {
        end: usize,
    },
    Event(Box<RunEvent>),
}

impl EventLog {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// All text deltas so far, one behind the other.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn add(&mut self, event: RunEvent) {
        let entry = match event {
            RunEvent::TextDelta(text) => {
                self.text.push_str(&text);
                Entry::Text { end: self.text.len() }
            }
            other => Entry::Event(Box::new(other)),
        };
        self.entries.push(entry);
    }

    /// The event at a place, counted from 0.
    pub fn event(&self, place: usize) -> Option<RunEvent> {
        match self.entries.get(place)? {
            Entry::Event(event) => Some(RunEvent::clone(event)),
            Entry::Text { end } => {
                Some(RunEvent::TextDelta(self.text[self.text_start(place)..*end].to_owned()))
            }
        }
    }

    /// The events from a place on as they are kept, and how many that are; `None` if there are none.
    pub fn write(&self, first: usize) -> Option<(String, usize)> {
        let mut text_start = self.text_start(first);
        let mut writer = serde_json::Serializer::new(Vec::with_capacity(EVENTS_BYTES));
        let mut list = writer.serialize_seq(None).expect("memory takes what is written");
        let mut count = 0;
        for entry in &self.entries[first..] {
            let event = match entry {
                Entry::Text { end } => {
                    StoredEvent::Text(&self.text[std::mem::replace(&mut text_start, *end)..*end])
                }
                Entry::Event(event) if matches!(**event, RunEvent::Ended(_)) => continue,
                Entry::Event(event) => StoredEvent::Other(event),
            };
            list.serialize_element(&event).expect("events are plain");
            count += 1;
        }
        list.end().expect("memory takes what is written");
        let events = String::from_utf8(writer.into_inner()).expect("JSON is UTF-8");
        (count > 0).then_some((events, count))
    }

    /// Where the first text from a place on begins.
    fn text_start(&self, place: usize) -> usize {
        let before = self.entries[..place].iter().rev().find_map(|entry| match entry {
            Entry::Text { end } => Some(*end),
            Entry::Event(_) => None,
        });
        before.unwrap_or(0)
    }

    /// Those that the caller is to answer.
    pub fn calls_for_caller(&self) -> Vec<ToolCall> {
        let mut calls = CallsForCaller::default();
        for entry in &self.entries {
            if let Entry::Event(event) = entry {
                calls.add(event);
            }
        }
        calls.finish()
    }
}
