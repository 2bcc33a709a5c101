//! The output of a response while it is told: items that begin, grow and end, one after the other.

use serde_json::{Value, json};
use uuid::Uuid;

use super::frames::Frames;
use super::item_id::{ItemId, ItemKind};
use super::response::{function_call, message, output_text, refusal};
use crate::chat::{SealedThought, ToolCall};

#[derive(Debug, Default)]
pub(super) struct Output {
    pub frames: Frames,
    pub run_id: Uuid,
    /// The items so far. One that is not whole yet is null.
    items: Vec<Value>,
    /// The item that is being told, which is the last one.
    open: Option<OpenItem>,
    /// Whether the texts are a refusal.
    is_refusing: bool,
    messages: usize,
    thoughts: usize,
    /// The id of the next thinking, by its provider: what is encrypted of it is bound to the id.
    announced: Option<String>,
    /// Whether what comes next stands in an item, or a part, of its own. The text is told with a gap before it, for those who
    /// know of no items.
    is_apart: bool,
}

/// What stands between the texts of two items, and of two parts of thinking, where they are told as one.
const GAP: &str = "\n\n";

#[derive(Debug)]
enum OpenItem {
    Message {
        id: ItemId,
        text: String,
        annotations: Vec<Value>,
        /// The item in the words of a provider that speaks the protocol.
        own_words: Option<Value>,
    },
    Reasoning {
        id: String,
        /// The parts that are whole.
        parts: Vec<Value>,
        text: String,
    },
}

impl Output {
    pub fn new(frames: Frames) -> Self {
        Self { frames, ..Self::default() }
    }

    pub fn add_text(&mut self, delta: &str) {
        let delta = self.without_gap(delta, self.messages > 0);
        if !matches!(self.open, Some(OpenItem::Message { .. })) {
            self.open_message();
        }
        if let Some(OpenItem::Message { text, .. }) = &mut self.open {
            text.push_str(delta);
        }
        if self.is_refusing {
            self.tell_part("response.refusal.delta", &json!({"delta": delta}));
        } else {
            self.tell_part("response.output_text.delta", &json!({"delta": delta, "logprobs": []}));
        }
    }

    /// The texts from here on are a refusal. What was said before stands in a message of its own.
    pub fn begin_refusal(&mut self) {
        self.close("completed");
        self.is_refusing = true;
    }

    pub fn add_thinking(&mut self, delta: &str) {
        let delta = self.without_gap(delta, self.thoughts > 0);
        if !matches!(self.open, Some(OpenItem::Reasoning { .. })) {
            self.open_reasoning();
        }
        let Some(OpenItem::Reasoning { text, .. }) = &mut self.open else { return };
        let is_first = text.is_empty();
        text.push_str(delta);
        if is_first {
            self.tell_summary("response.reasoning_summary_part.added", &summary_part(""));
        }
        self.tell_summary("response.reasoning_summary_text.delta", &json!({"delta": delta}));
    }

    /// Thinking is over, and may go back to who thought it.
    pub fn seal(&mut self, thought: &SealedThought) {
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

    /// Thinking begins, and has that id.
    pub fn announce_thinking(&mut self, id: Option<&str>) {
        self.close("completed");
        self.announced = id.map(str::to_owned);
        self.is_apart = true;
    }

    /// Another part of the thinking begins.
    pub fn begin_thinking_part(&mut self) {
        self.end_thinking_part();
        self.is_apart = true;
    }

    /// A message begins.
    pub fn announce_message(&mut self) {
        self.close("completed");
        self.is_apart = true;
    }

    /// What the message has become, by a provider that speaks the protocol. It counts if it says what was told.
    pub fn complete_message(&mut self, mut item: Value) {
        let content = item["content"].as_array().into_iter().flatten();
        let texts = content.filter_map(|part| part["text"].as_str().or(part["refusal"].as_str()));
        let said: String = texts.collect();
        match &mut self.open {
            Some(OpenItem::Message { text, own_words, .. }) if *text == said => {
                *own_words = Some(item);
            }
            Some(OpenItem::Message { .. }) => {}
            _ if said.is_empty() => {
                self.close("completed");
                item["id"] = json!(self.next_message_id().to_string());
                self.add_item(&item);
                self.end_item(item);
            }
            _ => {}
        }
    }

    pub fn add_call(&mut self, place: usize, call: &ToolCall) {
        let id = ItemId { kind: ItemKind::FunctionCall, run_id: self.run_id, place };
        let whole = function_call(id, call);
        let mut begun = whole.clone();
        (begun["arguments"], begun["status"]) = (json!(""), json!("in_progress"));
        self.add_item(&begun);
        let about = |name: &str, value: &Value| {
            let mut about = json!({"item_id": id.to_string(), "output_index": self.place()});
            about[name] = value.clone();
            about
        };
        let delta = about("delta", &whole["arguments"]);
        let mut done = about("arguments", &whole["arguments"]);
        done["name"] = json!(call.name);
        self.frames.tell("response.function_call_arguments.delta", delta);
        self.frames.tell("response.function_call_arguments.done", done);
        self.end_item(whole);
    }

    /// The place of an item that a provider begins, and tells in its own words.
    pub fn reserve_place(&mut self) -> usize {
        self.close("completed");
        self.items.push(Value::Null);
        self.place()
    }

    /// What such an item has become.
    pub fn put(&mut self, place: usize, item: Value) {
        self.items[place] = item;
    }

    /// What a provider tells of a text besides, such as what it cites, belongs to the message that is open: gives it that
    /// message's id, and returns its place.
    pub fn add_to_message(&mut self, told: &mut Value) -> Option<usize> {
        let place = self.place();
        let Some(OpenItem::Message { id, annotations, .. }) = &mut self.open else { return None };
        if told.get("item_id").is_some() {
            told["item_id"] = json!(id.to_string());
        }
        if told["type"] == "response.output_text.annotation.added" {
            annotations.push(told["annotation"].clone());
        }
        Some(place)
    }

    /// Ends the item that is open.
    pub fn close(&mut self, status: &str) {
        match &self.open {
            Some(OpenItem::Message { .. }) => self.close_message(status),
            Some(OpenItem::Reasoning { .. }) => self.close_reasoning(None),
            None => {}
        }
    }

    /// The items that are whole.
    pub fn take_items(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.items).into_iter().filter(|item| !item.is_null()).collect()
    }

    fn open_message(&mut self) {
        self.close("completed");
        let id = self.next_message_id();
        self.add_item(&json!({"id": id.to_string(), "type": "message", "role": "assistant",
            "status": "in_progress", "content": []}));
        let (text, annotations) = (String::new(), Vec::new());
        self.open = Some(OpenItem::Message { id, text, annotations, own_words: None });
        self.tell_part("response.content_part.added", &json!({"part": self.part("", &[])}));
    }

    fn next_message_id(&mut self) -> ItemId {
        let id = ItemId { kind: ItemKind::Message, run_id: self.run_id, place: self.messages };
        self.messages += 1;
        id
    }

    /// A text that stands in an item of its own, if it is behind another.
    fn without_gap<'a>(&mut self, delta: &'a str, is_behind_another: bool) -> &'a str {
        let is_apart = std::mem::take(&mut self.is_apart) && is_behind_another;
        delta.strip_prefix(GAP).filter(|_| is_apart).unwrap_or(delta)
    }

    fn open_reasoning(&mut self) {
        self.close("completed");
        let id = ItemId { kind: ItemKind::Reasoning, run_id: self.run_id, place: self.thoughts };
        self.thoughts += 1;
        let id = self.announced.take().unwrap_or_else(|| id.to_string());
        self.add_item(&json!({"id": id, "type": "reasoning", "summary": []}));
        self.open = Some(OpenItem::Reasoning { id, parts: Vec::new(), text: String::new() });
    }

    /// Begins an item that becomes whole later.
    fn add_item(&mut self, item: &Value) {
        self.items.push(Value::Null);
        let fields = json!({"output_index": self.place(), "item": item});
        self.frames.tell("response.output_item.added", fields);
    }

    fn end_item(&mut self, item: Value) {
        let place = self.place();
        self.frames.tell("response.output_item.done", json!({"output_index": place, "item": item}));
        self.items[place] = item;
    }

    /// The place of the last item.
    fn place(&self) -> usize {
        self.items.len().saturating_sub(1)
    }

    fn close_message(&mut self, status: &str) {
        let Some(OpenItem::Message { id, text, annotations, own_words }) = &self.open else {
            return;
        };
        let part = self.part(text, annotations);
        let mut item = message(*id, &part, status);
        for (name, value) in own_words.iter().filter_map(Value::as_object).flatten() {
            if !["id", "status"].contains(&name.as_str()) {
                item[name] = value.clone();
            }
        }
        let (kind, done) = if self.is_refusing {
            ("response.refusal.done", json!({"refusal": text}))
        } else {
            ("response.output_text.done", json!({"text": text, "logprobs": []}))
        };
        self.tell_part(kind, &done);
        self.tell_part("response.content_part.done", &json!({"part": part}));
        self.open = None;
        self.end_item(item);
    }

    fn close_reasoning(&mut self, code: Option<Value>) {
        self.end_thinking_part();
        let Some(OpenItem::Reasoning { id, parts, .. }) = self.open.take() else { return };
        let mut item = json!({"id": id, "type": "reasoning", "summary": parts});
        if let Some(code) = code {
            item["encrypted_content"] = code;
        }
        self.end_item(item);
    }

    fn end_thinking_part(&mut self) {
        let Some(OpenItem::Reasoning { text, .. }) = &self.open else { return };
        if text.is_empty() {
            return;
        }
        let (whole, mut part) = (json!({"text": text}), summary_part(text));
        self.tell_summary("response.reasoning_summary_text.done", &whole);
        self.tell_summary("response.reasoning_summary_part.done", &part);
        if let Some(OpenItem::Reasoning { parts, text, .. }) = &mut self.open {
            text.clear();
            parts.push(part["part"].take());
        }
    }

    /// The only part of a message that says this.
    fn part(&self, text: &str, annotations: &[Value]) -> Value {
        if self.is_refusing { refusal(text) } else { output_text(text, annotations) }
    }

    /// Tells of the only part of the message that is open.
    fn tell_part(&mut self, kind: &str, fields: &Value) {
        let Some(OpenItem::Message { id, .. }) = &self.open else { return };
        let about =
            json!({"item_id": id.to_string(), "output_index": self.place(), "content_index": 0});
        self.frames.tell(kind, joined(about, fields));
    }

    /// Tells of the last part of the summary of the thinking that is open.
    fn tell_summary(&mut self, kind: &str, fields: &Value) {
        let Some(OpenItem::Reasoning { id, parts, .. }) = &self.open else { return };
        let about =
            json!({"item_id": id, "output_index": self.place(), "summary_index": parts.len()});
        self.frames.tell(kind, joined(about, fields));
    }
}

fn joined(mut about: Value, fields: &Value) -> Value {
    for (name, value) in fields.as_object().into_iter().flatten() {
        about[name] = value.clone();
    }
    about
}

fn summary_part(text: &str) -> Value {
    json!({"part": {"type": "summary_text", "text": text}})
}
