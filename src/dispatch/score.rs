//! How well each candidate's words meet the request's: BM25 over weighted fields, less what an exclusion covers.

use std::collections::HashMap;
use std::sync::Arc;

use super::Index;
use super::document::Document;
use super::index::SATURATION;
use super::text::Term;

/// Share of a request's weight that one exclusion must cover to speak against the agent.
const EXCLUSION_FROM: f32 = 0.35;

/// A request's terms, each once.
pub(super) struct Query {
    pub terms: Vec<QueryTerm>,
    /// The score of a document that holds every term without end.
    full_score: f32,
}

pub(super) struct QueryTerm {
    pub stem: Arc<str>,
    /// Rarity times the word's own weight.
    pub weight: f32,
}

/// A candidate with its score, and the exclusion that lowered it.
pub(super) struct Scored<'a> {
    pub document: &'a Document,
    pub score: f32,
    pub exclusion: Option<(&'a str, f32)>,
}

impl Query {
    pub fn new(index: &Index, terms: &[Term]) -> Self {
        let mut once: HashMap<&str, &Term> = HashMap::new();
        for term in terms {
            once.insert(&term.stem, term);
        }
        let mut terms: Vec<QueryTerm> = once
            .into_values()
            .map(|term| QueryTerm {
                stem: term.stem.clone(),
                weight: term.weight * index.rarity(&term.stem),
            })
            .collect();
        // Sums of floats depend on their order, and equal requests must have equal scores.
        terms.sort_by(|one, other| one.stem.cmp(&other.stem));
        let full_score = terms.iter().map(|term| term.weight).sum::<f32>() * (SATURATION + 1.0);
        Self { terms, full_score }
    }

    /// The part of the request's weight that the roster knows at all.
    pub fn known_share(&self, index: &Index) -> f32 {
        let all: f32 = self.terms.iter().map(|term| term.weight).sum();
        let known: f32 = self
            .terms
            .iter()
            .filter(|term| !index.postings(&term.stem).is_empty())
            .map(|term| term.weight)
            .sum();
        if all > 0.0 { known / all } else { 0.0 }
    }
}

/// Every candidate with a score above nothing: BM25 over weighted fields, as a part of the best possible score.
pub(super) fn score<'a>(
    index: &'a Index,
    query: &Query,
    is_candidate: impl Fn(&Document) -> bool,
) -> Vec<Scored<'a>> {
    let mut sums = vec![0.0_f32; index.documents.len()];
    for term in &query.terms {
        for posting in index.postings(&term.stem) {
            sums[posting.document as usize] += term.weight * saturate(posting.frequency);
        }
    }
    index
        .documents
        .iter()
        .zip(sums)
        .filter(|(document, sum)| *sum > 0.0 && is_candidate(document))
        .map(|(document, sum)| {
            let score = sum / query.full_score;
            let exclusion = strongest_exclusion(query, document);
            let penalty = exclusion.map_or(0.0, |(_, strength)| strength);
            Scored { document, score: score * (1.0 - penalty), exclusion }
        })
        .collect()
}

pub(super) fn saturate(frequency: f32) -> f32 {
    frequency * (SATURATION + 1.0) / (frequency + SATURATION)
}

/// The exclusion that covers most of the request, if it covers enough of it to matter.
fn strongest_exclusion<'a>(query: &Query, document: &'a Document) -> Option<(&'a str, f32)> {
    let all: f32 = query.terms.iter().map(|term| term.weight).sum();
    document
        .content
        .exclusions
        .iter()
        .map(|exclusion| {
            let covered: f32 = query
                .terms
                .iter()
                .filter(|term| exclusion.terms.iter().any(|excluded| excluded.stem == term.stem))
                .map(|term| term.weight)
                .sum();
            (exclusion.text.as_str(), covered / all.max(f32::MIN_POSITIVE))
        })
        .filter(|(_, strength)| *strength >= EXCLUSION_FROM)
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
}

/// Four digits: what lies behind them is noise to a reader.
pub(super) fn round(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}
