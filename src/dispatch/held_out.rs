//! Requests whose right agent is known from the roster itself, each asked of a roster that does not hold it.
//!
//! An agent's examples and what was learned of it say what it is for. Asked as they stand they would find themselves,
//! so they are held out in turn: one fold holds out a part of them, and its index is built from the rest.

use std::sync::Arc;

use super::corrections::{Correction, Corrections, key_of_words};
use super::fit::Fit;
use super::index::Index;
use crate::registry::{Agent, Roster};

/// The rest of a roster in each fold is the larger the more folds there are, and each takes an index.
pub(super) const FOLDS: usize = 5;

/// A request with the agent that is right for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub input: String,
    /// `None` if it belongs to nobody.
    pub agent: Option<String>,
}

/// A part of a roster's requests, and the roster without them.
#[derive(Debug)]
pub(super) struct Fold {
    pub index: Index,
    pub examples: Vec<Case>,
    pub learned: Vec<Case>,
}

/// The requests of a roster in folds: first its examples, held out of a roster with all corrections, then the
/// corrections, held out of one with all examples. An agent's only example is held out too: it is then picked by what
/// else it says.
pub(super) fn folds<'a>(
    roster: &'a Roster,
    corrections: &'a Corrections,
    fit: &Fit,
    built: &'a Index,
) -> impl Iterator<Item = Fold> + 'a {
    let whole = Whole { roster, corrections, fit: fit.for_fold(), built };
    let learned_folds = if corrections.all().is_empty() { 0 } else { FOLDS };
    (0..FOLDS + learned_folds).map(move |fold| match fold.checked_sub(FOLDS) {
        None => whole.without_examples(fold),
        Some(fold) => whole.without_corrections(fold),
    })
}

fn is_held_out(number: usize, fold: usize) -> bool {
    number % FOLDS == fold
}

/// What the folds are parts of.
struct Whole<'a> {
    roster: &'a Roster,
    corrections: &'a Corrections,
    fit: Fit,
    built: &'a Index,
}

impl Whole<'_> {
    fn without_examples(&self, fold: usize) -> Fold {
        let (mut examples, mut agents) = (Vec::new(), self.roster.agents.clone());
        for agent in self.roster.live() {
            let held_out = agent.definition.examples.iter().enumerate();
            let held_out: Vec<&str> = held_out
                .filter(|(number, _)| is_held_out(*number, fold))
                .map(|(_, example)| example.user.as_str())
                .filter(|request| !request.is_empty())
                .collect();
            if !held_out.is_empty() {
                examples.extend(held_out.iter().map(|request| Case {
                    input: (*request).to_owned(),
                    agent: Some(agent.name().to_string()),
                }));
                agents.insert(agent.name().clone(), Arc::new(without(agent, &held_out, fold)));
            }
        }
        let roster = Roster { revision: self.roster.revision, agents };
        let index = Index::fitted(&roster, self.corrections, &self.fit, Some(self.built));
        Fold { index, examples, learned: Vec::new() }
    }

    fn without_corrections(&self, fold: usize) -> Fold {
        let (mut learned, mut rest) = (Vec::new(), Vec::new());
        for correction in self.corrections.all() {
            // What was asked in the same words is held out with it: it would be found by them.
            if key_of_words(&correction.text) % FOLDS as u64 != fold as u64 {
                rest.push(Correction::clone(correction));
            } else if is_of(self.roster, correction) {
                let (input, agent) = (correction.text.clone(), correction.agent.clone());
                learned.push(Case { input, agent });
            }
        }
        let rest = Corrections::new(self.corrections.revision, rest);
        let index = Index::fitted(self.roster, &rest, &self.fit, Some(self.built));
        Fold { index, examples: Vec::new(), learned }
    }
}

/// Whether the right agent can be picked at all.
fn is_of(roster: &Roster, correction: &Correction) -> bool {
    let Some(name) = &correction.agent else { return true };
    roster.find(name).is_some_and(|agent| agent.is_live())
}

/// An agent without some of its examples, wherever its text repeats them.
fn without(agent: &Agent, requests: &[&str], fold: usize) -> Agent {
    let mut definition = agent.definition.as_ref().clone();
    definition.examples.retain(|example| !requests.contains(&example.user.as_str()));
    for request in requests {
        definition.summary = definition.summary.replace(request, "");
        definition.prompt = definition.prompt.replace(request, "");
    }
    Agent {
        definition: Arc::new(definition),
        // Other content than the agent's own, and yet in its place wherever the order of hashes counts.
        sha256: format!("{}-{fold}", agent.sha256),
        ..agent.clone()
    }
}
