//! Events of a message's stream, and the message that they add up to.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::http::sse::SseFrame;

#[derive(Debug)]
pub(super) enum Frame {
    /// Its `type` is its name.
    Told(Value),
    /// A piece of the text of that block. A stream is little else.
    Text { index: u64, text: String },
    /// As a provider has said it.
    Raw { name: String, data: String },
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "content_block_delta")]
struct TextOfBlock<'a> {
    index: u64,
    delta: TextDelta<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "text_delta")]
struct TextDelta<'a> {
    text: &'a str,
}

impl Frame {
    pub fn of(data: Value) -> Self {
        Self::Told(data)
    }
}

/// Clients of the protocol read the `event` line.
impl From<Frame> for SseFrame {
    fn from(frame: Frame) -> Self {
        match frame {
            Frame::Told(data) => {
                let name = data["type"].as_str().unwrap_or_default();
                Self::new(name, &data.to_string())
            }
            Frame::Text { index, text } => {
                let data = TextOfBlock { index, delta: TextDelta { text: &text } };
                let data = serde_json::to_string(&data).expect("a delta is plain");
                Self::new("content_block_delta", &data)
            }
            Frame::Raw { name, data } => Self::new(&name, &data),
        }
    }
}

/// The message that a stream has told, as JSON.
pub(super) fn gather(frames: Vec<Frame>) -> String {
    let (mut message, mut content) = (json!({}), Vec::new());
    for frame in frames {
        let mut data = match frame {
            Frame::Told(data) => data,
            Frame::Text { index, text } => {
                json!(TextOfBlock { index, delta: TextDelta { text: &text } })
            }
            Frame::Raw { data, .. } => serde_json::from_str(&data).unwrap_or_default(),
        };
        match data["type"].as_str().unwrap_or_default() {
            "message_start" => message = data["message"].take(),
            "content_block_start" => {
                content.push(Block { told: data["content_block"].take(), input: String::new() });
            }
            "content_block_delta" => {
                let index = data["index"].as_u64().and_then(|index| usize::try_from(index).ok());
                if let Some(block) = index.and_then(|index| content.get_mut(index)) {
                    block.add(&mut data["delta"]);
                }
            }
            "message_delta" => {
                let delta = data["delta"].take();
                for end in [delta, data] {
                    let Value::Object(fields) = end else { continue };
                    let fields = fields.into_iter();
                    for (name, value) in fields.filter(|(name, _)| !is_of_the_event(name)) {
                        message[name] = value;
                    }
                }
            }
            _ => {}
        }
    }
    serde_json::to_string(&Message { told: message, content }).expect("a message is plain")
}

struct Message {
    told: Value,
    /// It takes the place that what was told has for it.
    content: Vec<Block>,
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_with(serializer, &self.told, "content", Some(&self.content))
    }
}

/// Writes the fields of an object, and in place of one of them, or behind them all, what there is for it.
fn serialize_with<S: Serializer>(
    serializer: S,
    object: &Value,
    field: &str,
    value: Option<impl Serialize>,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    let mut value = value;
    for (name, told) in object.as_object().into_iter().flatten() {
        match value.take_if(|_| name == field) {
            Some(value) => map.serialize_entry(name, &value)?,
            None => map.serialize_entry(name, told)?,
        }
    }
    if let Some(value) = value {
        map.serialize_entry(field, &value)?;
    }
    map.end()
}

/// Whether a field is the event's own, and none of its message.
fn is_of_the_event(name: &str) -> bool {
    matches!(name, "type" | "delta")
}

struct Block {
    told: Value,
    /// The input of a call, as it is written.
    input: String,
}

impl Block {
    fn add(&mut self, delta: &mut Value) {
        match delta["type"].as_str().unwrap_or_default() {
            "text_delta" => self.append("text", &delta["text"]),
            "thinking_delta" => self.append("thinking", &delta["thinking"]),
            "signature_delta" => self.append("signature", &delta["signature"]),
            "input_json_delta" => {
                self.input.push_str(delta["partial_json"].as_str().unwrap_or_default());
            }
            "citations_delta" => {
                let citation = delta["citation"].take();
                match &mut self.told["citations"] {
                    Value::Array(citations) => citations.push(citation),
                    citations => *citations = json!([citation]),
                }
            }
            // Those of other kinds are pieces of the fields that they name.
            _ => {
                for (field, piece) in delta.as_object().into_iter().flatten() {
                    match piece {
                        Value::String(_) if field != "type" => self.append(field, piece),
                        Value::String(_) | Value::Null => {}
                        _ => self.told[field] = piece.clone(),
                    }
                }
            }
        }
    }

    fn append(&mut self, field: &str, more: &Value) {
        let text = self.told[field].as_str().unwrap_or_default();
        self.told[field] = json!(format!("{text}{}", more.as_str().unwrap_or_default()));
    }
}

/// The input of a call stays as it is written.
impl Serialize for Block {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let input = serde_json::from_str::<&RawValue>(&self.input).ok();
        serialize_with(serializer, &self.told, "input", input)
    }
}
