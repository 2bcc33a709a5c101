//! One turn of a run: a model call, and the calls of tools that came of it.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::RunEvent;
use crate::chat::{
    BrokenCall, FinishReason, Message, Money, Part, SealedThought, ToolCall, Usage, WrittenJson,
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
            needs_gap: has_text_before,
            held_back: is_held_back.then(Vec::new),
            is_over: false,
        }
    }

    /// What came so far is void.
    pub fn restart(&mut self) {
        self.content.clear();
        self.asked.clear();
        self.finish_reason = None;
        self.held_back.iter_mut().for_each(Vec::clear);
    }

    /// Takes a piece of the text; returns what is told of it.
    pub fn add_text(&mut self, piece: String) -> String {
        let is_first = !self.content.iter().any(|part| part.as_text().is_some());
        match self.content.last_mut() {
            Some(Part::Text { text, .. }) => text.push_str(&piece),
            _ => self.content.push(Part::text(piece.as_str())),
        }
        if is_first && self.needs_gap { [GAP, &piece].concat() } else { piece }
    }

    pub fn add_thought(&mut self, thought: SealedThought) {
        self.content.push(Part::Thought(thought));
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
    pub fn end(&mut self, used: (Usage, Option<Money>), tool_calls: Vec<ExecutedCall>) -> Turn {
        self.is_over = true;
        self.told(used, tool_calls)
    }

    /// The turn as the model is shown it when it goes on.
    pub fn to_message(&self) -> Message {
        let calls = self.asked.iter().map(|asked| asked.call.clone()).collect();
        Message::assistant(self.content.clone(), calls)
    }

    /// The turn as it stands, with what it has used and what that has cost.
    pub fn told(
        &self,
        (usage, cost): (Usage, Option<Money>),
        tool_calls: Vec<ExecutedCall>,
    ) -> Turn {
        // Some servers, and Gemini always, say `stop` when the model has called tools.
        let finish_reason = self.finish_reason.map(|reason| match reason {
            FinishReason::Stop if !self.asked.is_empty() => FinishReason::ToolCalls,
            reason => reason,
        });
        Turn {
            model: self.model.clone(),
            usage,
            cost_usd: cost.map(Money::to_usd),
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
    use super::OpenTurn;
    use crate::chat::{BrokenCall, Part, WrittenJson};
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
