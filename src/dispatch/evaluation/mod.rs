//! Measuring dispatch: how often a roster picks the right agent, over requests whose right agent is known.
//!
//! The requests are the roster's own, held out in turn, or given cases, or decisions on record. [`evaluate`] is pure;
//! [`Evaluations`] is its life in the service: bounded, and cancelled when nobody waits for it.

mod answer;
mod confusions;
mod figures;
mod other_roster;
mod replay;
mod report;
mod service;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::ControlFlow;

pub use other_roster::{OtherFile, RosterChange};
pub use replay::{Decided, DecisionFilter};
pub use report::{EvaluationReport, EvaluationSource};
pub use service::{EvaluationError, EvaluationRequest, Evaluations};

use super::fit::MAX_AGENTS;
use super::held_out::{FOLDS, Fold, folds};
use super::{Case, Corrections, Index};
use crate::registry::Roster;
use answer::Exchange;
use report::Measured;

/// Cases that one evaluation asks at the most.
pub const MAX_CASES: usize = 10_000;

/// Wrong cases that are listed if nobody says how many.
pub const DEFAULT_WRONG_LIMIT: usize = 100;

/// A roster that can be asked.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub roster: &'a Roster,
    pub corrections: &'a Corrections,
    pub index: &'a Index,
}

/// What is asked of it.
#[derive(Debug)]
pub enum Asked {
    /// The roster's own examples and what was learned of it, each while the roster does not hold it.
    HeldOut,
    Cases(Vec<Case>),
    Decisions(Vec<Decided>),
}

/// How far an evaluation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub done: usize,
    /// An estimate while requests are held out.
    pub all: usize,
}

/// Whoever waits for an evaluation: is told of each case, and says whether to go on.
pub type Watcher<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Asks a roster and reports how right it was, and where it differs from the live one if that is given. `None` if
/// the watcher ended it.
///
/// Requests can be held out only of a roster that [`can_be_held_out`].
pub fn evaluate(
    subject: Subject<'_>,
    live: Option<Subject<'_>>,
    asked: &Asked,
    wrong_limit: usize,
    watcher: Watcher<'_>,
) -> Option<EvaluationReport> {
    let questions = match asked {
        Asked::HeldOut => count_held_out(subject).min(MAX_CASES),
        Asked::Cases(cases) => cases.len(),
        Asked::Decisions(decided) => decided.len(),
    };
    let rosters = 1 + usize::from(live.is_some());
    let mut watch = Watch { done: 0, all: questions * rosters, watcher };
    let measured = measure(subject, live, asked, &mut watch).continue_value()?;
    Some(EvaluationReport::of(subject, measured, wrong_limit))
}

/// Whether its requests can be held out: each part of them takes an index of its own.
pub fn can_be_held_out(roster: &Roster) -> bool {
    roster.live().count() <= MAX_AGENTS
}

fn measure(
    subject: Subject<'_>,
    live: Option<Subject<'_>>,
    asked: &Asked,
    watch: &mut Watch<'_>,
) -> ControlFlow<(), Measured> {
    match asked {
        Asked::HeldOut => {
            let mut exchanges = ask_held_out(subject, watch)?;
            if let Some(live) = live {
                ask_live_held_out(live, &mut exchanges, watch)?;
            }
            let all = count_held_out(subject);
            let sampled_from = (exchanges.len() < all).then_some(all);
            let source = EvaluationSource::HeldOut;
            let has_live = live.is_some();
            ControlFlow::Continue(Measured {
                source,
                exchanges,
                has_live,
                sampled_from,
                replay: None,
            })
        }
        Asked::Cases(cases) => {
            let mut exchanges = Vec::with_capacity(cases.len());
            for case in cases {
                watch.step()?;
                let mut exchange = Exchange::ask(subject.index, case.clone());
                if let Some(live) = live {
                    watch.step()?;
                    exchange.ask_live(live.index);
                }
                exchanges.push(exchange);
            }
            let source = EvaluationSource::Cases;
            let has_live = live.is_some();
            ControlFlow::Continue(Measured {
                source,
                exchanges,
                has_live,
                sampled_from: None,
                replay: None,
            })
        }
        Asked::Decisions(decided) => replay::measure(subject, live, decided, watch),
    }
}

/// Asks each request of the index that does not hold it.
fn ask_held_out(subject: Subject<'_>, watch: &mut Watch<'_>) -> ControlFlow<(), Vec<Exchange>> {
    const MAX_CASES_OF_FOLD: usize = MAX_CASES / (2 * FOLDS);
    let mut exchanges = Vec::new();
    for fold in folds_of(subject) {
        let Fold { index, examples, learned } = fold;
        let cases: Vec<Case> = examples.into_iter().chain(learned).collect();
        let step = cases.len().div_ceil(MAX_CASES_OF_FOLD).max(1);
        for case in cases.into_iter().step_by(step) {
            watch.step()?;
            exchanges.push(Exchange::ask(&index, case));
        }
        // Building the next one takes a while.
        watch.look()?;
    }
    ControlFlow::Continue(exchanges)
}

/// Asks the live roster the same requests; where it holds one itself, it is held out there too.
fn ask_live_held_out(
    live: Subject<'_>,
    exchanges: &mut [Exchange],
    watch: &mut Watch<'_>,
) -> ControlFlow<()> {
    let mut open: HashMap<(Option<String>, String), Vec<usize>> = HashMap::new();
    for (number, Exchange { case, .. }) in exchanges.iter().enumerate() {
        open.entry((case.agent.clone(), case.input.clone())).or_default().push(number);
    }
    for Fold { index, examples, learned } in folds_of(live) {
        for case in examples.into_iter().chain(learned) {
            for number in open.remove(&(case.agent, case.input)).into_iter().flatten() {
                watch.step()?;
                exchanges[number].ask_live(&index);
            }
        }
        watch.look()?;
    }
    for number in open.into_values().flatten() {
        watch.step()?;
        exchanges[number].ask_live(live.index);
    }
    ControlFlow::Continue(())
}

fn folds_of(subject: Subject<'_>) -> impl Iterator<Item = Fold> {
    folds(subject.roster, subject.corrections, subject.index.fit(), subject.index)
}

/// How many requests of a roster can be held out.
fn count_held_out(subject: Subject<'_>) -> usize {
    let Subject { roster, corrections, .. } = subject;
    let examples = roster.live().flat_map(|agent| &agent.definition.examples);
    let learned = corrections.all().iter().filter(|correction| {
        correction.agent.as_deref().is_none_or(|agent| can_be_picked(roster, agent))
    });
    examples.filter(|example| !example.user.is_empty()).count() + learned.count()
}

fn can_be_picked(roster: &Roster, agent: &str) -> bool {
    roster.find(agent).is_some_and(|agent| agent.is_live())
}

/// Counts what is done for the one who waits.
struct Watch<'a> {
    done: usize,
    all: usize,
    watcher: Watcher<'a>,
}

impl Watch<'_> {
    /// Before each question.
    fn step(&mut self) -> ControlFlow<()> {
        self.look()?;
        self.done += 1;
        ControlFlow::Continue(())
    }

    fn look(&mut self) -> ControlFlow<()> {
        (self.watcher)(Progress { done: self.done, all: self.all })
    }
}
