//! What of picking is fitted to a roster and to what was learned of it, and how.
//!
//! A correction acts at once, by its words and its vector. What it says of the whole roster (how texts of one agent
//! scatter, how far the discriminant is to be trusted, where "none" begins, how sure a score is) is fitted afterwards,
//! over requests that are held out, and goes live only if no fewer of them find their agent.

use std::sync::Arc;

use super::calibration::Calibration;
use super::confidence::Signals;
use super::corrections::Corrections;
use super::discriminant::{Scatter, scatter_of_all};
use super::held_out::{Case, Fold, folds};
use super::index::Index;
use super::score::{Query, score};
use super::strangers::Strangers;
use crate::registry::Roster;

/// A larger roster is not fitted: each of its folds is an index of its own.
pub(super) const MAX_AGENTS: usize = 2_000;

/// With fewer requests that are held out, chance would decide.
pub(super) const MIN_CASES: usize = 40;

/// Requests that are asked in each fold, at the most.
const MAX_CASES_OF_FOLD: usize = 200;

/// How far the discriminant may be trusted, as parts of what is usual.
const TRUSTS: [f32; 3] = [1.0, 0.5, 2.0];

/// The part of the held-out examples that may be taken for nobody's. The examples of an agent are chosen to differ, so
/// each is further from the rest than a new request mostly is: where so many are, three of a hundred new ones are at most.
const LOST_EXAMPLES: f64 = 0.12;

/// The same of requests that were corrected: these are what users ask.
const LOST_CORRECTIONS: f64 = 0.06;

/// The part of what is foreign to the roster that is rejected, unless that loses too many of its own requests.
const REJECTED_PERCENT: usize = 97;

/// Bounds of where "none" begins: a roster's own requests alone cannot tell what strangers are like.
const NONE_BELOW: std::ops::RangeInclusive<f64> = 0.45..=0.9;

/// What is fitted. The default is what is usual.
#[derive(Debug, Clone)]
pub struct Fit {
    pub(super) scatter: Scatter,
    /// How far the discriminant is trusted, as a part of what is usual.
    pub(super) trust: f32,
    /// What is foreign to the roster.
    pub(super) strangers: Strangers,
    /// Below this probability that it belongs to the roster, a request belongs to nobody.
    pub(super) none_below: f64,
    pub(super) calibration: Calibration,
    /// How often the held-out requests found their agent; `None` if nothing was fitted.
    pub accuracy: Option<Accuracy>,
    /// The revisions of the roster and of the corrections that it was fitted to.
    pub fitted_to: (i64, i64),
}

/// How many requests found their agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accuracy {
    pub cases: u32,
    pub right: u32,
}

impl Default for Fit {
    fn default() -> Self {
        Self {
            scatter: Scatter::OwnTexts,
            trust: 1.0,
            strangers: Strangers::default(),
            none_below: 0.5,
            calibration: Calibration::default(),
            accuracy: None,
            fitted_to: (0, 0),
        }
    }
}

impl Fit {
    /// The same choices, without what was computed from texts that a fold holds out.
    pub(super) fn for_fold(&self) -> Self {
        let scatter = match &self.scatter {
            Scatter::Fitted(_) => Scatter::AllTexts,
            other => other.clone(),
        };
        Self { scatter, strangers: self.strangers.without_boundary(), ..self.clone() }
    }

    /// Whether the same was chosen for both.
    fn is_made_like(&self, other: &Self) -> bool {
        let is_of_all = |fit: &Self| !matches!(fit.scatter, Scatter::OwnTexts);
        is_of_all(self) == is_of_all(other) && self.trust.total_cmp(&other.trust).is_eq()
    }
}

/// Fits anew: what is usual, if there are too few requests to fit to or too many agents.
pub(super) fn refit(roster: &Roster, corrections: &Corrections, built: &Index) -> Fit {
    if built.documents.len() > MAX_AGENTS || count_cases(roster, corrections) < MIN_CASES {
        return Fit::default();
    }
    let usual = Fit { strangers: strangers(roster, corrections, built), ..Fit::default() };
    let mut tried = try_out(roster, corrections, &usual, built, &TRUSTS);
    if !corrections.all().is_empty() {
        let fit = Fit { scatter: Scatter::AllTexts, ..usual };
        tried.extend(try_out(roster, corrections, &fit, built, &TRUSTS));
    }
    // Of equals the one that is live, or else the first, which is the one that is usual.
    let best = tried
        .into_iter()
        .rev()
        .max_by_key(|(fit, answers)| (Accuracy::of(answers).right, fit.is_made_like(built.fit())));
    let (fit, answers) = best.expect("something was tried");
    let scatter = match fit.scatter {
        Scatter::AllTexts => Scatter::Fitted(Arc::new(scatter_of_all(&built.documents))),
        other => other,
    };
    let fit = Fit { scatter, ..fit };
    let own = answers.iter().filter(|answer| answer.belongs_to_roster);
    let own = own.map(|answer| (answer.signals.belongs(), answer.is_learned)).collect();
    let held_out: Vec<(f64, bool)> =
        answers.iter().map(|answer| (answer.signals.confidence(), answer.is_right)).collect();
    let foreign = foreign_signals(roster, corrections, &fit, built);
    let sure: Vec<f64> = foreign.iter().map(Signals::confidence).collect();
    Fit {
        none_below: cut(own, foreign.iter().map(Signals::belongs).collect()),
        calibration: Calibration::of(&held_out, &sure),
        accuracy: Some(Accuracy::of(&answers)),
        fitted_to: built.revisions(),
        ..fit
    }
}

/// What is foreign to the roster, whatever is live: by an index that was not fitted. The texts that folds hold out are in
/// it; what they leave open is whether the roster serves a whole topic, and no single one decides that.
fn strangers(roster: &Roster, corrections: &Corrections, built: &Index) -> Strangers {
    Strangers::to(&Index::fitted(roster, corrections, &Fit::default(), Some(built)))
}

fn count_cases(roster: &Roster, corrections: &Corrections) -> usize {
    let examples = roster.live().map(|agent| agent.definition.examples.len()).sum::<usize>();
    examples + corrections.all().len()
}

/// A held-out request's outcome.
struct Answer {
    signals: Signals,
    is_right: bool,
    belongs_to_roster: bool,
    /// Whether a correction says so, and not an example.
    is_learned: bool,
}

/// The outcomes for each trust, all over the same folds.
fn try_out(
    roster: &Roster,
    corrections: &Corrections,
    fit: &Fit,
    built: &Index,
    trusts: &[f32],
) -> Vec<(Fit, Vec<Answer>)> {
    let mut tried: Vec<(Fit, Vec<Answer>)> =
        trusts.iter().map(|trust| (Fit { trust: *trust, ..fit.clone() }, Vec::new())).collect();
    for Fold { index, examples, learned } in folds(roster, corrections, fit, built) {
        let examples = examples.iter().map(|case| (case, false));
        let cases: Vec<(&Case, bool)> =
            examples.chain(learned.iter().map(|case| (case, true))).collect();
        let step = cases.len().div_ceil(MAX_CASES_OF_FOLD).max(1);
        for (case, is_learned) in cases.into_iter().step_by(step) {
            let query = Query::new(&index, &case.input);
            for (fit, answers) in &mut tried {
                let scored = score(&index, &query, fit.trust, |_| true);
                let first = scored.first().map(|first| first.document.agent.name().as_str());
                answers.push(Answer {
                    signals: Signals::of(&index, &query, &scored),
                    is_right: case.agent.is_some() && first == case.agent.as_deref(),
                    belongs_to_roster: case.agent.is_some(),
                    is_learned,
                });
            }
        }
    }
    tried
}

impl Accuracy {
    fn of(answers: &[Answer]) -> Self {
        let count = |counts: &dyn Fn(&Answer) -> bool| {
            let count = answers.iter().filter(|answer| counts(answer)).count();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        Self {
            cases: count(&|answer| answer.belongs_to_roster),
            right: count(&|answer| answer.is_right),
        }
    }
}

/// What scores tell of what is foreign to the roster, each topic asked of a roster that does not know it.
fn foreign_signals(
    roster: &Roster,
    corrections: &Corrections,
    fit: &Fit,
    built: &Index,
) -> Vec<Signals> {
    let asked = fit.strangers.parts().flat_map(|(texts, rest)| {
        let fit = Fit { strangers: rest, ..fit.clone() };
        let index = Index::fitted(roster, corrections, &fit, Some(built));
        texts.into_iter().map(move |text| Signals::of_text(&index, text))
    });
    asked.collect()
}

/// Where "none" begins: where enough of what is foreign to the roster is rejected, but no more of the roster's own
/// requests are lost than may be. Of its own requests it is known whether a correction says that they are.
fn cut(mut own: Vec<(f64, bool)>, mut foreign: Vec<f64>) -> f64 {
    if own.len() < MIN_CASES {
        return Fit::default().none_below;
    }
    foreign.sort_by(f64::total_cmp);
    own.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let may_be_lost = own
        .iter()
        .map(|(_, is_learned)| if *is_learned { LOST_CORRECTIONS } else { LOST_EXAMPLES });
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let (loses_all_that_may_be, _) = own[may_be_lost.sum::<f64>() as usize];
    let rejects_enough = foreign.get(foreign.len() * REJECTED_PERCENT / 100).copied();
    rejects_enough
        .map_or(loses_all_that_may_be, |begins| begins.min(loses_all_that_may_be))
        .clamp(*NONE_BELOW.start(), *NONE_BELOW.end())
}

#[cfg(test)]
mod tests {
    use super::{NONE_BELOW, cut};

    /// A hundred probabilities, evenly from `from` to 1.
    fn from(from: f64) -> Vec<f64> {
        (0..100).map(|place| from + (1.0 - from) * f64::from(place) / 100.0).collect()
    }

    fn examples(probabilities: Vec<f64>) -> Vec<(f64, bool)> {
        probabilities.into_iter().map(|probability| (probability, false)).collect()
    }

    #[test]
    fn none_begins_where_enough_that_is_foreign_is_rejected() {
        let foreign: Vec<f64> = (0..100).map(|place| f64::from(place) / 150.0).collect();
        let begins = cut(examples(from(0.7)), foreign.clone());
        assert!((begins - 97.0 / 150.0).abs() < 1e-9, "{begins}");
        // Nearer to its own requests there is nothing to reject, and further away there is nothing known.
        let far = foreign.iter().map(|probability| probability / 10.0).collect();
        assert!((cut(examples(from(0.7)), far) - NONE_BELOW.start()).abs() < 1e-9);
    }

    #[test]
    fn what_is_foreign_costs_no_more_of_the_roster_s_own_requests_than_may_be_lost() {
        for foreign in [from(0.6), Vec::new()] {
            let begins = cut(examples(from(0.6)), foreign.clone());
            assert!((begins - (0.6 + 0.4 * 0.12)).abs() < 0.005, "{begins}");
            // Corrections are what users ask.
            let learned = from(0.6).into_iter().map(|probability| (probability, true)).collect();
            let begins = cut(learned, foreign);
            assert!((begins - (0.6 + 0.4 * 0.06)).abs() < 0.005, "{begins}");
        }
    }
}
