//! Events of a message's stream, and the message that they add up to.

use axum::response::sse::Event;
use serde_json::{Value, json};

#[derive(Debug)]
pub(super) enum Frame {
    /// Its `type` is its name.
    Told(Value),
    /// As a provider has said it.
    Raw { name: String, data: String },
}

impl Frame {
    pub fn of(data: Value) -> Self {
        Self::Told(data)
    }
}

/// Clients of the protocol read the `event` line.
impl From<Frame> for Event {
    fn from(frame: Frame) -> Self {
        match frame {
            Frame::Told(data) => {
                let name = data["type"].as_str().unwrap_or_default();
                Self::default().event(name).data(data.to_string())
            }
            Frame::Raw { name, data } if name.is_empty() => Self::default().data(data),
            Frame::Raw { name, data } => Self::default().event(name).data(data),
        }
    }
}

/// The message that a stream has told.
pub(super) fn gather(frames: Vec<Frame>) -> Value {
    let (mut message, mut blocks) = (json!({}), Vec::new());
    for frame in frames {
        let mut data = match frame {
            Frame::Told(data) => data,
            Frame::Raw { data, .. } => serde_json::from_str(&data).unwrap_or_default(),
        };
        match data["type"].as_str().unwrap_or_default() {
            "message_start" => message = data["message"].take(),
            "content_block_start" => {
                blocks.push(Block { told: data["content_block"].take(), input: String::new() });
            }
            "content_block_delta" => {
                let index = data["index"].as_u64().and_then(|index| usize::try_from(index).ok());
                if let Some(block) = index.and_then(|index| blocks.get_mut(index)) {
                    block.add(&mut data["delta"]);
                }
            }
            "message_delta" => {
                if let Value::Object(end) = data["delta"].take() {
                    for (name, value) in end {
                        message[name] = value;
                    }
                }
                message["usage"] = data["usage"].take();
            }
            _ => {}
        }
    }
    message["content"] = blocks.into_iter().map(Block::finish).collect();
    message
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
            _ => {}
        }
    }

    fn append(&mut self, field: &str, more: &Value) {
        let text = self.told[field].as_str().unwrap_or_default();
        self.told[field] = json!(format!("{text}{}", more.as_str().unwrap_or_default()));
    }

    fn finish(mut self) -> Value {
        if let Ok(input) = serde_json::from_str::<Value>(&self.input) {
            self.told["input"] = input;
        }
        self.told
    }
}
