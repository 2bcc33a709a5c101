//! A run in the words of a response, whole or as events.
//! <https://platform.openai.com/docs/api-reference/responses-streaming>

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};

use super::frames::Frames;
use super::output::Output;
use super::response::{Repeated, item_status, response};
use crate::chat::ForeignEvent;
use crate::conversation::{Run, RunEvent, RunStatus};
use crate::http::error::ApiError;
use crate::http::faces::answer::Voice;
use crate::http::faces::openai::error::error_body;
use crate::http::faces::openai::usage::add_further;
use crate::http::sse::SseFrame;

#[derive(Debug)]
pub(super) struct ResponseVoice {
    repeated: Repeated,
    output: Output,
    /// The places of items that a provider tells in its own words, by its own numbers.
    foreign: BTreeMap<u64, usize>,
    /// What the provider says of the response besides.
    further: Map<String, Value>,
}

impl ResponseVoice {
    pub fn new(repeated: Repeated) -> Self {
        Self::behind(repeated, None)
    }

    /// For a caller who has seen the stream up to the event of that number.
    pub fn behind(repeated: Repeated, seen: Option<u64>) -> Self {
        Self {
            repeated,
            output: Output::new(Frames::behind(seen)),
            foreign: BTreeMap::new(),
            further: Map::new(),
        }
    }

    fn hear(&mut self, event: RunEvent) {
        match event {
            RunEvent::TextDelta(text) => self.output.add_text(&text),
            RunEvent::Refusing {} => self.output.begin_refusal(),
            RunEvent::ThinkingDelta(text) => self.output.add_thinking(&text),
            RunEvent::ThinkingSealed(thought) => self.output.seal(&thought),
            RunEvent::ProviderEvent(event) => self.pass(&event),
            // Calls are told at the end: until then it is not known which ones are the caller's.
            _ => {}
        }
    }

    /// Tells what a provider of the same protocol has said, as it came, with items in the places that they have here.
    fn pass(&mut self, event: &ForeignEvent) {
        let mut told: Value = serde_json::from_str(&event.data).unwrap_or_default();
        let theirs = told["output_index"].as_u64();
        let place = match told["type"].as_str().unwrap_or_default() {
            "response.output_item.added" if told["item"]["type"] == "reasoning" => {
                return self.output.announce_thinking(told["item"]["id"].as_str());
            }
            "response.reasoning_summary_part.added" => return self.output.begin_thinking_part(),
            "response.output_item.added" if told["item"]["type"] == "message" => {
                return self.output.announce_message();
            }
            "response.output_item.done" if told["item"]["type"] == "message" => {
                return self.output.complete_message(told["item"].take());
            }
            "response.completed" | "response.incomplete" => {
                let further = told["response"].as_object_mut().map(std::mem::take);
                return self.further.extend(further.unwrap_or_default());
            }
            "response.output_item.added" => Some(self.begin_item(theirs)),
            "response.output_item.done" => Some(self.end_item(theirs, told["item"].clone())),
            _ => match theirs.map(|theirs| self.foreign.get(&theirs)) {
                Some(Some(place)) => Some(*place),
                Some(None) => self.output.add_to_message(&mut told),
                None => None,
            },
        };
        let frames = &mut self.output.frames;
        let sequence = told["sequence_number"].as_u64();
        let is_moved = place.is_some_and(|place| u64::try_from(place).ok() != theirs);
        let is_behind = sequence.is_some_and(|sequence| sequence < frames.next_sequence());
        if place.is_some() && (is_moved || is_behind) {
            let kind = told["type"].as_str().unwrap_or_default().to_owned();
            told["output_index"] = json!(place);
            frames.tell(&kind, told);
        } else {
            frames.pass(event, sequence);
        }
    }

    fn begin_item(&mut self, theirs: Option<u64>) -> usize {
        let place = self.output.reserve_place();
        if let Some(theirs) = theirs {
            self.foreign.insert(theirs, place);
        }
        place
    }

    fn end_item(&mut self, theirs: Option<u64>, item: Value) -> usize {
        let place = theirs.and_then(|theirs| self.foreign.remove(&theirs));
        let place = place.unwrap_or_else(|| self.output.reserve_place());
        self.output.put(place, item);
        place
    }

    /// The response of a run of which that has been told.
    pub fn response(&mut self, events: Vec<RunEvent>, run: &Run) -> Map<String, Value> {
        self.output.run_id = run.id;
        for event in events {
            self.hear(event);
        }
        self.finish(run)
    }

    /// Ends the last item, adds the calls that the caller is to answer, and makes the response of it.
    fn finish(&mut self, run: &Run) -> Map<String, Value> {
        self.output.close(item_status(run));
        for (place, call) in run.tool_calls.iter().enumerate() {
            self.output.add_call(place, call);
        }
        let mut fields = response(run, &self.repeated, self.output.take_items());
        let mut further = std::mem::take(&mut self.further);
        if let (Some(usage), Some(counted)) = (fields.get_mut("usage"), further.remove("usage")) {
            add_further(usage, &counted, run);
        }
        fields.extend(further);
        fields
    }
}

impl Voice for ResponseVoice {
    fn begin(&mut self, run: &Run) -> Vec<SseFrame> {
        self.output.run_id = run.id;
        // It may be over by now.
        let status = if run.status.is_end() { RunStatus::Connecting } else { run.status };
        let begun = Run { status, ended_at: None, error: None, ..run.clone() };
        let fields = json!({"response": response(&begun, &self.repeated, Vec::new())});
        let frames = &mut self.output.frames;
        frames.tell("response.created", fields.clone());
        frames.tell("response.in_progress", fields);
        frames.take()
    }

    fn tell(&mut self, event: RunEvent, frames: &mut VecDeque<SseFrame>) {
        self.hear(event);
        frames.extend(self.output.frames.take());
    }

    fn end(&mut self, run: &Run) -> Vec<SseFrame> {
        let next = self.output.frames.next_sequence();
        let mut fields = self.finish(run);
        let frames = &mut self.output.frames;
        if run.status != RunStatus::Completed {
            // What was cut has no end. What there is of it is in the response.
            frames.take_back(next);
        }
        let kind = match fields["status"].as_str() {
            Some("completed") => "response.completed",
            Some("incomplete") => "response.incomplete",
            _ => "response.failed",
        };
        if !matches!(run.status, RunStatus::Completed | RunStatus::Cancelled) {
            // Clients raise what is in `error`; the reference has the same beside it.
            let mut error = error_body(&ApiError::of_run(run));
            for name in ["code", "message", "param"] {
                error[name] = error["error"][name].clone();
            }
            frames.tell("error", error);
        }
        if !run.status.is_end() {
            // The service breaks off.
            fields.insert("status".to_owned(), json!("failed"));
        }
        frames.tell(kind, json!({"response": fields}));
        frames.take()
    }

    fn silence() -> SseFrame {
        SseFrame::comment("keep-alive")
    }

    fn whole(&mut self, events: Vec<RunEvent>, run: &Run) -> String {
        Value::Object(self.response(events, run)).to_string()
    }
}
