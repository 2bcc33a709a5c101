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
    Fit {
        scatter,
        none_below: cut(&answers),
        calibration: Calibration::of(
            answers.iter().map(|answer| (answer.signals.confidence(), answer.is_right)),
        ),
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

/// Where "none" begins, so that no more of the roster's own requests are lost than may be.
fn cut(answers: &[Answer]) -> f64 {
    let own = || answers.iter().filter(|answer| answer.belongs_to_roster);
    let mut belongs: Vec<f64> = own().map(|answer| answer.signals.belongs()).collect();
    if belongs.len() < MIN_CASES {
        return Fit::default().none_below;
    }
    belongs.sort_by(f64::total_cmp);
    let lost = own().map(|answer| if answer.is_learned { LOST_CORRECTIONS } else { LOST_EXAMPLES });
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let place = lost.sum::<f64>() as usize;
    belongs[place].clamp(*NONE_BELOW.start(), *NONE_BELOW.end())
}
