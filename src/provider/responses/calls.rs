//! The function calls of an answer, put together from the events that tell of them.

use super::wire;
use crate::chat::{BrokenCall, ChatEvent, FurtherFields, Protocol, ToolCall};
use crate::provider::dialect::read_call;
use crate::provider::further;

/// The calls of an answer, in the order of its items.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
    /// Calls whose arguments are no JSON. Whether a limit cut them is told at the end.
    broken: Vec<BrokenCall>,
}

#[derive(Debug, Default)]
struct Call {
    output_index: Option<u64>,
    item_id: String,
    id: String,
    name: String,
    arguments: String,
    further: FurtherFields,
    is_done: bool,
    is_told: bool,
}

impl Calls {
    /// Whether a call is not whole yet.
    pub fn has_open(&self) -> bool {
        self.calls.iter().any(|call| !call.is_done)
    }

    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// An item begins. Its arguments follow.
    pub fn open(&mut self, output_index: Option<u64>, item: &wire::Item) {
        self.of_item(output_index, item);
    }

    pub fn add_arguments(&mut self, delta: &wire::Delta) {
        if let Some(call) = self.of_delta(delta) {
            call.arguments.push_str(&delta.delta);
        }
    }

    pub fn set_arguments(&mut self, delta: &wire::Delta) {
        if let Some(call) = self.of_delta(delta) {
            call.set_arguments(delta.arguments.as_deref());
        }
    }

    /// An item is whole; it may be a repetition. `further` reads what it says besides.
    pub fn complete(
        &mut self,
        output_index: Option<u64>,
        item: &wire::Item,
        further: impl FnOnce() -> FurtherFields,
    ) {
        let call = self.of_item(output_index, item);
        call.set_arguments(item.arguments.as_deref());
        if !call.is_done {
            call.further.extend(further());
        }
        call.is_done |= item.status != "incomplete";
    }

    /// The calls that can be told: those that are whole, unless one before them is not.
    pub fn ready(&mut self) -> Vec<ChatEvent> {
        let mut events = Vec::new();
        for call in self.calls.iter_mut().take_while(|call| call.is_done) {
            if std::mem::replace(&mut call.is_told, true) {
                continue;
            }
            match call.close() {
                Ok(call) => events.push(ChatEvent::ToolCall(call)),
                Err(broken) => self.broken.push(broken),
            }
        }
        events
    }

    /// No more is to come. If the answer was cut, so were a call that is not whole and arguments that cannot be
    /// read.
    pub fn finish(&mut self, is_cut: bool) -> Vec<ChatEvent> {
        self.calls.retain(|call| call.is_done || !is_cut);
        for call in &mut self.calls {
            call.is_done = true;
        }
        let mut events = self.ready();
        let broken = std::mem::take(&mut self.broken).into_iter().filter(|_| !is_cut);
        events.extend(broken.map(ChatEvent::BrokenCall));
        events
    }

    /// Finds the call of an item, or begins one.
    fn of_item(&mut self, output_index: Option<u64>, item: &wire::Item) -> &mut Call {
        let position = self.calls.iter().rposition(|call| call.is_of(item));
        let position = position.unwrap_or_else(|| {
            // Some servers name no index, or give all items the same: what begins first comes first.
            let is_before =
                |call: &Call| output_index.is_none() || call.output_index <= output_index;
            let position = self.calls.iter().rposition(is_before).map_or(0, |last| last + 1);
            self.calls.insert(position, Call { output_index, ..Call::default() });
            position
        });
        let call = &mut self.calls[position];
        for (known, told) in [
            (&mut call.item_id, &item.id),
            (&mut call.id, &item.call_id),
            (&mut call.name, &item.name),
        ] {
            if !told.is_empty() {
                known.clone_from(told);
            }
        }
        call
    }

    /// Finds the call that a delta belongs to. Some proxies give every event another item id, some servers give
    /// all items one index, and some name neither.
    fn of_delta(&mut self, delta: &wire::Delta) -> Option<&mut Call> {
        let open = || self.calls.iter().enumerate().rev().filter(|(_, call)| !call.is_done);
        let (position, _) = open()
            .find(|(_, call)| !call.item_id.is_empty() && call.item_id == delta.item_id)
            .or_else(|| open().find(|(_, call)| call.output_index == delta.output_index))
            .or_else(|| open().next().filter(|_| delta.output_index.is_none()))?;
        self.calls.get_mut(position)
    }
}

impl Call {
    /// Some servers give all items one id, and some proxies give every event another: the call's own comes first.
    fn is_of(&self, item: &wire::Item) -> bool {
        if self.id.is_empty() || item.call_id.is_empty() {
            return !item.id.is_empty() && self.item_id == item.id;
        }
        self.id == item.call_id
    }

    /// Empty arguments say nothing: they may have come in pieces.
    fn set_arguments(&mut self, whole: Option<&str>) {
        if let Some(whole) = whole.filter(|whole| !whole.is_empty()) {
            whole.clone_into(&mut self.arguments);
        }
    }

    fn close(&self) -> Result<ToolCall, BrokenCall> {
        let id = if self.id.is_empty() { &self.item_id } else { &self.id };
        let call = read_call(id.clone(), self.name.clone(), self.arguments.clone())?;
        let further = further::words(Protocol::Responses, self.further.clone());
        Ok(ToolCall { further, ..call })
    }
}
