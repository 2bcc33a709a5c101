//! What of picking is fitted to a roster and to what was learned of it, and how.
//!
//! A correction acts at once, by its words and its vector. What it says of the whole roster (how texts of one agent
//! scatter, how far the discriminant is to be trusted, where "none" begins, how sure a score is) is fitted afterwards,
//! over requests that are held out, and goes live only if no fewer of them find their agent.

use std::sync::Arc;

use super::confidence::Signals;
use super::corrections::Corrections;
use super::discriminant::Covariance;
use super::held_out::{Case, Fold, folds};
use super::index::Index;
use super::score::{Query, score};
use crate::registry::Roster;

/// A larger roster is not fitted: each of its folds is an index of its own.
pub(super) const MAX_AGENTS: usize = 2_000;

/// With fewer requests that are held out, chance would decide.
const MIN_CASES: usize = 40;

/// Requests that are asked in each fold, at the most.
const MAX_CASES_OF_FOLD: usize = 200;

/// How far the discriminant may be trusted, as parts of what is usual.
const TRUSTS: [f32; 3] = [1.0, 0.5, 2.0];

/// The part of the roster's own requests that must not be taken for nobody's.
const KEPT: f64 = 0.95;

/// Bounds of where "none" begins: a roster's own requests alone cannot tell what strangers are like.
const NONE_BELOW: std::ops::RangeInclusive<f64> = 0.45..=0.9;

/// What is fitted. The default is what is usual.
#[derive(Debug, Clone)]
pub struct Fit {
    /// `None`: that of the agents' own texts.
    pub(super) covariance: Option<Arc<Covariance>>,
    /// How far the discriminant is trusted, as a part of what is usual.
    pub(super) trust: f32,
    /// Below this probability that it belongs to the roster, a request belongs to nobody.
    pub(super) none_below: f64,
    pub(super) calibration: Calibration,
    /// How often the held-out requests found their agent; `None` if nothing was fitted.
    pub accuracy: Option<Accuracy>,
}

/// How many requests found their agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Accuracy {
    pub cases: u32,
    pub right: u32,
}

/// A map of confidences: on the scale of their log-odds, a straight line, which the margin shifts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Calibration {
    /// Of 1, the log-odds of the confidence, and the margin.
    weights: [f64; 3],
}

impl Default for Fit {
    fn default() -> Self {
        Self {
            covariance: None,
            trust: 1.0,
            none_below: 0.5,
            calibration: Calibration::default(),
            accuracy: None,
        }
    }
}

impl Default for Calibration {
    fn default() -> Self {
        Self { weights: [0.0, 1.0, 0.0] }
    }
}

/// Fits anew: what is usual, if there are too few requests to fit to or too many agents.
pub(super) fn refit(roster: &Roster, corrections: &Corrections, built: &Index) -> Fit {
    if built.documents.len() > MAX_AGENTS || count_cases(roster, corrections) < MIN_CASES {
        return Fit::default();
    }
    let mut tried = try_out(roster, corrections, &Fit::default(), built, &TRUSTS);
    if !corrections.all().is_empty() {
        let covariance = Some(Arc::new(Covariance::of_all(&built.documents)));
        let fit = Fit { covariance, ..Fit::default() };
        tried.extend(try_out(roster, corrections, &fit, built, &TRUSTS));
    }
    let live = built.fit();
    if live.covariance.is_some() {
        // What was fitted before stays if nothing is better.
        let live = try_out(roster, corrections, live, built, &[live.trust]);
        tried.splice(0..0, live);
    }
    // Of equals the first: the one that is live, or the one that is usual.
    let best = tried.into_iter().rev().max_by_key(|(_, answers)| Accuracy::of(answers).right);
    let (fit, answers) = best.expect("something was tried");
    Fit {
        none_below: cut(&answers),
        calibration: Calibration::of(answers.iter().filter(|answer| answer.is_learned)),
        accuracy: Some(Accuracy::of(&answers)),
        ..fit
    }
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
        let cases = examples.iter().map(|case| (case, false));
        let cases: Vec<(&Case, bool)> =
            cases.chain(learned.iter().map(|case| (case, true))).collect();
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

/// Where "none" begins, so that the wanted part of the roster's own requests is kept.
fn cut(answers: &[Answer]) -> f64 {
    let mut belongs: Vec<f64> = answers
        .iter()
        .filter(|answer| answer.belongs_to_roster)
        .map(|answer| answer.signals.belongs())
        .collect();
    if belongs.len() < MIN_CASES {
        return Fit::default().none_below;
    }
    belongs.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a small count"
    )]
    let place = ((1.0 - KEPT) * belongs.len() as f64) as usize;
    belongs[place].clamp(*NONE_BELOW.start(), *NONE_BELOW.end())
}

impl Calibration {
    /// How strongly it is held that confidences are right as they are, in requests.
    const PRIOR: f64 = 1.0;

    /// A request that belongs to the roster with less than this probability is taken for one of those that no
    /// correction was about.
    const MEANT_FROM: f64 = 0.5;

    /// The least that the confidence itself must count beside the margin: it knows of strangers, who ask nothing that
    /// was corrected.
    const LEAST_SLOPE: f64 = 0.1;

    pub fn apply(self, signals: &Signals) -> f64 {
        let mapped = logistic(product(&self.weights, &features(signals)));
        if self == Self::default() {
            return mapped;
        }
        // Corrections are of requests that mostly belong to the roster. What hardly does is not meant by them.
        mapped * (signals.belongs() / Self::MEANT_FROM).min(1.0)
    }

    /// The likeliest map of what is known.
    fn of<'a>(answers: impl Iterator<Item = &'a Answer>) -> Self {
        let points: Vec<([f64; 3], f64)> = answers
            .map(|answer| (features(&answer.signals), f64::from(u8::from(answer.is_right))))
            .collect();
        let usual = Self::default();
        if points.len() < MIN_CASES {
            return usual;
        }
        let mut weights = likeliest(&points, usual.weights, [Self::PRIOR; 3]);
        if weights[1] < Self::LEAST_SLOPE {
            let held = [usual.weights[0], Self::LEAST_SLOPE, usual.weights[2]];
            weights = likeliest(&points, held, [Self::PRIOR, 1e6, Self::PRIOR]);
        }
        if weights.iter().all(|weight| weight.is_finite()) { Self { weights } } else { usual }
    }
}

/// A logistic regression by Newton's method. `priors` says how strongly each weight is held where it starts.
fn likeliest(points: &[([f64; 3], f64)], start: [f64; 3], priors: [f64; 3]) -> [f64; 3] {
    let mut weights = start;
    for _ in 0..25 {
        let mut slope: [f64; 3] = std::array::from_fn(|at| priors[at] * (weights[at] - start[at]));
        let mut curve = [[0.0; 3]; 3];
        for (at, prior) in priors.iter().enumerate() {
            curve[at][at] = *prior;
        }
        for (features, right) in points {
            let expected = logistic(product(&weights, features));
            for row in 0..3 {
                slope[row] += (expected - right) * features[row];
                for column in 0..3 {
                    curve[row][column] +=
                        expected * (1.0 - expected) * features[row] * features[column];
                }
            }
        }
        let step = solve(curve, slope);
        weights.iter_mut().zip(step).for_each(|(weight, step)| *weight -= step);
    }
    weights
}

fn features(signals: &Signals) -> [f64; 3] {
    [1.0, log_odds(signals.confidence()), f64::from(signals.margin)]
}

fn product(one: &[f64; 3], other: &[f64; 3]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// Solves three equations whose matrix is symmetric and positive, by elimination.
fn solve(mut matrix: [[f64; 3]; 3], mut right: [f64; 3]) -> [f64; 3] {
    for pivot in 0..3 {
        for row in pivot + 1..3 {
            let (above, below) = matrix.split_at_mut(row);
            let times = below[0][pivot] / above[pivot][pivot];
            for (value, from) in below[0].iter_mut().zip(above[pivot]) {
                *value -= times * from;
            }
            right[row] -= times * right[pivot];
        }
    }
    for row in (0..3).rev() {
        let known: f64 = (row + 1..3).map(|column| matrix[row][column] * right[column]).sum();
        right[row] = (right[row] - known) / matrix[row][row];
    }
    right
}

fn log_odds(probability: f64) -> f64 {
    let probability = probability.clamp(1e-4, 1.0 - 1e-4);
    (probability / (1.0 - probability)).ln()
}

pub(super) fn logistic(sum: f64) -> f64 {
    1.0 / (1.0 + (-sum).exp())
}
