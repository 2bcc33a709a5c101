//! The second stage: a stored conversation keeps its agent, unless what is asked now clearly belongs to another.
//!
//! Here is the rule alone. Which agent has a conversation, and whether it waits for results of tools, is known to who
//! asks.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::decision::{Decision, Outcome, Ranked, Strategy};
use super::local::{self, Judged};
use super::score::{Scored, round};
use super::{DispatchError, DispatchRequest, Index, Settings, named};
use crate::registry::Agent;

/// Nobody takes a conversation over who is less likely to be right than this.
const HANDED_OVER_FROM: f64 = 0.7;

/// A request of fewer telling words refers to what was said before ("is that secure?"), whatever its words are like.
const STANDS_ALONE_FROM: usize = 5;

/// The stored conversation that a request belongs to. `input` is what is asked now.
#[derive(Debug, Clone, Default)]
pub struct Sticky {
    pub conversation_id: Uuid,
    /// The agent that has it; `None` before there is one.
    pub agent: Option<String>,
    /// What the conversation began with: what is picked on if the agent is gone.
    pub opening: String,
    /// Whether the request brings results that the agent waits for.
    pub is_in_tool_loop: bool,
}

/// A conversation has another agent than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HandOver {
    /// The agent that had it.
    pub from: String,
    pub reason: HandOverReason,
}

/// Why a conversation has another agent than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HandOverReason {
    /// The caller named another one.
    Named,
    /// What is asked clearly belongs to another one.
    ClearRequest,
    /// The agent that had it is archived, disabled, or none of the candidates.
    AgentUnavailable,
}

/// Decides for a conversation that has an agent.
///
/// # Errors
/// If the caller names another agent while results of tools are waited for, or the agent that waits for them is gone.
pub(super) fn decide(
    index: &Index,
    request: &DispatchRequest,
    sticky: &Sticky,
    agent: &str,
    settings: &Settings,
) -> Result<Decision, DispatchError> {
    let named = request.agent.as_deref();
    if sticky.is_in_tool_loop {
        if named.is_some_and(|named| named != agent) {
            return Err(DispatchError::AgentWaitsForResults(agent.to_owned()));
        }
        let mut decision = named::decide(index, agent, request.permitted.as_deref())?;
        decision.strategy = Strategy::Sticky;
        return Ok(decision);
    }
    if let Some(named) = named {
        let decision = named::decide(index, named, request.permitted.as_deref())?;
        return Ok(handed_over(decision, agent, HandOverReason::Named));
    }
    // Who has begun goes on, whatever server is missing by now.
    let holder =
        index.find(agent).filter(|holder| holder.is_live() && local::is_wanted(holder, request));
    let Some(holder) = holder else {
        let input = [&*sticky.opening, &*request.input].join("\n");
        let decision =
            local::decide(index, &DispatchRequest { input, ..request.clone() }, settings)?;
        return Ok(handed_over(decision, agent, HandOverReason::AgentUnavailable));
    };
    local::check_names(index, request)?;
    if let Some(kept) = keep(index, request, holder, settings) {
        return Ok(kept);
    }
    let decision = local::decide(index, request, settings)?;
    Ok(handed_over(decision, agent, HandOverReason::ClearRequest))
}

/// Gives results to the agent that waits for them, where nothing is stored of the conversation. `None` if nobody is known to
/// wait, or if that agent is not to be had any more: then the caller, who has the whole conversation, is better served by
/// another than by none.
pub(super) fn find_waiting(index: &Index, request: &DispatchRequest) -> Option<Decision> {
    let agent = request.waiting_agent.as_deref()?;
    let decision = named::decide(index, agent, request.permitted.as_deref()).ok()?;
    Some(Decision { strategy: Strategy::Sticky, ..decision })
}

/// Whether the decision gives results to the agent that waits for them.
pub(super) fn is_waiting_agents(request: &DispatchRequest, decision: &Decision) -> bool {
    let waiting = request.waiting_agent.as_deref();
    waiting.is_some() && waiting == decision.agent.as_ref().map(|agent| agent.name.as_str())
}

/// The decision that leaves the conversation to who has it; `None` if the request is clearly another agent's: if it says
/// enough by itself, and the local stage picks that one, is sure of it, and sees the present one far behind.
fn keep(
    index: &Index,
    request: &DispatchRequest,
    holder: &Arc<Agent>,
    settings: &Settings,
) -> Option<Decision> {
    let is_holder = |scored: &Scored<'_>| scored.document.agent.name() == holder.name();
    let is_candidate = local::candidates(request);
    let Judged { query, mut scored, confidence, outcome } =
        local::judge(index, &request.input, |document| {
            is_candidate(document) || document.agent.name() == holder.name()
        });
    let place = scored.iter().position(is_holder);
    let own_score = place.map_or(0.0, |place| scored[place].score());
    let lead = scored.first().map_or(0.0, Scored::score) - own_score;
    let is_clear = outcome == Outcome::Picked
        && query.terms.len() >= STANDS_ALONE_FROM
        && confidence >= HANDED_OVER_FROM
        && lead >= settings.hand_over_margin;
    if is_clear && place != Some(0) {
        return None;
    }
    let margin = round(local::margin(&scored));
    // The first is the one that was decided on.
    let own = place.map(|place| scored.remove(place));
    let own = own.map_or_else(
        || Ranked { agent: holder.name().to_string(), score: 0.0, reasons: Vec::new() },
        |own| local::rank(index, &query, &own),
    );
    let others = scored.iter().take(request.top_k().saturating_sub(1));
    let ranked = others.map(|other| local::rank(index, &query, other));
    Some(Decision {
        outcome: Outcome::Picked,
        // Nothing was picked for what was asked, as when an agent is named.
        confidence: 1.0,
        margin,
        strategy: Strategy::Sticky,
        ranked: std::iter::once(own).chain(ranked).collect(),
        ..Decision::of(Some(holder), index.roster_revision())
    })
}

/// Says whose the conversation was, if it has changed hands.
fn handed_over(mut decision: Decision, from: &str, reason: HandOverReason) -> Decision {
    let has_other = decision.picked.as_ref().is_some_and(|picked| picked.name().as_str() != from);
    decision.handed_over = has_other.then(|| HandOver { from: from.to_owned(), reason });
    decision
}
