//! How sure a pick is, and whether it is one.
//!
//! Two logistic models over what the scores tell: does the request belong to the roster at all, and if so, is the
//! first candidate the right one. Their weights were fitted on public collections of agents, whole and in small parts, on
//! intents of a home assistant, and on everyday requests that belong to nobody.

use super::Index;
use super::calibration::{Calibration, logistic};
use super::decision::Outcome;
use super::document::Document;
use super::fit::Fit;
use super::index::SATURATION;
use super::score::{Evidence, Query, Scored, saturate, score};

/// A first candidate that is less than this ahead of the second is not alone.
const AMBIGUOUS_WITHIN: f32 = 0.015;

/// A request that is less like one that was found to be nobody's does not remind of it.
const LIKE_NOBODYS_FROM: f32 = 0.55;

/// How much nearer to a stranger than to the roster's own texts a request comes that may as well be either's.
const STRANGER_FROM: f32 = -0.04;

/// How far on the strangers' side of the boundary counts: what is further may still be a roster's own odd request.
const BEYOND_AT_MOST: f32 = 6.0;

/// A request whose words say less than this is no clearer for being short.
const LEAST_ASKED: f32 = 2.0;

/// Sizes of a roster beyond which its size changes nothing.
const ROSTER_SIZES: std::ops::RangeInclusive<f32> = 15.0..=1_000.0;

/// What the scores of one request tell.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Signals {
    /// For the first candidate.
    evidence: Evidence,
    /// How much more speaks for the first candidate than for the second.
    pub margin: f32,
    /// How much the request's words say, whatever the roster, and how much those that the first candidate has.
    asked: f32,
    met: f32,
    /// The part of the request that any agent has.
    known: f32,
    /// The nearest example of any candidate.
    nearest: f32,
    /// How much more the request is like one that was found to be nobody's than like one of the first candidate's.
    like_nobodys: f32,
    /// How much more it is like a request that is foreign to the roster than like anything that its agents say of what
    /// they do; 0 if nothing speaks either way.
    like_strangers: f32,
    /// How far it lies on the strangers' side of the boundary, in nats.
    beyond: f32,
    /// The logarithm of the roster's size.
    roster_size: f32,
    /// The same of its agents and their known requests: the more there are, the nearer one comes by chance.
    roster_texts: f32,
    is_empty: bool,
}

impl Signals {
    pub fn of(index: &Index, query: &Query, scored: &[Scored<'_>]) -> Self {
        let Some(first) = scored.first() else { return Self { is_empty: true, ..Self::default() } };
        let asked: f32 = query.terms.iter().map(|term| term.salience).sum();
        let known = query.terms.iter().filter(|term| !index.postings(&term.stem).is_empty());
        let known: f32 = known.map(|term| term.salience).sum();
        let nobodys = query.embedding.as_ref().map_or(0.0, |request| {
            index.nobody.iter().map(|nobodys| nobodys.cosine(request)).fold(0.0, f32::max)
        });
        let evidence = first.evidence;
        let examples = scored.iter().map(|candidate| candidate.evidence.example);
        let nearest = examples.fold(0.0, f32::max);
        #[expect(clippy::cast_precision_loss, reason = "a roster is small")]
        let (agents, requests) = (index.documents.len() as f32, index.requests() as f32);
        let agents = agents.clamp(*ROSTER_SIZES.start(), *ROSTER_SIZES.end());
        Self {
            evidence,
            margin: first.total - scored.get(1).map_or(0.0, |second| second.total),
            asked,
            met: met(index, query, first.document),
            known: known / asked.max(0.1),
            nearest,
            like_nobodys: (nobodys - evidence.example.max(LIKE_NOBODYS_FROM)).max(0.0),
            beyond: query
                .embedding
                .as_ref()
                .map_or(0.0, |request| index.fit().strangers.beyond(request).min(BEYOND_AT_MOST)),
            like_strangers: like_strangers(index, query, scored, nearest).unwrap_or(0.0),
            roster_size: agents.ln(),
            roster_texts: (agents + requests.min(*ROSTER_SIZES.end())).ln(),
            is_empty: false,
        }
    }

    /// What the scores of all candidates tell of a request.
    pub fn of_text(index: &Index, text: &str) -> Self {
        let query = Query::new(index, text);
        Self::of(index, &query, &score(index, &query, index.fit().trust, |_| true))
    }

    /// The probability that the request belongs to any agent of the roster.
    pub fn belongs(&self) -> f64 {
        if self.is_empty {
            return 0.0;
        }
        let Evidence { description, sentence, example, likelihood, .. } = self.evidence;
        let sum = -0.93
            + 2.81 * description
            + 2.40 * sentence
            + 3.71 * example
            + 5.65 * self.nearest
            + 0.011 * likelihood
            + 2.28 * self.met
            - 2.61 * self.asked.max(LEAST_ASKED).ln_1p()
            - 2.15 * self.met / self.asked.max(0.1)
            + 0.30 * self.known
            - 0.31 * self.roster_texts
            - 12.0 * self.like_nobodys
            - 10.0 * self.like_strangers
            - 0.5 * self.beyond;
        logistic(f64::from(sum))
    }

    /// The probability that the first candidate is right, given that one of the roster is.
    fn is_first_right(&self) -> f64 {
        let prose = self.evidence.words_and_meaning();
        let sum = 1.53 + 4.17 * self.margin + 2.52 * prose - 0.51 * self.roster_size;
        logistic(f64::from(sum))
    }

    /// The probability that the first candidate is right, before it is calibrated.
    pub fn confidence(&self) -> f64 {
        self.belongs() * self.is_first_right()
    }
}

/// The probability that the first candidate is right.
pub(super) fn confidence(signals: &Signals, calibration: Calibration) -> f64 {
    if signals.is_empty { 0.0 } else { calibration.apply(signals.confidence()) }
}

/// `None` if there is nothing foreign to compare with.
fn like_strangers(
    index: &Index,
    query: &Query,
    scored: &[Scored<'_>],
    nearest_example: f32,
) -> Option<f32> {
    let foreign = index.fit().strangers.nearest(query.embedding.as_ref()?)?;
    let said = scored.iter().map(|candidate| {
        let Evidence { description, sentence, .. } = candidate.evidence;
        description.max(sentence)
    });
    Some(foreign - said.fold(nearest_example, f32::max) - STRANGER_FROM)
}

/// How much of the request's words a candidate has, by what they say: more of a word counts, up to once in full.
fn met(index: &Index, query: &Query, document: &Document) -> f32 {
    let content = &document.content;
    let words = query.terms.iter().filter_map(|asked| {
        let (_, term) = content.term(&asked.stem)?;
        Some(asked.salience * saturate(index.frequency(content, term)))
    });
    words.sum::<f32>() / (SATURATION + 1.0)
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
