//! How sure a pick is, and whether it is one.
//!
//! Two logistic models over what the scores tell: does the request belong to the roster at all, and if so, is the
//! first candidate the right one.

use super::Index;
use super::decision::Outcome;
use super::fit::{Calibration, Fit, logistic};
use super::score::{Evidence, Query, Scored};

/// A first candidate that is less than this ahead of the second is not alone.
const AMBIGUOUS_WITHIN: f32 = 0.01;

/// A request that is less like one that was found to be nobody's does not remind of it.
const LIKE_NOBODYS_FROM: f32 = 0.55;

/// What the scores of one request tell.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Signals {
    /// What speaks for the first candidate, and how much more than for the second.
    first: f32,
    pub margin: f32,
    /// For the first candidate.
    evidence: Evidence,
    /// How much the words tell that the first candidate has, and all of the request's, in words that no agent has.
    met: f32,
    asked: f32,
    /// The nearest example of any candidate.
    nearest: f32,
    /// How much more the request is like one that was found to be nobody's than like one of the first candidate's.
    like_nobodys: f32,
    is_empty: bool,
}

impl Signals {
    pub fn of(index: &Index, query: &Query, scored: &[Scored<'_>]) -> Self {
        let Some(first) = scored.first() else { return Self { is_empty: true, ..Self::default() } };
        let second = scored.get(1).map_or(0.0, |second| second.total);
        let evidence = first.evidence;
        let asked = query.weight() / index.full_rarity();
        let examples = scored.iter().map(|candidate| candidate.evidence.example);
        let nobodys = query.embedding.as_ref().map_or(0.0, |request| {
            index.nobody.iter().map(|nobodys| nobodys.cosine(request)).fold(0.0, f32::max)
        });
        Self {
            first: first.total,
            margin: first.total - second,
            evidence,
            met: evidence.words * asked,
            asked,
            nearest: examples.fold(0.0, f32::max),
            like_nobodys: (nobodys - evidence.example.max(LIKE_NOBODYS_FROM)).max(0.0),
            is_empty: false,
        }
    }

    /// The probability that the request belongs to any agent of the roster.
    pub fn belongs(&self) -> f64 {
        if self.is_empty { 0.0 } else { logistic(self.belongs_log_odds()) }
    }

    fn belongs_log_odds(&self) -> f64 {
        let Evidence { words, description, sentence, example, body, likelihood } = self.evidence;
        let sum = -1.40
            + 0.16 * words
            + 1.79 * description
            + 1.65 * sentence
            + 3.20 * example
            + 0.52 * body
            + 0.018 * likelihood
            + 1.92 * self.met
            - 2.38 * self.asked.ln_1p()
            + 3.47 * self.nearest
            - 12.0 * self.like_nobodys;
        f64::from(sum)
    }

    /// The probability that the first candidate is right, given that one of the roster is.
    fn is_first_right(&self) -> f64 {
        logistic(f64::from(-0.54 + 4.10 * self.margin + 0.63 * self.first))
    }

    /// The probability that the first candidate is right, before it is calibrated.
    pub fn confidence(&self) -> f64 {
        self.belongs() * self.is_first_right()
    }
}

/// The probability that the first candidate is right.
pub(super) fn confidence(signals: &Signals, calibration: Calibration) -> f64 {
    if signals.is_empty { 0.0 } else { calibration.apply(signals) }
}

pub(super) fn outcome(signals: &Signals, fit: &Fit) -> Outcome {
    if signals.belongs() < fit.none_below {
        Outcome::None
    } else if signals.margin < AMBIGUOUS_WITHIN {
        Outcome::Ambiguous
    } else {
        Outcome::Picked
    }
}
