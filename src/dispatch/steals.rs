//! Which examples of other agents an agent would win: a new description can be too greedy.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Corrections, DispatchRequest, Index, Settings, decide};
use crate::registry::{Agent, Roster};

/// A roster above this size is not searched: each of its examples is dispatched twice.
pub(super) const MAX_AGENTS: usize = 1_000;

/// An example that would find another agent than the one whose file it stands in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Steal {
    /// The agent that has the example.
    pub agent: String,
    /// What the user says in it.
    pub example: String,
}

/// Dispatches every other agent's examples with and without `agent`.
pub(super) fn find(
    roster: &Roster,
    corrections: &Corrections,
    agent: &Arc<Agent>,
    built: &Index,
) -> Vec<Steal> {
    let mut agents = roster.agents.clone();
    agents.remove(agent.name());
    let index_of = |agents| {
        Index::build(&Roster { revision: roster.revision, agents }, corrections, Some(built))
    };
    let without = index_of(agents.clone());
    agents.insert(agent.name().clone(), Arc::clone(agent));
    let with = index_of(agents);

    let mut steals = Vec::new();
    for owner in roster.live().filter(|owner| owner.name() != agent.name()) {
        for example in &owner.definition.examples {
            let is_stolen = first(&with, &example.user).as_deref() == Some(agent.name().as_str())
                && first(&without, &example.user).as_deref() == Some(owner.name().as_str());
            if is_stolen {
                steals
                    .push(Steal { agent: owner.name().to_string(), example: example.user.clone() });
            }
        }
    }
    steals
}

fn first(index: &Index, input: &str) -> Option<String> {
    let request =
        DispatchRequest { input: input.to_owned(), top_k: Some(1), ..DispatchRequest::default() };
    let decision = decide(index, &request, &Settings::default()).ok()?;
    decision.ranked.into_iter().next().map(|first| first.agent)
}
