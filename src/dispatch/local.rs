//! The local stage: the request's words against the roster's, in memory, without a model.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::confidence::{Signals, confidence, outcome};
use super::decision::{AgentRef, Decision, Outcome, Ranked, Strategy};
use super::document::Document;
use super::index::SATURATION;
use super::reasons;
use super::text::{Analyzer, Term};
use super::{Candidates, DEFAULT_TOP_K, DispatchError, DispatchRequest, Index, OnNone, Settings};
use crate::registry::Agent;

/// Share of a request's weight that one exclusion must cover to speak against the agent.
const EXCLUSION_FROM: f32 = 0.35;

/// A request's terms, each once.
pub(super) struct Query {
    pub terms: Vec<QueryTerm>,
    /// The score of a document that holds every term without end.
    full_score: f32,
}

pub(super) struct QueryTerm {
    pub stem: Box<str>,
    /// Rarity times the word's own weight.
    pub weight: f32,
}

/// A candidate with its score, and the exclusion that lowered it.
pub(super) struct Scored<'a> {
    pub document: &'a Document,
    pub score: f32,
    pub exclusion: Option<(&'a str, f32)>,
}

pub(super) fn decide(
    index: &Index,
    request: &DispatchRequest,
    settings: &Settings,
) -> Result<Decision, DispatchError> {
    check_names(index, request)?;
    let query = Query::new(index, &Analyzer::new().terms(&request.input));
    let mut scored = score(index, &query, |document| is_candidate(&document.agent, request));
    scored.sort_by(|one, other| {
        other
            .score
            .total_cmp(&one.score)
            .then_with(|| one.document.agent.name().cmp(other.document.agent.name()))
    });

    let signals = Signals::of(&query, index, &scored);
    let confidence = confidence(&signals);
    let mut outcome = outcome(&signals);
    let first = scored.first().map(|first| first.document.agent.clone());
    let mut picked = first.filter(|_| outcome != Outcome::None);
    let mut strategy = Strategy::Local;
    if picked.is_none()
        && let Some(default) = default_agent(index, request, settings)
    {
        (picked, outcome, strategy) = (Some(default), Outcome::Picked, Strategy::Default);
    }
    scored.truncate(request.top_k.unwrap_or(DEFAULT_TOP_K));
    Ok(Decision {
        id: Uuid::now_v7(),
        outcome,
        agent: picked.as_deref().map(AgentRef::to),
        confidence: round(confidence),
        margin: round(f64::from(signals.margin())),
        strategy,
        roster_revision: index.roster_revision(),
        elapsed_us: 0,
        ranked: scored.iter().map(|candidate| rank(index, &query, candidate)).collect(),
        picked,
    })
}

fn check_names(index: &Index, request: &DispatchRequest) -> Result<(), DispatchError> {
    for name in &request.candidates.names {
        if !is_permitted(request, name) {
            return Err(DispatchError::AgentNotPermitted(name.clone()));
        }
        if index.find(name).is_none() {
            return Err(DispatchError::AgentNotFound(name.clone()));
        }
    }
    Ok(())
}

fn is_permitted(request: &DispatchRequest, name: &str) -> bool {
    request
        .permitted
        .as_ref()
        .is_none_or(|permitted| permitted.iter().any(|allowed| allowed == name))
}

fn is_candidate(agent: &Agent, request: &DispatchRequest) -> bool {
    let Candidates { names, labels, exclude } = &request.candidates;
    let name = agent.name().as_str();
    is_permitted(request, name)
        && (names.is_empty() || names.iter().any(|wanted| wanted == name))
        && (labels.is_empty() || agent.labels.iter().any(|label| labels.contains(label)))
        && !exclude.iter().any(|excluded| excluded == name)
}

fn default_agent(
    index: &Index,
    request: &DispatchRequest,
    settings: &Settings,
) -> Option<Arc<Agent>> {
    let name =
        settings.default_agent.as_deref().filter(|_| settings.on_none == OnNone::DefaultAgent)?;
    let agent = index.find(name).filter(|agent| agent.is_live() && is_candidate(agent, request))?;
    Some(agent.clone())
}

impl Query {
    fn new(index: &Index, terms: &[Term]) -> Self {
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
fn score<'a>(
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

fn rank(index: &Index, query: &Query, candidate: &Scored<'_>) -> Ranked {
    Ranked {
        agent: candidate.document.agent.name().to_string(),
        score: round(f64::from(candidate.score)),
        reasons: reasons::explain(index, query, candidate),
    }
}

/// Four digits: what lies behind them is noise to a reader.
pub(super) fn round(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}
