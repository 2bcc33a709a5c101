//! One agent as the local stage sees it: its text in segments with their vectors, its terms counted by field.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::quality::RandomState;
use uuid::Uuid;

use super::corrections::Correction;
use super::decision::ReasonKind;
use super::embedding::Embedding;
use super::technologies::{Technology, mentions};
use super::text::{Analyzer, Term};
use crate::registry::Agent;

/// Lines of the body whose meaning counts: what an agent is for stands at the beginning.
const MAX_BODY_VECTORS: usize = 48;

/// The parts of a definition, which count differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Name,
    Description,
    /// What users say in the examples.
    ExampleUser,
    /// What users said whose requests were found to belong to the agent.
    Learned,
    /// The circumstances and the commentary of the examples.
    ExampleContext,
    Body,
}

pub(super) const FIELD_COUNT: usize = 6;

impl Field {
    pub const ALL: [Self; FIELD_COUNT] = [
        Self::Name,
        Self::Description,
        Self::ExampleUser,
        Self::Learned,
        Self::ExampleContext,
        Self::Body,
    ];

    /// How much a word in this field counts.
    pub fn weight(self) -> f32 {
        match self {
            Self::Name => 3.0,
            Self::ExampleUser | Self::Learned => 2.5,
            Self::Description => 2.0,
            Self::ExampleContext => 1.0,
            Self::Body => 0.5,
        }
    }

    pub fn reason_kind(self) -> ReasonKind {
        match self {
            Self::Name => ReasonKind::Name,
            Self::Description => ReasonKind::Description,
            Self::ExampleUser | Self::ExampleContext => ReasonKind::Example,
            Self::Learned => ReasonKind::Feedback,
            Self::Body => ReasonKind::Body,
        }
    }
}

/// A piece of text that can be a reason: a sentence, an example, a line.
#[derive(Debug)]
pub(super) struct Segment {
    pub field: Field,
    pub text: String,
    /// Positions in [`Content::terms`], one for each word.
    pub terms: Box<[u32]>,
    /// `None` where the meaning of the text as a whole says nothing of what is asked for.
    pub embedding: Option<Box<Embedding>>,
}

/// What the agent says it does not do.
#[derive(Debug)]
pub(super) struct Exclusion {
    pub text: String,
    pub terms: Vec<Term>,
    pub embedding: Option<Box<Embedding>>,
}

/// A term with its count in each field.
#[derive(Debug)]
pub(super) struct CountedTerm {
    pub stem: Arc<str>,
    /// More than 255 say no more than 255.
    pub counts: [u8; FIELD_COUNT],
}

#[derive(Debug)]
pub(super) struct Document {
    pub agent: Arc<Agent>,
    pub content: Arc<Content>,
}

/// What depends on the definition and what was learned of the agent, and is kept while both stay as they are.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// The definition's own.
    pub sha256: String,
    /// In order of their stems.
    pub terms: Vec<CountedTerm>,
    /// In the order of [`Field::ALL`].
    pub segments: Vec<Segment>,
    /// The whole description without its examples.
    pub description: Option<Box<Embedding>>,
    pub exclusions: Vec<Exclusion>,
    /// Those that its segments mention, each once.
    pub technologies: Box<[Technology]>,
    /// The corrections that were learned.
    pub learned: Vec<Uuid>,
    /// Words in each field.
    pub lengths: [u32; FIELD_COUNT],
}

impl Content {
    pub fn of(agent: &Agent, learned: &[Arc<Correction>], analyzer: &mut Analyzer) -> Self {
        let mut builder = Builder::new(analyzer);
        let definition = &agent.definition;
        builder.add(Field::Name, &definition.display_name);
        for sentence in sentences(&definition.summary) {
            if !is_excluded(sentence, &definition.exclusions) {
                builder.add(Field::Description, sentence);
            }
        }
        for example in &definition.examples {
            builder.add(Field::ExampleUser, &example.user);
        }
        for correction in learned {
            builder.add(Field::Learned, &correction.text);
        }
        for example in &definition.examples {
            builder.add(Field::ExampleContext, &example.context);
            builder.add(Field::ExampleContext, &example.commentary);
        }
        for line in definition.prompt.lines() {
            if !is_excluded(line, &definition.exclusions) {
                builder.add(Field::Body, line.trim());
            }
        }
        let mut content = builder.finish();
        content.sha256.clone_from(&agent.sha256);
        content.learned = learned.iter().map(|correction| correction.id).collect();
        content.description = embed(&description(&content.segments));
        content.technologies = mentioned(&content.segments);
        content.exclusions = definition
            .exclusions
            .iter()
            .map(|text| Exclusion {
                text: text.clone(),
                terms: analyzer.terms(text),
                embedding: embed(text),
            })
            .filter(|exclusion| !exclusion.terms.is_empty())
            .collect();
        content
    }

    /// The vectors of texts in one field.
    pub fn embeddings(&self, field: Field) -> impl Iterator<Item = &Embedding> {
        self.segments
            .iter()
            .filter(move |segment| segment.field == field)
            .filter_map(|segment| segment.embedding.as_deref())
    }

    /// The vectors that stand for requests to this agent: its name, its description, what users said.
    pub fn representatives(&self) -> impl Iterator<Item = &Embedding> {
        self.own_representatives().chain(self.embeddings(Field::Learned))
    }

    /// Those from the definition alone.
    pub fn own_representatives(&self) -> impl Iterator<Item = &Embedding> {
        self.embeddings(Field::Name)
            .chain(self.description.as_deref())
            .chain(self.embeddings(Field::ExampleUser))
    }

    /// How many requests are known to belong to this agent.
    pub fn requests(&self) -> usize {
        self.embeddings(Field::ExampleUser).chain(self.embeddings(Field::Learned)).count()
    }

    /// In how many sentences and lines the agent speaks of itself.
    pub fn prose(&self) -> usize {
        let is_prose =
            |segment: &&Segment| matches!(segment.field, Field::Description | Field::Body);
        self.segments.iter().filter(is_prose).count()
    }

    pub fn term(&self, stem: &str) -> Option<(usize, &CountedTerm)> {
        let found = self.terms.binary_search_by(|term| (*term.stem).cmp(stem)).ok()?;
        Some((found, &self.terms[found]))
    }
}

fn description(segments: &[Segment]) -> String {
    let sentences: Vec<&str> = segments
        .iter()
        .filter(|segment| segment.field == Field::Description)
        .map(|segment| segment.text.as_str())
        .collect();
    sentences.join(" ")
}

fn mentioned(segments: &[Segment]) -> Box<[Technology]> {
    let mentions = segments.iter().flat_map(|segment| mentions(&segment.text));
    let once: HashSet<Technology> = mentions.map(|mention| mention.technology).collect();
    once.into_iter().collect()
}

fn embed(text: &str) -> Option<Box<Embedding>> {
    Embedding::of(text).map(Box::new)
}

struct Builder<'a> {
    analyzer: &'a mut Analyzer,
    positions: HashMap<Arc<str>, u32, RandomState>,
    body_vectors: usize,
    content: Content,
}

impl<'a> Builder<'a> {
    fn new(analyzer: &'a mut Analyzer) -> Self {
        Self {
            analyzer,
            positions: HashMap::default(),
            body_vectors: 0,
            content: Content::default(),
        }
    }

    fn add(&mut self, field: Field, text: &str) {
        let terms: Box<[u32]> =
            self.analyzer.terms(text).into_iter().map(|term| self.count(field, term)).collect();
        if !terms.is_empty() {
            self.content.lengths[field as usize] += u32::try_from(terms.len()).unwrap_or(u32::MAX);
            let embedding = if self.has_vector(field) { embed(text) } else { None };
            self.content.segments.push(Segment { field, text: text.to_owned(), terms, embedding });
        }
    }

    fn has_vector(&mut self, field: Field) -> bool {
        if field == Field::Body {
            self.body_vectors += 1;
        }
        field != Field::ExampleContext && self.body_vectors <= MAX_BODY_VECTORS
    }

    fn count(&mut self, field: Field, term: Term) -> u32 {
        let terms = &mut self.content.terms;
        let position = *self.positions.entry(term.stem.clone()).or_insert_with(|| {
            terms.push(CountedTerm { stem: term.stem, counts: [0; FIELD_COUNT] });
            u32::try_from(terms.len() - 1).expect("a definition has fewer than 2^32 words")
        });
        let count = &mut terms[position as usize].counts[field as usize];
        *count = count.saturating_add(1);
        position
    }

    /// Puts the terms in order, so that each is found quickly.
    fn finish(self) -> Content {
        let mut content = self.content;
        content.terms.sort_unstable_by(|one, other| one.stem.cmp(&other.stem));
        let mut moved_to = vec![0; content.terms.len()];
        for (position, term) in (0..).zip(&content.terms) {
            moved_to[self.positions[&term.stem] as usize] = position;
        }
        for position in content.segments.iter_mut().flat_map(|segment| &mut segment.terms) {
            *position = moved_to[*position as usize];
        }
        content.terms.shrink_to_fit();
        content.segments.shrink_to_fit();
        content
    }
}

/// Cuts where a sentence's end is followed by white space: `Next.js` is no end.
fn sentences(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    let mut ends = false;
    for (position, character) in text.char_indices() {
        if character == '\n' || (ends && character.is_whitespace()) {
            sentences.push(text[start..position].trim());
            start = position;
        }
        ends = matches!(character, '.' | '!' | '?' | ';');
    }
    sentences.push(text[start..].trim());
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}

fn is_excluded(line: &str, exclusions: &[String]) -> bool {
    exclusions.iter().any(|exclusion| line.contains(exclusion.as_str()))
}
