//! A call of an answer in Chat Completions, put together from the pieces that tell of it.

use serde_json::{Value, json};

use super::wire;
use crate::chat::{BrokenCall, FurtherFields, Protocol, ToolCall, WrittenJson};
use crate::provider::dialect::{new_call_id, read_call};
use crate::provider::further::{self, further_fields};

#[derive(Debug, Default)]
pub(super) struct OpenCall {
    index: u64,
    id: String,
    name: String,
    arguments: String,
    /// What it is if it is no call of a function.
    kind: Option<String>,
    /// What a call of that kind says in the object that is named like it.
    own: Option<WrittenJson>,
    further: FurtherFields,
}

impl OpenCall {
    pub fn new(index: u64) -> Self {
        Self { index, ..Self::default() }
    }

    /// Whether a piece continues it. Some servers give parallel calls one index, or none: another id is another call.
    pub fn is_continued_by(&self, index: u64, id: Option<&str>) -> bool {
        self.index == index && id.is_none_or(|id| self.id.is_empty() || self.id == id)
    }

    /// Whether it is a call of a function, whose arguments show whether they are whole.
    pub fn is_of_function(&self) -> bool {
        self.kind.is_none()
    }

    pub fn add(&mut self, piece: wire::ToolCall) {
        let wire::ToolCall { index: _, id, kind, function, further } = piece;
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            self.id = id;
        }
        // Some servers repeat the name with every piece of the arguments.
        if let Some(name) = function.name.filter(|name| *name != self.name) {
            self.name.push_str(&name);
        }
        self.arguments.push_str(&function.arguments.unwrap_or_default());
        self.kind = kind.filter(|kind| kind != "function").or_else(|| self.kind.take());
        let (own, further): (Vec<_>, Vec<_>) =
            further.into_iter().partition(|(name, _)| self.kind.as_ref() == Some(name));
        let own = own.into_iter().map(|(_, piece)| Box::<str>::from(piece).into_string());
        for piece in own.filter_map(|piece| WrittenJson::read(piece).ok()) {
            self.own = Some(match self.own.take() {
                Some(before) => joined(before.to_value(), piece.to_value()).into(),
                None => piece,
            });
        }
        let further = further.iter().map(|(name, value)| (&**name, value.get()));
        self.further.extend(further_fields(further, &[]));
    }

    pub fn close(self) -> Result<ToolCall, BrokenCall> {
        // Some servers give calls no ids.
        let id = if self.id.is_empty() { new_call_id() } else { self.id };
        let (call, further) = match self.kind {
            None => (read_call(id, self.name, self.arguments)?, self.further),
            Some(kind) => {
                let said = self.own.as_ref().map(WrittenJson::to_value).unwrap_or_default();
                // Of other kinds than `custom` the name's place is not known.
                let name = said["name"].as_str().filter(|_| kind == "custom").unwrap_or(&kind);
                let call = ToolCall::new(id, name, json!({"input": said["input"]}));
                let kind_field = ("type".to_owned(), json!(kind).into());
                let own = self.own.map(|own| (kind, own));
                let fields = std::iter::once(kind_field).chain(own).chain(self.further);
                (call, fields.collect())
            }
        };
        Ok(ToolCall { further: further::words(Protocol::ChatCompletions, further), ..call })
    }
}

/// Texts come in pieces, names as a whole.
fn joined(before: Value, piece: Value) -> Value {
    let Value::Object(mut fields) = before else { return piece };
    let Value::Object(piece) = piece else { return Value::Object(fields) };
    for (name, value) in piece {
        match (fields.get_mut(&name), value) {
            (Some(Value::String(text)), Value::String(more)) if name != "name" => {
                text.push_str(&more);
            }
            (_, value) => {
                fields.insert(name, value);
            }
        }
    }
    Value::Object(fields)
}
