//! The events of a response's stream: each names its type and has a number.

use serde_json::{Map, Value, json};

use crate::chat::ForeignEvent;
use crate::http::sse::SseFrame;

/// Numbers events, and gathers them until they are sent.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The number of the next event.
    sequence: u64,
    /// The first number that the caller has not seen.
    first: u64,
    ready: Vec<SseFrame>,
}

impl Frames {
    /// For a caller who has seen the event of that number.
    pub fn behind(seen: Option<u64>) -> Self {
        Self { first: seen.map_or(0, |seen| seen.saturating_add(1)), ..Self::default() }
    }

    /// Adds an event of the service's own. `fields` is an object; what it says of type and number does not count.
    pub fn tell(&mut self, kind: &str, fields: Value) {
        let mut event = Map::new();
        event.insert("type".to_owned(), json!(kind));
        event.insert("sequence_number".to_owned(), json!(self.sequence));
        let Value::Object(fields) = fields else { unreachable!("events are objects") };
        for (name, value) in fields {
            event.entry(name).or_insert(value);
        }
        let frame = SseFrame::new(kind, &Value::Object(event).to_string());
        self.push(frame, self.sequence);
    }

    /// Takes back what is not sent yet, from the event of that number on.
    pub fn take_back(&mut self, sequence: u64) {
        self.sequence = sequence;
        self.ready.clear();
    }

    /// Adds an event as its provider has told it. The numbers behind it are higher than its own.
    pub fn pass(&mut self, event: &ForeignEvent, sequence: Option<u64>) {
        let sequence = sequence.unwrap_or(0).max(self.sequence);
        self.push(SseFrame::new(&event.name, &event.data), sequence);
    }

    /// The number that the next event of the service's own has.
    pub fn next_sequence(&self) -> u64 {
        self.sequence
    }

    pub fn take(&mut self) -> Vec<SseFrame> {
        std::mem::take(&mut self.ready)
    }

    fn push(&mut self, frame: SseFrame, sequence: u64) {
        if sequence >= self.first {
            self.ready.push(frame);
        }
        self.sequence = sequence + 1;
    }
}
