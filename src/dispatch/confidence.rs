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
    /// What speaks for the first two candidates.
    first: f32,
    second: f32,
    /// For the first candidate.
    evidence: Evidence,
    /// How much more the request is like one that was found to be nobody's than like one of the first candidate's.
    like_nobodys: f32,
    is_empty: bool,
}

impl Signals {
    pub fn of(index: &Index, query: &Query, scored: &[Scored<'_>]) -> Self {
        let Some(first) = scored.first() else { return Self { is_empty: true, ..Self::default() } };
        let second = scored.get(1).map_or(0.0, |second| second.total);
        let evidence = first.evidence;
        let nearest = query.embedding.as_ref().map_or(0.0, |request| {
            index.nobody.iter().map(|nobodys| nobodys.cosine(request)).fold(0.0, f32::max)
        });
        let like_nobodys = (nearest - evidence.example.max(LIKE_NOBODYS_FROM)).max(0.0);
        Self { first: first.total, second, evidence, like_nobodys, is_empty: false }
    }

    fn margin(&self) -> f32 {
        self.first - self.second
    }

    /// The probability that the request belongs to any agent of the roster.
    pub fn belongs(&self) -> f64 {
        if self.is_empty {
            return 0.0;
        }
        let Evidence { words, description, example, likelihood, .. } = self.evidence;
        logistic(
            -5.52
                + 6.54 * f64::from(self.first)
                + 3.25 * f64::from(words)
                + 5.74 * f64::from(description)
                + 6.08 * f64::from(example)
                + 0.0 * f64::from(likelihood)
                - 12.0 * f64::from(self.like_nobodys),
        )
    }

    /// The probability that the first candidate is right, given that one of the roster is.
    fn is_first_right(&self) -> f64 {
        logistic(-1.40 + 4.43 * f64::from(self.margin()) + 2.48 * f64::from(self.first))
    }
}

/// The probability that the first candidate is right.
pub(super) fn confidence(signals: &Signals, calibration: Calibration) -> f64 {
    calibration.apply(signals.belongs() * signals.is_first_right())
}

pub(super) fn outcome(signals: &Signals, fit: &Fit) -> Outcome {
    if signals.belongs() < fit.none_below {
        Outcome::None
    } else if signals.margin() < AMBIGUOUS_WITHIN {
        Outcome::Ambiguous
    } else {
        Outcome::Picked
    }
}
