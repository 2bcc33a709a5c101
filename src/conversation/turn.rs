//! One turn of a run: a model call, and the calls of tools that came of it.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::RunEvent;
use super::funds::TurnUse;
use crate::chat::{
    BrokenCall, FinishReason, ForeignItem, Message, Money, Part, SealedThought, ToolCall, Usage,
    WrittenJson,
};

/// What stands between the texts of two turns.
const GAP: &str = "\n\n";

/// A turn that is over, as it is told of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Turn {
    /// The model that answered, as `provider/model`.
    pub model: String,
    pub usage: Usage,
    /// What that cost in US dollars; null if it is not known.
    #[serde(default)]
    pub cost_usd: Option<f64>,
    /// How long the model took, attempts that failed included and tools aside.
    pub ms: u64,
    #[schema(value_type = Option<String>)]
    pub finish_reason: Option<FinishReason>,
    /// The calls that were not the caller's to answer, in the model's order.
    pub tool_calls: Vec<ExecutedCall>,
    /// Whether its text is kept from the caller: it came without a tool that is required.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held_back: bool,
}

/// A call of a tool that a server of the operator's has executed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExecutedCall {
    pub id: String,
    pub name: String,
    /// Null if there is no tool of this name.
    pub server: Option<String>,
    /// Null if texts are not kept.
    #[schema(value_type = Option<Value>)]
    pub arguments: Option<WrittenJson>,
    /// Null if the run ended before the call did.
    pub is_error: Option<bool>,
    pub ms: Option<u64>,
}

/// The turn that is under way.
#[derive(Debug)]
pub(super) struct OpenTurn {
    began: Instant,
    pub model: String,
    pub finish_reason: Option<FinishReason>,
    /// What the model said and thought, in its order.
    content: Vec<Part>,
    pub asked: Vec<AskedCall>,
    /// Calls that only the provider's protocol has words for.
    foreign_calls: Vec<ToolCall>,
    /// Whether text has been told before that this turn's must stand apart from.
    needs_gap: bool,
    /// Events that are told when the turn is over, so that it can begin anew or be kept back. `None` tells each as it
    /// comes.
    held_back: Option<Vec<RunEvent>>,
    /// Whether the model has said all.
    is_over: bool,
}

/// A call that the model asks for.
#[derive(Debug, Clone)]
pub(super) struct AskedCall {
    pub call: ToolCall,
    /// Why it cannot be made, if its arguments are no JSON.
    pub broken: Option<String>,
}

impl OpenTurn {
    pub fn begin(has_text_before: bool, is_held_back: bool) -> Self {
        Self {
            began: Instant::now(),
            model: String::new(),
            finish_reason: None,
            content: Vec::new(),
            asked: Vec::new(),
            foreign_calls: Vec::new(),
            needs_gap: has_text_before,
            held_back: is_held_back.then(Vec::new),
            is_over: false,
        }
    }

    /// What came so far is void.
    pub fn restart(&mut self) {
        self.content.clear();
        self.asked.clear();
        self.foreign_calls.clear();
        self.finish_reason = None;
        self.held_back.iter_mut().for_each(Vec::clear);
    }

    /// Takes a piece of the text; returns what is told of it.
    pub fn add_text(&mut self, piece: String) -> String {
        let mut said = self.content.iter().flat_map(Part::meaning);
        let is_first = said.all(|part| part.as_text().is_none());
        match self.content.last_mut() {
            Some(Part::Text { text, .. }) => text.push_str(&piece),
            _ => self.content.push(Part::text(piece.as_str())),
        }
        if is_first && self.needs_gap { [GAP, &piece].concat() } else { piece }
    }

    pub fn add_thought(&mut self, thought: SealedThought) {
        self.content.push(Part::Thought(thought));
    }

    /// Takes an item in its protocol's words, in the place of the text that it repeats.
    pub fn add_foreign(&mut self, item: ForeignItem, call: Option<ToolCall>) {
        let repeated = item.meaning.first().and_then(Part::as_text);
        if let Some(repeated) = repeated
            && !self.take_back(repeated)
        {
            // It has another text than what was told.
            return;
        }
        self.content.push(Part::Foreign(item));
        self.foreign_calls.extend(call);
    }

    /// Takes a text back that was said last; false if another one was.
    fn take_back(&mut self, repeated: &str) -> bool {
        let Some(Part::Text { text, .. }) = self.content.last_mut() else { return false };
        let Some(before) = text.strip_suffix(repeated) else { return false };
        // Items of one kind stand apart in the text that is told.
        let rest = before.strip_suffix(GAP).unwrap_or(before).len();
        text.truncate(rest);
        self.content.pop_if(|part| part.as_text() == Some(""));
        true
    }

    /// Calls that only the provider's protocol has words for, and that the caller is to answer: those that do not stand
    /// beside their results.
    pub fn foreign_calls(&self) -> impl Iterator<Item = &ToolCall> {
        let items = |id: &str| {
            self.content.iter().filter(|part| part.foreign_call_id() == Some(id)).count()
        };
        self.foreign_calls.iter().filter(move |call| items(&call.id) == 1)
    }

    pub fn add_call(&mut self, call: ToolCall) {
        self.asked.push(AskedCall { call, broken: None });
    }

    /// Providers take nothing but JSON back, so that what was wrong is told in the result alone.
    pub fn add_broken_call(&mut self, broken: BrokenCall) -> &ToolCall {
        let BrokenCall { id, name, reason } = broken;
        let call = ToolCall::new(id, name, WrittenJson::empty_object());
        let place = self.asked.len();
        self.asked.push(AskedCall { call, broken: Some(reason) });
        &self.asked[place].call
    }

    /// An event to be told, now or when the turn is over. Returns it if that is now.
    pub fn hold(&mut self, event: RunEvent) -> Option<RunEvent> {
        match &mut self.held_back {
            Some(held_back) => {
                held_back.push(event);
                None
            }
            None => Some(event),
        }
    }

    /// What has been held back and is to be told now.
    pub fn release(&mut self) -> Vec<RunEvent> {
        self.held_back.take().unwrap_or_default()
    }

    /// Whether a model has begun to answer and is not at its end.
    pub fn is_under_way(&self) -> bool {
        !self.model.is_empty() && !self.is_over
    }

    /// The turn as it is told of the run, now that the model has said all.
    pub fn end(&mut self, used: TurnUse, tool_calls: Vec<ExecutedCall>) -> Turn {
        self.is_over = true;
        self.told(used, tool_calls)
    }

    /// The turn as the model is shown it when it goes on.
    pub fn to_message(&self) -> Message {
        let calls = self.asked.iter().map(|asked| &asked.call).chain(self.foreign_calls());
        Message::assistant(self.content.clone(), calls.cloned().collect())
    }

    /// The turn as it stands.
    pub fn told(&self, used: TurnUse, tool_calls: Vec<ExecutedCall>) -> Turn {
        // Some servers, and Gemini always, say `stop` when the model has called tools.
        let finish_reason = self.finish_reason.map(|reason| match reason {
            FinishReason::Stop if !self.asked.is_empty() => FinishReason::ToolCalls,
            reason => reason,
        });
        Turn {
            model: self.model.clone(),
            usage: used.usage,
            cost_usd: used.cost.map(Money::to_usd),
            ms: milliseconds_since(self.began),
            finish_reason,
            tool_calls,
            held_back: false,
        }
    }
}

pub(super) fn milliseconds_since(began: Instant) -> u64 {
    began.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::OpenTurn;
    use crate::chat::{BrokenCall, ForeignItem, Part, Protocol, ToolCall, WrittenJson};
    use crate::conversation::RunEvent;

    #[test]
    fn the_texts_of_two_turns_stand_apart() {
        let mut turn = OpenTurn::begin(true, false);
        assert_eq!(turn.add_text("Now".into()), "\n\nNow");
        assert_eq!(turn.add_text(" this".into()), " this");
        // The model is shown what it said, and not the gap.
        assert_eq!(turn.to_message().content, [Part::text("Now this")]);
    }

    #[test]
    fn items_in_their_protocols_words_take_the_place_of_what_they_repeat() {
        let item = |text: &str| ForeignItem {
            protocol: Protocol::Responses,
            item: json!({"text": text}).to_string(),
            call_id: None,
            meaning: vec![Part::text(text)],
        };
        let mut turn = OpenTurn::begin(false, false);
        turn.add_text("One.".into());
        turn.add_text("\n\nTwo.".into());
        turn.add_foreign(item("Two."), None);
        turn.add_text("\n\nThree.".into());
        turn.add_foreign(item("Four."), None);
        let said = [Part::text("One."), Part::Foreign(item("Two.")), Part::text("\n\nThree.")];
        assert_eq!(turn.to_message().content, said);
    }

    #[test]
    fn a_foreign_call_beside_its_result_is_nobodys_to_answer() {
        let item = |id: &str| ForeignItem {
            protocol: Protocol::Responses,
            item: "{}".into(),
            call_id: Some(id.into()),
            meaning: Vec::new(),
        };
        let call = |id: &str| Some(ToolCall::new(id, "shell", json!({})));
        let mut turn = OpenTurn::begin(false, false);
        turn.add_foreign(item("a"), call("a"));
        turn.add_foreign(item("a"), None);
        turn.add_foreign(item("b"), call("b"));
        assert_eq!(turn.to_message().tool_calls, Vec::from_iter(call("b")));
    }

    #[test]
    fn a_turn_that_begins_anew_forgets_what_was_held_back() {
        let mut turn = OpenTurn::begin(false, true);
        let told = turn.add_text("Half".into());
        assert!(turn.hold(RunEvent::TextDelta(told)).is_none());
        turn.restart();
        let told = turn.add_text("Whole".into());
        turn.hold(RunEvent::TextDelta(told));
        let released = turn.release();
        assert!(matches!(released.as_slice(), [RunEvent::TextDelta(text)] if text == "Whole"));
    }

    #[test]
    fn a_broken_call_goes_back_as_json() {
        let mut turn = OpenTurn::begin(false, false);
        let reason = "expected value".to_owned();
        turn.add_broken_call(BrokenCall { id: "1".into(), name: "look".into(), reason });
        let message = turn.to_message();
        assert_eq!(message.tool_calls[0].arguments, WrittenJson::empty_object());
    }
}
