//! How sure a pick is, and whether it is one.
//!
//! Two logistic models over what the scores tell: does the request belong to the roster at all, and if so, is the
//! first candidate the right one. Their weights were fitted on public collections of agents, each agent's own
//! examples held out in turn, and on everyday requests that belong to nobody.

use super::Index;
use super::decision::Outcome;
use super::document::{Content, Field};
use super::index::SATURATION;
use super::score::{Query, Scored, saturate};

/// Below this probability that it belongs to the roster, a request belongs to nobody.
const NONE_BELOW: f64 = 0.35;

/// A first candidate that is less than this part ahead of the second is not alone.
const AMBIGUOUS_WITHIN: f32 = 0.05;

/// What the scores of one request tell.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Signals {
    /// Scores of the first two candidates.
    pub first: f32,
    pub second: f32,
    /// How many words of full rarity the first candidate's score is worth.
    pub evidence: f32,
    /// The part of the request's weight that the roster knows at all.
    pub known_share: f32,
}

impl Signals {
    pub(super) fn of(query: &Query, index: &Index, scored: &[Scored<'_>]) -> Self {
        let score = |place: usize| scored.get(place).map_or(0.0, |candidate| candidate.score);
        let mut evidence = 0.0;
        if let Some(first) = scored.first() {
            let content = &first.document.content;
            for term in &query.terms {
                let worth = term.weight / index.full_rarity() / (SATURATION + 1.0);
                evidence += worth * saturate(frequency(index, content, &term.stem));
            }
        }
        let known_share = query.known_share(index);
        Self { first: score(0), second: score(1), evidence, known_share }
    }

    pub fn margin(&self) -> f32 {
        self.first - self.second
    }

    pub fn relative_margin(&self) -> f32 {
        if self.first > 0.0 { self.margin() / self.first } else { 0.0 }
    }
}

fn frequency(index: &Index, content: &Content, stem: &str) -> f32 {
    let Some(term) = content.terms.iter().find(|term| *term.stem == *stem) else { return 0.0 };
    Field::ALL
        .into_iter()
        .map(|field| {
            f32::from(term.counts[field as usize]) * index.occurrence_weight(content, field)
        })
        .sum()
}

/// The probability that the request belongs to any agent of the roster.
///
/// A request that one agent matches alone, on a single odd word, is likelier a stranger's: hence the sign of
/// the margin.
fn belongs(signals: &Signals) -> f64 {
    if signals.first <= 0.0 {
        return 0.0;
    }
    logistic(
        -5.5 + 10.6 * f64::from(signals.evidence) + 0.4 * f64::from(signals.known_share)
            - 2.6 * f64::from(signals.relative_margin()),
    )
}

/// The probability that the first candidate is right, given that one of the roster is.
fn is_first_right(signals: &Signals) -> f64 {
    logistic(-1.8 + 0.7 * f64::from(signals.evidence) + 5.3 * f64::from(signals.relative_margin()))
}

/// The probability that the first candidate is right.
pub(super) fn confidence(signals: &Signals) -> f64 {
    belongs(signals) * is_first_right(signals)
}

pub(super) fn outcome(signals: &Signals) -> Outcome {
    if belongs(signals) < NONE_BELOW {
        Outcome::None
    } else if signals.relative_margin() < AMBIGUOUS_WITHIN {
        Outcome::Ambiguous
    } else {
        Outcome::Picked
    }
}

fn logistic(sum: f64) -> f64 {
    1.0 / (1.0 + (-sum).exp())
}
