//! What comes of a turn: whose calls they are, and whether the model is asked again. What executes them is `tools`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use futures_util::{Stream, StreamExt, stream};

use super::required::Required;
use super::spans;
use super::turn::{AskedCall, ExecutedCall, OpenTurn, milliseconds_since};
use crate::chat::{FinishReason, Message, Part, ToolCall};
use crate::telemetry::metrics::{self, OTHER};
use crate::tools::{Offer, ServerTool, ToolContent, ToolOutcome, ToolServers};

/// Most model calls of a run whose definition does not say.
const DEFAULT_MAX_TURNS: u32 = 25;

/// Most calls of a turn that are under way at once.
const PARALLEL_CALLS: usize = 8;

/// What names of servers' tools begin with.
const SERVER_TOOL_PREFIX: &str = "mcp__";

/// The tools of a run, and how long it may go on with them.
#[derive(Debug)]
pub(super) struct ToolLoop {
    servers: ToolServers,
    offer: Offer,
    /// Names of the caller's own tools.
    callers: HashSet<String>,
    required: Required,
    turns_left: u32,
}

/// Who answers a call.
#[derive(Debug, Clone)]
pub(super) enum Owner {
    Server(Arc<ServerTool>),
    Caller,
    /// There is no such tool.
    Nobody,
}

/// What follows a turn.
#[derive(Debug)]
pub(super) enum Step {
    /// The run ends: with an answer, or with calls for the caller.
    End,
    /// The run ends with calls that nobody executes: it may have no more turns.
    OutOfTurns,
    /// The answer is kept back, and the model is told why.
    Remind(Message),
    /// Calls are executed. The model is asked again, unless the caller has calls to answer too.
    Execute { goes_on: bool },
}

/// A call that is over.
pub(super) struct CallEnd {
    /// Which of the turn's calls, the caller's among them.
    pub place: usize,
    pub outcome: ToolOutcome,
    pub ms: u64,
}

impl ToolLoop {
    pub fn new(
        servers: ToolServers,
        offer: Offer,
        callers: HashSet<String>,
        required: Required,
        max_turns: Option<u32>,
    ) -> Self {
        let turns_left = max_turns.unwrap_or(DEFAULT_MAX_TURNS).max(1);
        Self { servers, offer, callers, required, turns_left }
    }

    /// Whether the model may be asked again: because the agent has tools of servers, or because it wants some that are
    /// missing and its model may call them from memory.
    pub fn is_on(&self) -> bool {
        !self.offer.tools.is_empty() || !self.offer.missing.is_empty()
    }

    pub fn owner(&self, name: &str) -> Owner {
        if self.callers.contains(name) {
            return Owner::Caller;
        }
        if let Some(tool) = self.offer.find(name) {
            return Owner::Server(Arc::clone(tool));
        }
        let is_of_missing_server = self.is_on() && name.starts_with(SERVER_TOOL_PREFIX);
        // Who offers no tools leaves it to the caller what becomes of a call.
        if self.offer.tools.is_empty() && !is_of_missing_server {
            return Owner::Caller;
        }
        Owner::Nobody
    }

    /// Whether an answer would come without a tool that it needs.
    pub fn is_tool_outstanding(&self) -> bool {
        self.required.is_outstanding()
    }

    /// Whether the run ends without a tool that it needed.
    pub fn was_tool_skipped(&self) -> bool {
        self.required.is_skipped()
    }

    /// Decides what follows a turn that is over.
    pub fn next_step(&mut self, turn: &OpenTurn) -> Step {
        self.turns_left = self.turns_left.saturating_sub(1);
        // What the model refuses is not worked on.
        if turn.finish_reason == Some(FinishReason::Refusal) {
            return Step::End;
        }
        let (callers, ours): (Vec<_>, Vec<_>) =
            turn.asked.iter().partition(|asked| self.is_callers(asked));
        let has_foreign = turn.foreign_calls().any(|call| self.is_of_callers_tool(call));
        if !ours.is_empty() {
            let goes_on = callers.is_empty() && !has_foreign;
            let may_go_on = self.turns_left > 0;
            return if goes_on && !may_go_on {
                Step::OutOfTurns
            } else {
                Step::Execute { goes_on }
            };
        }
        let is_cut = turn.finish_reason == Some(FinishReason::Length);
        if !callers.is_empty() || has_foreign || is_cut || self.turns_left == 0 {
            return Step::End;
        }
        self.required.remind(&self.offer).map_or(Step::End, Step::Remind)
    }

    /// Whether a call that only its protocol has words for is one of a tool that the caller has. It is named like the tool,
    /// or like the tool's type, as `shell_call`; providers call tools of their own, too.
    fn is_of_callers_tool(&self, call: &ToolCall) -> bool {
        let name = call.name.trim_end_matches("_call");
        self.callers.iter().any(|tool| tool.starts_with(name))
    }

    /// Whether the caller can answer a call. One that is broken cannot be handed on.
    fn is_callers(&self, asked: &AskedCall) -> bool {
        asked.broken.is_none() && matches!(self.owner(&asked.call.name), Owner::Caller)
    }

    /// The calls of a turn that are not the caller's, not over yet.
    pub fn list_calls(&self, turn: &OpenTurn) -> Vec<(usize, ExecutedCall)> {
        let ours = turn.asked.iter().enumerate().filter(|(_, asked)| !self.is_callers(asked));
        let listed = ours.map(|(place, AskedCall { call, .. })| {
            let executed = ExecutedCall {
                id: call.id.clone(),
                name: call.name.clone(),
                server: self.server_of(&call.name),
                arguments: Some(call.arguments.clone()),
                is_error: None,
                ms: None,
            };
            (place, executed)
        });
        listed.collect()
    }

    pub fn server_of(&self, name: &str) -> Option<String> {
        match self.owner(name) {
            Owner::Server(tool) => Some(tool.server.clone()),
            Owner::Caller | Owner::Nobody => None,
        }
    }

    /// Executes the calls of a turn that are not the caller's, several at once; tells of each as it ends. Dropping the
    /// stream cancels those that are under way.
    pub fn execute(&mut self, turn: &OpenTurn) -> impl Stream<Item = CallEnd> + Send + use<> {
        let mut calls = Vec::new();
        for (place, asked) in turn.asked.iter().enumerate() {
            if self.is_callers(asked) {
                continue;
            }
            let owner = self.owner(&asked.call.name);
            if let Owner::Server(tool) = &owner {
                self.required.note_call(tool);
            }
            calls.push(execute_one(self.servers.clone(), place, owner, asked.clone()));
        }
        stream::iter(calls).buffer_unordered(PARALLEL_CALLS)
    }
}

async fn execute_one(
    servers: ToolServers,
    place: usize,
    owner: Owner,
    asked: AskedCall,
) -> CallEnd {
    let began = Instant::now();
    let AskedCall { call, broken } = asked;
    let server = match &owner {
        Owner::Server(tool) => Some(tool.server.clone()),
        Owner::Caller | Owner::Nobody => None,
    };
    let span = spans::begin_tool(&call, server.as_deref());
    let outcome = match (broken, owner) {
        (Some(reason), _) => {
            ToolOutcome::error(format!("the arguments are not valid JSON: {reason}"))
        }
        (None, Owner::Server(tool)) => {
            span.around(servers.call(&tool, &call.arguments.to_value())).await
        }
        (None, _) => ToolOutcome::error(format!("there is no tool `{}`", call.name)),
    };
    if outcome.is_error {
        span.fail("tool_error");
    }
    let word = if outcome.is_error { "error" } else { "ok" };
    metrics::tool_called(server.as_deref().unwrap_or(OTHER), word, began.elapsed());
    CallEnd { place, outcome, ms: milliseconds_since(began) }
}

/// A result as a part of a message has it.
pub(super) fn parts(outcome: ToolOutcome) -> Vec<Part> {
    let part = |content| match content {
        ToolContent::Text(text) => Part::text(text),
        ToolContent::Image { media_type, data } => Part::Image { media_type, data },
    };
    outcome.content.into_iter().map(part).collect()
}
