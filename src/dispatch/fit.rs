//! What of picking is fitted to a roster and to what was learned of it, and how.
//!
//! A correction acts at once, by its words and its vector. What it says of the whole roster (how texts of one agent
//! scatter, how far the discriminant is to be trusted, where "none" begins, how sure a score is) is fitted afterwards,
//! over requests that are held out, and goes live only if no fewer of them find their agent.

use std::sync::Arc;

use super::confidence::{Signals, confidence};
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
const NONE_BELOW: std::ops::RangeInclusive<f64> = 0.3..=0.6;

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

/// A map of confidences: on the scale of their log-odds, a straight line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Calibration {
    slope: f64,
    offset: f64,
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
        Self { slope: 1.0, offset: 0.0 }
    }
}

/// Fits anew. `None` if there are too few requests to fit to, or too many agents.
pub(super) fn refit(roster: &Roster, corrections: &Corrections, built: &Index) -> Option<Fit> {
    if built.documents.len() > MAX_AGENTS || count_cases(roster, corrections) < MIN_CASES {
        return None;
    }
    let live = built.fit();
    let own = Fit { covariance: None, ..Fit::default() };
    let all =
        Fit { covariance: Some(Arc::new(Covariance::of_all(&built.documents))), ..own.clone() };
    let mut best: Option<(Accuracy, Fit, Vec<Answer>)> = None;
    for fit in [live, &all, &own] {
        // What the live one trusts comes first: of equals it stays.
        let trusts = std::iter::once(live.trust).chain(TRUSTS);
        for (trust, answers) in ask(roster, corrections, fit, built, trusts) {
            let accuracy = Accuracy::of(&answers);
            if best.as_ref().is_none_or(|(best, ..)| accuracy.right > best.right) {
                best = Some((accuracy, Fit { trust, ..fit.clone() }, answers));
            }
        }
    }
    let (accuracy, fit, answers) = best?;
    let calibration = Calibration::of(answers.iter().filter(|answer| answer.is_learned));
    Some(Fit { none_below: cut(&answers), calibration, accuracy: Some(accuracy), ..fit })
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
fn ask(
    roster: &Roster,
    corrections: &Corrections,
    fit: &Fit,
    built: &Index,
    trusts: impl Iterator<Item = f32>,
) -> Vec<(f32, Vec<Answer>)> {
    let mut answers: Vec<(f32, Vec<Answer>)> = trusts.map(|trust| (trust, Vec::new())).collect();
    for Fold { index, examples, learned } in folds(roster, corrections, fit, built) {
        let cases = examples.iter().map(|case| (case, false));
        let cases: Vec<(&Case, bool)> =
            cases.chain(learned.iter().map(|case| (case, true))).collect();
        let step = cases.len().div_ceil(MAX_CASES_OF_FOLD).max(1);
        for (case, is_learned) in cases.into_iter().step_by(step) {
            let query = Query::new(&index, &case.input);
            for (trust, answers) in &mut answers {
                let scored = score(&index, &query, *trust, |_| true);
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
    answers
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
    /// How strongly it is held that the line is the one from which it starts, in requests.
    const PRIOR: f64 = 8.0;

    pub fn apply(self, confidence: f64) -> f64 {
        if confidence <= 0.0 {
            return 0.0;
        }
        logistic(self.slope * log_odds(confidence) + self.offset)
    }

    /// The likeliest line (Platt's scaling), by Newton's method.
    fn of<'a>(answers: impl Iterator<Item = &'a Answer>) -> Self {
        let points: Vec<(f64, f64)> = answers
            .map(|answer| {
                let confidence = confidence(&answer.signals, Self::default());
                (log_odds(confidence), f64::from(u8::from(answer.is_right)))
            })
            .collect();
        let mut line = Self::default();
        if points.len() < MIN_CASES {
            return line;
        }
        for _ in 0..20 {
            let (mut slope, mut offset) =
                (Self::PRIOR * (line.slope - 1.0), Self::PRIOR * line.offset);
            let (mut slopes, mut both, mut offsets) = (Self::PRIOR, 0.0, Self::PRIOR);
            for (odds, right) in &points {
                let expected = logistic(line.slope * odds + line.offset);
                let (error, weight) = (expected - right, expected * (1.0 - expected));
                slope += error * odds;
                offset += error;
                slopes += weight * odds * odds;
                both += weight * odds;
                offsets += weight;
            }
            let determinant = slopes * offsets - both * both;
            line.slope -= (offsets * slope - both * offset) / determinant;
            line.offset -= (slopes * offset - both * slope) / determinant;
        }
        // A line that falls would call the surest pick the least sure.
        if line.slope > 0.05 && line.offset.is_finite() { line } else { Self::default() }
    }
}

fn log_odds(probability: f64) -> f64 {
    let probability = probability.clamp(1e-4, 1.0 - 1e-4);
    (probability / (1.0 - probability)).ln()
}

pub(super) fn logistic(sum: f64) -> f64 {
    1.0 / (1.0 + (-sum).exp())
}
