//! The one owner of a run under way. Whatever ends it, it settles the run's status, usage, place and record once: see
//! [`settlement`](super::settlement).

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};

use super::end::End;
use super::figures::RunClock;
use super::funds::Funds;
use super::live_run::LiveRun;
use super::places::Place;
use super::run::RunStatus;
use super::stored::Exchange;
use super::tool_loop::{CallEnd, Step, ToolLoop, parts};
use super::turn::{ExecutedCall, OpenTurn, Turn};
use super::waiting::Beginning;
use super::{Conversations, RunEvent, Warning};
use crate::chat::{ChatEvent, FinishReason, Message, Protocol, Usage};
use crate::dispatch::Decision;
use crate::provider::{ModelCall, ProviderError};
use crate::telemetry::traces::Span;
use crate::tools::ToolOutcome;

/// A run that is over sooner is put on record once, with its end.
const BRIEF: Duration = Duration::from_millis(100);

pub(super) struct Execution {
    pub conversations: Conversations,
    pub live: Arc<LiveRun>,
    pub call: ModelCall,
    pub tools: ToolLoop,
    pub funds: Funds,
    pub clock: RunClock,
    pub span: Arc<Span>,
    pub turn: OpenTurn,
    /// Whether each turn is told when it is over, so that an answer which was cut can be asked for again.
    pub is_held_back: bool,
    /// Whether the caller has named the model.
    pub names_model: bool,
    /// The protocol of the face that made the run: its callers are shown thinking, and what has no neutral word.
    pub face: Option<Protocol>,
    /// Of the turns that are over.
    pub usage: Usage,
    /// What it adds to its conversation, if that is stored.
    pub exchange: Option<Exchange>,
    /// What the conversation began with, if nothing of it is stored and the agent may call the caller's tools.
    pub beginning: Option<Beginning>,
}

impl Execution {
    /// Lives from the run's first event to its last.
    pub async fn run(mut self: Box<Self>, place: Place, decision: Decision) {
        self.live.tell(RunEvent::Started { id: self.live.id });
        self.live.tell(RunEvent::AgentSelected {
            agent: self.live.recorded.agent.clone(),
            dispatch_id: decision.id,
            outcome: decision.outcome,
            confidence: decision.confidence,
            handed_over: decision.handed_over.clone(),
        });
        let judged_ms = decision.judge.as_ref().map_or(0, |judgement| judgement.ms);
        self.clock.add_waited(Duration::from_millis(judged_ms));
        drop(decision);
        let (conversations, live) = (self.conversations.clone(), Arc::clone(&self.live));
        let inner = &conversations.inner;
        let timeout: Duration = inner.settings.run_timeout;
        let taking_too_long = async {
            let brief = BRIEF.min(timeout);
            tokio::time::sleep(brief).await;
            conversations.note_if_new(&live);
            tokio::time::sleep(timeout.saturating_sub(brief)).await;
        };
        let mut held = None;
        let answer = AssertUnwindSafe(async {
            let waits = Instant::now();
            held = Some(inner.places.wait(place).await);
            self.clock.add_wait(waits);
            self.answer().await
        });
        let end = tokio::select! {
            biased;
            by = live.cancelled() => End::Cancelled(by),
            () = inner.stop.cancelled() => End::Stopped,
            () = taking_too_long => End::TookTooLong,
            result = answer.catch_unwind() => match result {
                Ok(Ok(())) => End::Finished,
                Ok(Err(error)) => End::Failed(error),
                Err(_panic) => End::Panicked,
            },
        };
        self.settle(end).await;
        drop(held);
    }

    /// Turns, until one is the last.
    async fn answer(&mut self) -> Result<(), ProviderError> {
        self.live.update(|run| run.status = RunStatus::Connecting);
        if self.live.is_background {
            self.note();
        }
        loop {
            self.read_turn().await?;
            let Some(messages) = self.end_turn().await else { return Ok(()) };
            self.note();
            self.begin_turn(messages);
            if !self.funds.reserve_turn(&self.call) {
                self.cut_short(Warning::BudgetExceeded);
                return Ok(());
            }
        }
    }

    /// One model call.
    async fn read_turn(&mut self) -> Result<(), ProviderError> {
        loop {
            let waits = Instant::now();
            let event = self.call.next().await;
            self.clock.add_wait(waits);
            let Some(event) = event? else { return Ok(()) };
            // The answer that was cut is paid for, and another one may cost as much.
            if matches!(event, ChatEvent::Restarted) && !self.funds.reserve_turn(&self.call) {
                self.live.update(|run| run.warnings.push(Warning::BudgetExceeded));
                return Err(self.call.give_up());
            }
            let is_first = event.is_content() && self.is_connecting();
            if is_first && !self.is_held_back {
                // The answer's headers name the run and the decision.
                self.live.update(|run| run.status = RunStatus::Streaming);
                self.note();
                self.conversations.inner.ledger.secure().await;
            }
            self.take(event);
            if is_first {
                self.clock.note_content();
                self.live.show_content();
            }
        }
    }

    fn is_connecting(&self) -> bool {
        self.live.status() == RunStatus::Connecting
    }

    fn take(&mut self, event: ChatEvent) {
        let is_content = event.is_content();
        let attempts = self.call.attempts();
        let usage_before = self.usage;
        self.live.update(|run| {
            if is_content {
                run.status = RunStatus::Streaming;
            }
            if run.attempts.len() != attempts.len() {
                run.attempts = attempts.to_vec();
            }
            match &event {
                ChatEvent::Model(model) => run.model.resolved.clone_from(model),
                ChatEvent::Usage(usage) => run.usage = usage_before + *usage,
                ChatEvent::Finished(reason) => run.finish_reason = Some(*reason),
                ChatEvent::Refusing => run.refused_in_words = true,
                ChatEvent::Restarted => {
                    run.refused_in_words = false;
                    run.status = RunStatus::Connecting;
                    run.usage = usage_before;
                    run.finish_reason = None;
                }
                _ => {}
            }
        });
        self.add_to_turn(event);
    }

    fn add_to_turn(&mut self, event: ChatEvent) {
        let is_told = event.is_for(self.face);
        let turn = &mut self.turn;
        match event {
            ChatEvent::Model(model) => turn.model = model,
            // What the turn has used is asked of the funds when it is over.
            ChatEvent::Usage(_) => {}
            ChatEvent::Finished(reason) => turn.finish_reason = Some(reason),
            ChatEvent::Restarted => turn.restart(),
            ChatEvent::Refusing => {
                if is_told {
                    self.tell(RunEvent::Refusing {});
                }
            }
            ChatEvent::Thinking(text) => {
                if is_told {
                    self.tell(RunEvent::ThinkingDelta(text));
                }
            }
            ChatEvent::Thought(thought) => {
                turn.add_thought(thought.clone());
                if is_told {
                    self.tell(RunEvent::ThinkingSealed(thought));
                }
            }
            ChatEvent::Foreign(foreign) => {
                if is_told {
                    self.tell(RunEvent::ProviderEvent(foreign));
                }
            }
            ChatEvent::ForeignItem(item, call) => turn.add_foreign(item, call),
            ChatEvent::Text(text) => {
                let told = turn.add_text(text);
                self.tell(RunEvent::TextDelta(told));
            }
            ChatEvent::ToolCall(call) => {
                turn.add_call(call.clone());
                let server = self.tools.server_of(&call.name);
                self.tell(RunEvent::ToolCall { call, server });
            }
            ChatEvent::BrokenCall(broken) => {
                let call = turn.add_broken_call(broken).clone();
                let server = self.tools.server_of(&call.name);
                self.tell(RunEvent::ToolCall { call, server });
            }
        }
    }

    fn tell(&mut self, event: RunEvent) {
        if let Some(event) = self.turn.hold(event) {
            self.live.tell(event);
        }
    }

    /// Does what follows the turn; returns what the model is told if it is asked again.
    async fn end_turn(&mut self) -> Option<Vec<Message>> {
        let step = self.tools.next_step(&self.turn);
        let calls = self.tools.list_calls(&self.turn);
        let (places, calls): (Vec<usize>, Vec<ExecutedCall>) = calls.into_iter().unzip();
        let is_answer_kept_back = matches!(step, Step::Remind(_));
        let used = self.funds.used_in_turn(self.call.request_usages());
        let told = Turn { held_back: is_answer_kept_back, ..self.turn.end(used, calls) };
        self.usage = self.usage + told.usage;
        self.live.update(|run| {
            run.usage = self.usage;
            run.turns.push(told);
        });
        let released = self.turn.release();
        for event in released.into_iter().filter(|_| !is_answer_kept_back) {
            self.live.tell(event);
        }
        let (behind, goes_on) = match step {
            Step::End => (Vec::new(), false),
            Step::OutOfTurns => (self.leave_calls(&places), false),
            Step::Remind(reminder) => return Some(self.shown_to_model(vec![reminder])),
            Step::Execute { goes_on } => (self.execute(&places).await, goes_on),
        };
        let messages = self.shown_to_model(behind);
        if let Some(exchange) = &mut self.exchange {
            exchange.add(messages.iter().cloned());
        }
        goes_on.then_some(messages)
    }

    /// The turn, and what has come of it.
    fn shown_to_model(&self, behind: Vec<Message>) -> Vec<Message> {
        std::iter::once(self.turn.to_message()).chain(behind).collect()
    }

    /// Executes the calls of the turn that stand at these places; returns their results in this order.
    async fn execute(&mut self, places: &[usize]) -> Vec<Message> {
        let mut results: Vec<Option<Message>> = vec![None; places.len()];
        let waits = Instant::now();
        let mut ends = pin!(self.tools.execute(&self.turn));
        while let Some(end) = ends.next().await {
            if let Some(index) = places.iter().position(|place| *place == end.place) {
                results[index] = Some(self.end_call(index, end));
            }
        }
        self.clock.add_wait(waits);
        results.into_iter().flatten().collect()
    }

    /// Tells of a call that is over, and returns what the model is told. `index` is its place among those of servers.
    fn end_call(&self, index: usize, end: CallEnd) -> Message {
        let CallEnd { place, outcome, ms } = end;
        let (id, is_error) = (self.turn.asked[place].call.id.clone(), outcome.is_error);
        let content = parts(outcome);
        self.live.update(|run| {
            let turn = run.turns.last_mut();
            if let Some(call) = turn.and_then(|turn| turn.tool_calls.get_mut(index)) {
                (call.is_error, call.ms) = (Some(is_error), Some(ms));
            }
        });
        let told = content.clone();
        self.live.tell(RunEvent::ToolResult { id: id.clone(), is_error, content: told });
        Message::tool_result(id, content, is_error)
    }

    /// Ends a run that may have no more turns. Nobody would read what its last calls return.
    fn leave_calls(&self, places: &[usize]) -> Vec<Message> {
        let left = places.iter().enumerate().map(|(index, place)| {
            let outcome = ToolOutcome::error("not executed: the run may have no more turns");
            self.end_call(index, CallEnd { place: *place, outcome, ms: 0 })
        });
        let results = left.collect();
        self.cut_short(Warning::MaxTurnsReached);
        results
    }

    /// What there is has to do: a limit is in the way of more.
    fn cut_short(&self, warning: Warning) {
        self.live.update(|run| {
            run.warnings.push(warning);
            // As of any answer that a limit has cut: there is no call that the caller could answer.
            run.finish_reason = Some(FinishReason::Length);
        });
    }

    fn begin_turn(&mut self, messages: Vec<Message>) {
        let is_held_back = self.is_held_back || self.tools.is_tool_outstanding();
        self.turn = OpenTurn::begin(self.live.has_text(), is_held_back);
        self.live.update(|run| run.finish_reason = None);
        self.call.go_on(messages, is_held_back);
    }

    /// Puts the run on record as it stands.
    pub(super) fn note(&self) {
        self.conversations.note(&self.live);
    }
}
