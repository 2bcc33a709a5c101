//! A run in the words of a response, whole or as events.
//! <https://platform.openai.com/docs/api-reference/responses-streaming>

use std::collections::BTreeMap;

use axum::response::sse::Event;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::frames::Frames;
use super::item_id::{ItemId, ItemKind};
use super::response::{Repeated, function_call, item_status, message, output_text, response};
use crate::chat::{ForeignEvent, SealedThought};
use crate::conversation::{Run, RunEvent, RunStatus};
use crate::http::error::ApiError;
use crate::http::faces::answer::Voice;
use crate::http::faces::openai::error::error_body;

#[derive(Debug)]
pub(super) struct ResponseVoice {
    repeated: Repeated,
    frames: Frames,
    run_id: Uuid,
    /// The items so far. One that is not whole yet is null.
    output: Vec<Value>,
    /// The item that is being told, which is the last one.
    open: Option<OpenItem>,
    messages: usize,
    thoughts: usize,
    /// The id of the next thinking, by its provider: what is encrypted of it is bound to the id.
    announced: Option<String>,
    /// The places of items that a provider tells in its own words, by its own numbers.
    foreign: BTreeMap<u64, usize>,
    /// What the provider says of the response besides.
    further: Map<String, Value>,
}

#[derive(Debug)]
enum OpenItem {
    Message { id: ItemId, text: String, annotations: Vec<Value> },
    Reasoning { id: String, text: String },
}

impl ResponseVoice {
    pub fn new(repeated: Repeated) -> Self {
        Self::behind(repeated, None)
    }

    /// For a caller who has seen the stream up to the event of that number.
    pub fn behind(repeated: Repeated, seen: Option<u64>) -> Self {
        Self {
            repeated,
            frames: Frames::behind(seen),
            run_id: Uuid::nil(),
            output: Vec::new(),
            open: None,
            messages: 0,
            thoughts: 0,
            announced: None,
            foreign: BTreeMap::new(),
            further: Map::new(),
        }
    }

    fn hear(&mut self, event: RunEvent) {
        match event {
            RunEvent::TextDelta(text) => self.add_text(&text),
            RunEvent::ThinkingDelta(text) => self.add_thinking(&text),
            RunEvent::ThinkingSealed(thought) => self.seal(&thought),
            RunEvent::ProviderEvent(event) => self.pass(&event),
            // Calls are told at the end: until then it is not known which ones are the caller's.
            _ => {}
        }
    }

    fn add_text(&mut self, delta: &str) {
        if !matches!(self.open, Some(OpenItem::Message { .. })) {
            self.open_message();
        }
        let place = self.place();
        if let Some(OpenItem::Message { id, text, .. }) = &mut self.open {
            text.push_str(delta);
            let fields = json!({"item_id": id.to_string(), "output_index": place,
                "content_index": 0, "delta": delta, "logprobs": []});
            self.frames.tell("response.output_text.delta", fields);
        }
    }

    fn add_thinking(&mut self, delta: &str) {
        if !matches!(self.open, Some(OpenItem::Reasoning { .. })) {
            self.open_reasoning();
            self.tell_summary("response.reasoning_summary_part.added", &summary_part(""));
        }
        if let Some(OpenItem::Reasoning { text, .. }) = &mut self.open {
            if text.is_empty() && delta.is_empty() {
                return;
            }
            text.push_str(delta);
        }
        self.tell_summary("response.reasoning_summary_text.delta", &json!({"delta": delta}));
    }

    /// Thinking is over, and may go back to who thought it.
    fn seal(&mut self, thought: &SealedThought) {
        if !matches!(self.open, Some(OpenItem::Reasoning { .. })) {
            self.open_reasoning();
        }
        let code = if thought.block["type"] == "reasoning" {
            thought.block["encrypted_content"].clone()
        } else {
            json!(thought.to_envelope())
        };
        self.close_reasoning(Some(code));
    }

    fn open_message(&mut self) {
        self.close("completed");
        let id = ItemId { kind: ItemKind::Message, run_id: self.run_id, place: self.messages };
        self.messages += 1;
        self.add_item(&json!({"id": id.to_string(), "type": "message", "role": "assistant",
            "status": "in_progress", "content": []}));
        self.open = Some(OpenItem::Message { id, text: String::new(), annotations: Vec::new() });
        self.tell_part("response.content_part.added", json!({"part": output_text("", &[])}));
    }

    fn open_reasoning(&mut self) {
        self.close("completed");
        let id = ItemId { kind: ItemKind::Reasoning, run_id: self.run_id, place: self.thoughts };
        self.thoughts += 1;
        let id = self.announced.take().unwrap_or_else(|| id.to_string());
        self.add_item(&json!({"id": id, "type": "reasoning", "summary": []}));
        self.open = Some(OpenItem::Reasoning { id, text: String::new() });
    }

    /// Begins an item that becomes whole later.
    fn add_item(&mut self, item: &Value) {
        self.output.push(Value::Null);
        let place = self.place();
        self.frames
            .tell("response.output_item.added", json!({"output_index": place, "item": item}));
    }

    fn end_item(&mut self, item: Value) {
        let place = self.place();
        let fields = json!({"output_index": place, "item": item});
        self.output[place] = item;
        self.frames.tell("response.output_item.done", fields);
    }

    /// The place of the last item.
    fn place(&self) -> usize {
        self.output.len().saturating_sub(1)
    }

    fn close(&mut self, status: &str) {
        match &self.open {
            Some(OpenItem::Message { .. }) => self.close_message(status),
            Some(OpenItem::Reasoning { .. }) => self.close_reasoning(None),
            None => {}
        }
    }

    fn close_message(&mut self, status: &str) {
        let Some(OpenItem::Message { id, text, annotations }) = &self.open else { return };
        let (item, part) =
            (message(*id, text, annotations, status), output_text(text, annotations));
        let text = json!({"text": text, "logprobs": []});
        self.tell_part("response.output_text.done", text);
        self.tell_part("response.content_part.done", json!({"part": part}));
        self.open = None;
        self.end_item(item);
    }

    fn close_reasoning(&mut self, code: Option<Value>) {
        let Some(OpenItem::Reasoning { id, text }) = &self.open else { return };
        let mut item = json!({"id": id, "type": "reasoning", "summary": []});
        if let Some(code) = code {
            item["encrypted_content"] = code;
        }
        if !text.is_empty() {
            let part = summary_part(text);
            item["summary"] = json!([part["part"]]);
            let text = json!({"text": text});
            self.tell_summary("response.reasoning_summary_text.done", &text);
            self.tell_summary("response.reasoning_summary_part.done", &part);
        }
        self.open = None;
        self.end_item(item);
    }

    /// Tells of the only part of the message that is open.
    fn tell_part(&mut self, kind: &str, mut fields: Value) {
        let Some(OpenItem::Message { id, .. }) = &self.open else { return };
        fields["item_id"] = json!(id.to_string());
        fields["output_index"] = json!(self.place());
        fields["content_index"] = json!(0);
        self.frames.tell(kind, fields);
    }

    /// Tells of the only part of the summary of the thinking that is open.
    fn tell_summary(&mut self, kind: &str, fields: &Value) {
        let Some(OpenItem::Reasoning { id, .. }) = &self.open else { return };
        let mut fields = fields.clone();
        fields["item_id"] = json!(id);
        fields["output_index"] = json!(self.place());
        fields["summary_index"] = json!(0);
        self.frames.tell(kind, fields);
    }

    /// Tells what a provider of the same protocol has said, as it came, with items in the places that they have here.
    fn pass(&mut self, event: &ForeignEvent) {
        let mut data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        let theirs = data["output_index"].as_u64();
        let place = match data["type"].as_str().unwrap_or_default() {
            "response.output_item.added" if data["item"]["type"] == "reasoning" => {
                self.announced = data["item"]["id"].as_str().map(str::to_owned);
                return;
            }
            "response.completed" | "response.incomplete" => {
                self.further.extend(data["response"].as_object().cloned().unwrap_or_default());
                return;
            }
            "response.output_item.added" => Some(self.take_place(theirs)),
            "response.output_item.done" => {
                let place = theirs.and_then(|theirs| self.foreign.remove(&theirs));
                let place = place.unwrap_or_else(|| self.take_place(None));
                self.output[place] = data["item"].clone();
                Some(place)
            }
            _ => match theirs.map(|theirs| self.foreign.get(&theirs)) {
                Some(Some(place)) => Some(*place),
                Some(None) => self.add_to_message(&mut data),
                None => None,
            },
        };
        let sequence = data["sequence_number"].as_u64();
        let is_moved = place.is_some_and(|place| u64::try_from(place).ok() != theirs);
        let is_behind = sequence.is_some_and(|sequence| sequence < self.frames.next_sequence());
        if place.is_some() && (is_moved || is_behind) {
            let kind = data["type"].as_str().unwrap_or_default().to_owned();
            data["output_index"] = json!(place);
            self.frames.tell(&kind, data);
        } else {
            self.frames.pass(event, sequence);
        }
    }

    /// The place of an item that a provider begins.
    fn take_place(&mut self, theirs: Option<u64>) -> usize {
        self.close("completed");
        self.output.push(Value::Null);
        let place = self.place();
        if let Some(theirs) = theirs {
            self.foreign.insert(theirs, place);
        }
        place
    }

    /// What is told of a text besides, such as what it cites, belongs to the message that is open.
    fn add_to_message(&mut self, data: &mut Value) -> Option<usize> {
        let place = self.place();
        let Some(OpenItem::Message { id, annotations, .. }) = &mut self.open else { return None };
        if data.get("item_id").is_some() {
            data["item_id"] = json!(id.to_string());
        }
        if data["type"] == "response.output_text.annotation.added" {
            annotations.push(data["annotation"].clone());
        }
        Some(place)
    }

    /// Ends the last item, adds the calls that the caller is to answer, and makes the response of it.
    fn finish(&mut self, run: &Run) -> Map<String, Value> {
        self.close(item_status(run));
        for (place, call) in run.tool_calls.iter().enumerate() {
            let id = ItemId { kind: ItemKind::FunctionCall, run_id: run.id, place };
            let whole = function_call(id, call);
            let mut begun = whole.clone();
            (begun["arguments"], begun["status"]) = (json!(""), json!("in_progress"));
            self.add_item(&begun);
            let arguments = &whole["arguments"];
            let mut about = json!({"item_id": id.to_string(), "output_index": self.place()});
            about["delta"] = arguments.clone();
            self.frames.tell("response.function_call_arguments.delta", about);
            let about = json!({"item_id": id.to_string(), "output_index": self.place(),
                "name": call.name, "arguments": arguments});
            self.frames.tell("response.function_call_arguments.done", about);
            self.end_item(whole);
        }
        let output = std::mem::take(&mut self.output).into_iter().filter(|item| !item.is_null());
        let mut fields = response(run, &self.repeated, output.collect());
        fields.extend(std::mem::take(&mut self.further));
        fields
    }
}

fn summary_part(text: &str) -> Value {
    json!({"part": {"type": "summary_text", "text": text}})
}

impl Voice for ResponseVoice {
    fn begin(&mut self, run: &Run) -> Vec<Event> {
        self.run_id = run.id;
        // It may be over by now.
        let status = if run.status.is_end() { RunStatus::Connecting } else { run.status };
        let begun = Run { status, ended_at: None, error: None, ..run.clone() };
        let fields = json!({"response": response(&begun, &self.repeated, Vec::new())});
        self.frames.tell("response.created", fields.clone());
        self.frames.tell("response.in_progress", fields);
        self.frames.take()
    }

    fn tell(&mut self, event: RunEvent) -> Vec<Event> {
        self.hear(event);
        self.frames.take()
    }

    fn end(&mut self, run: &Run) -> Vec<Event> {
        let next = self.frames.next_sequence();
        let mut fields = self.finish(run);
        if run.status != RunStatus::Completed {
            // What was cut has no end. What there is of it is in the response.
            self.frames.take_back(next);
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
            self.frames.tell("error", error);
        }
        if !run.status.is_end() {
            // The service breaks off.
            fields.insert("status".to_owned(), json!("failed"));
        }
        self.frames.tell(kind, json!({"response": fields}));
        self.frames.take()
    }

    fn silence() -> Event {
        Event::default().comment("keep-alive")
    }

    fn whole(&mut self, events: Vec<RunEvent>, run: &Run) -> Value {
        self.run_id = run.id;
        for event in events {
            self.hear(event);
        }
        Value::Object(self.finish(run))
    }
}
