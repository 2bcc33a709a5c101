//! How well each candidate meets a request: in its words (BM25 over weighted fields), in their meaning (cosines of
//! vectors, and the discriminant), less what an exclusion covers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Index;
use super::discriminant::Probe;
use super::document::{Content, Document, Exclusion, Field};
use super::embedding::Embedding;
use super::index::SATURATION;
use super::technologies::mentions;
use super::text::{Analyzer, Term};

/// Candidates that are compared in full: no more can be asked for, and more would cost time.
const SHORTLIST: usize = 128;

/// Candidates whose bodies are compared line by line.
const READ_CLOSELY: usize = 32;

/// What each piece of evidence counts; together about 1.
const WORDS: f32 = 0.54;
const DESCRIPTION: f32 = 0.18;
const SENTENCE: f32 = 0.09;
const EXAMPLE: f32 = 0.09;
const BODY: f32 = 0.20;

/// What speaks for a candidate whose score is one half, and how fast the score grows there.
const MIDDLE: f32 = 0.4;
const STEEPNESS: f64 = 3.0;

/// Share of a request's weight that one exclusion must cover to speak against the agent.
const EXCLUDED_WORDS_FROM: f32 = 0.35;

/// How near an exclusion must come to a request to speak against the agent, and how much nearer than anything for it.
const EXCLUDED_MEANING_FROM: f32 = 0.6;
const EXCLUDED_MEANING_AHEAD: f32 = 0.1;

/// A request as the local stage sees it.
pub(super) struct Query {
    /// Each term once.
    pub terms: Vec<QueryTerm>,
    /// The score of a document that holds every term without end.
    full_score: f32,
    pub embedding: Option<Embedding>,
    /// The names of technologies that no agent mentions, each once and as the request has it.
    pub unknown_technologies: Vec<String>,
    probe: Option<Probe>,
}

pub(super) struct QueryTerm {
    pub stem: Arc<str>,
    pub word: Arc<str>,
    /// How much the word says, whatever the roster.
    pub salience: f32,
    /// That times its rarity in the roster.
    pub weight: f32,
}

/// What speaks for a candidate, each but the last from about 0 to about 1.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Evidence {
    pub words: f32,
    /// The whole description.
    pub description: f32,
    /// The best of its sentences.
    pub sentence: f32,
    /// The best of what users say.
    pub example: f32,
    /// The mean of the three best lines.
    pub body: f32,
    /// The discriminant's logarithm of a ratio of likelihoods, in nats: tens or hundreds, and negative for most.
    pub likelihood: f32,
}

/// A candidate with its score, and the exclusion that lowered it.
pub(super) struct Scored<'a> {
    pub document: &'a Document,
    pub evidence: Evidence,
    /// What speaks for it, less what speaks against it: unbounded, and around 0 for one that nothing speaks for.
    pub total: f32,
    pub exclusion: Option<(&'a str, f32)>,
}

impl Query {
    pub fn new(index: &Index, text: &str) -> Self {
        let embedding = Embedding::of(text);
        let probe = embedding.as_ref().and_then(|embedding| index.discriminant.probe(embedding));
        let terms = Analyzer::new().terms(text);
        let mut once: HashMap<&str, &Term> = HashMap::new();
        for term in &terms {
            once.insert(&term.stem, term);
        }
        let mut terms: Vec<QueryTerm> = once
            .into_values()
            .map(|term| QueryTerm {
                stem: Arc::clone(&term.stem),
                word: Arc::clone(&term.word),
                salience: term.weight,
                weight: term.weight * index.rarity(&term.stem),
            })
            .collect();
        // Sums of floats depend on their order, and equal requests must have equal scores.
        terms.sort_by(|one, other| one.stem.cmp(&other.stem));
        let full_score = terms.iter().map(|term| term.weight).sum::<f32>() * (SATURATION + 1.0);
        let unknown_technologies = unknown_technologies(index, text);
        Self { terms, full_score, embedding, unknown_technologies, probe }
    }

    /// How much all of its words tell.
    pub fn weight(&self) -> f32 {
        self.terms.iter().map(|term| term.weight).sum()
    }
}

fn unknown_technologies(index: &Index, text: &str) -> Vec<String> {
    let mut once = HashSet::new();
    mentions(text)
        .filter(|mention| !mention.is_doubtful && !index.knows(mention.technology))
        .filter(|mention| once.insert(mention.technology))
        .map(|mention| mention.name.to_owned())
        .collect()
}

/// The candidates that are worth a comparison, the best first.
pub(super) fn score<'a>(
    index: &'a Index,
    query: &Query,
    trust: f32,
    is_candidate: impl Fn(&Document) -> bool,
) -> Vec<Scored<'a>> {
    let trust = trust * index.usual_trust();
    let words = words(index, query);
    let mut scored: Vec<Scored> = index
        .documents
        .iter()
        .zip(words)
        .enumerate()
        .filter(|(_, (document, _))| is_candidate(document))
        .map(|(number, (document, words))| {
            let likelihood = query
                .probe
                .as_ref()
                .map_or(0.0, |probe| index.discriminant.log_ratio(probe, number));
            let evidence = Evidence { words, likelihood, ..Evidence::default() };
            Scored { document, evidence, total: evidence.total(trust), exclusion: None }
        })
        .collect();
    keep_best(&mut scored, SHORTLIST);
    for candidate in &mut scored {
        candidate.compare(query);
        candidate.total = candidate.evidence.total(trust);
    }
    keep_best(&mut scored, SHORTLIST);
    for candidate in scored.iter_mut().take(READ_CLOSELY) {
        candidate.compare_body(query);
        candidate.exclusion = strongest_exclusion(query, candidate);
        let penalty = candidate.exclusion.map_or(0.0, |(_, strength)| strength);
        candidate.total = candidate.evidence.total(trust) - penalty;
    }
    keep_best(&mut scored, SHORTLIST);
    scored
}

/// For each document the part of the best possible score that its words have: BM25 over weighted fields.
fn words(index: &Index, query: &Query) -> Vec<f32> {
    let mut sums = vec![0.0_f32; index.documents.len()];
    for term in &query.terms {
        for posting in index.postings(&term.stem) {
            sums[posting.document as usize] += term.weight * saturate(posting.frequency);
        }
    }
    if query.full_score > 0.0 {
        for sum in &mut sums {
            *sum /= query.full_score;
        }
    }
    sums
}

/// Sorted, and by name where scores are equal.
fn keep_best(scored: &mut Vec<Scored<'_>>, count: usize) {
    let order = |one: &Scored<'_>, other: &Scored<'_>| {
        let by_name = || one.document.agent.name().cmp(other.document.agent.name());
        other.total.total_cmp(&one.total).then_with(by_name)
    };
    if scored.len() > count {
        scored.select_nth_unstable_by(count, order);
        scored.truncate(count);
    }
    scored.sort_unstable_by(order);
}

impl Evidence {
    fn total(&self, trust: f32) -> f32 {
        self.words_and_meaning() + trust * self.likelihood
    }

    pub fn words_and_meaning(&self) -> f32 {
        WORDS * self.words + self.meaning()
    }

    fn meaning(&self) -> f32 {
        DESCRIPTION * self.description
            + SENTENCE * self.sentence
            + EXAMPLE * self.example
            + BODY * self.body
    }

    /// How much of what speaks for a candidate is its words, from 0 to 1.
    pub fn part_of_words(&self) -> f32 {
        let (words, meaning) = (WORDS * self.words, self.meaning().max(0.0));
        if words > 0.0 { words / (words + meaning) } else { 0.0 }
    }
}

/// What stands in for the best example of an agent that has none, as a part of its description's cosine.
const WITHOUT_EXAMPLES: f32 = 0.85;

impl Scored<'_> {
    /// From 0 to 1, and never so near to either end that two candidates would seem equal.
    pub fn score(&self) -> f64 {
        let ahead = f64::from(self.total - MIDDLE) * STEEPNESS;
        f64::midpoint(1.0, ahead / (1.0 + ahead.abs()))
    }

    fn compare(&mut self, query: &Query) {
        let Some(request) = &query.embedding else { return };
        let content = &self.document.content;
        let cosine = |embedding: &Embedding| embedding.cosine(request);
        self.evidence.description = content.description.as_deref().map_or(0.0, cosine);
        self.evidence.sentence =
            content.embeddings(Field::Description).map(cosine).fold(0.0, f32::max);
        let said = content.embeddings(Field::ExampleUser).chain(content.embeddings(Field::Learned));
        self.evidence.example = said
            .map(cosine)
            .reduce(f32::max)
            .unwrap_or(self.evidence.description * WITHOUT_EXAMPLES);
    }

    fn compare_body(&mut self, query: &Query) {
        let Some(request) = &query.embedding else { return };
        self.evidence.body = mean_of_best(&self.document.content, request);
    }
}

/// The mean of the cosines of the three lines of the body that come nearest.
fn mean_of_best(content: &Content, request: &Embedding) -> f32 {
    let mut best = [0.0_f32; 3];
    for embedding in content.embeddings(Field::Body) {
        let mut cosine = embedding.cosine(request);
        for place in &mut best {
            if cosine > *place {
                std::mem::swap(place, &mut cosine);
            }
        }
    }
    best.iter().sum::<f32>() / 3.0
}

pub(super) fn saturate(frequency: f32) -> f32 {
    frequency * (SATURATION + 1.0) / (frequency + SATURATION)
}

/// The exclusion that speaks most strongly against the candidate, if any does: it covers much of the request's words,
/// or it means what the request means, clearly more than all that the agent says of what it does.
fn strongest_exclusion<'a>(query: &Query, candidate: &Scored<'a>) -> Option<(&'a str, f32)> {
    let all = query.weight().max(f32::MIN_POSITIVE);
    let Evidence { description, sentence, example, .. } = candidate.evidence;
    let nearest = description.max(sentence).max(example);
    let strength = |exclusion: &Exclusion| {
        let covered: f32 = query
            .terms
            .iter()
            .filter(|term| exclusion.terms.iter().any(|excluded| excluded.stem == term.stem))
            .map(|term| term.weight)
            .sum();
        let by_words = Some(covered / all).filter(|part| *part >= EXCLUDED_WORDS_FROM);
        let by_meaning = query
            .embedding
            .as_ref()
            .and_then(|request| Some(exclusion.embedding.as_ref()?.cosine(request)))
            .filter(|cosine| {
                *cosine >= EXCLUDED_MEANING_FROM.max(nearest + EXCLUDED_MEANING_AHEAD)
            });
        Some(by_words.unwrap_or(0.0).max(by_meaning.unwrap_or(0.0))).filter(|part| *part > 0.0)
    };
    let exclusions = candidate.document.content.exclusions.iter();
    exclusions
        .filter_map(|exclusion| Some((exclusion.text.as_str(), strength(exclusion)?)))
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
}

/// Six digits: what lies behind them is noise to a reader.
pub(super) fn round(value: f64) -> f64 {
    (value * 1_000_000.0).round() / 1_000_000.0
}
