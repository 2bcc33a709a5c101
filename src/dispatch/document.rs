//! One agent as the local stage sees it: its text in segments, its terms counted by field.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::decision::ReasonKind;
use super::text::{Analyzer, Term};
use crate::registry::Agent;

/// The parts of a definition, which count differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Name,
    Description,
    /// What users say in the examples.
    ExampleUser,
    /// The circumstances and the commentary of the examples.
    ExampleContext,
    Body,
}

pub(super) const FIELD_COUNT: usize = 5;

impl Field {
    pub const ALL: [Self; FIELD_COUNT] =
        [Self::Name, Self::Description, Self::ExampleUser, Self::ExampleContext, Self::Body];

    /// How much a word in this field counts.
    pub fn weight(self) -> f32 {
        match self {
            Self::Name => 3.0,
            Self::ExampleUser => 2.5,
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
}

/// What the agent says it does not do.
#[derive(Debug)]
pub(super) struct Exclusion {
    pub text: String,
    pub terms: Vec<Term>,
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

/// What depends on the definition alone, and is kept while that stays as it is.
#[derive(Debug)]
pub(super) struct Content {
    pub terms: Vec<CountedTerm>,
    pub segments: Vec<Segment>,
    pub exclusions: Vec<Exclusion>,
    /// Words in each field.
    pub lengths: [u32; FIELD_COUNT],
}

impl Content {
    pub fn of(agent: &Agent, analyzer: &mut Analyzer) -> Self {
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
            builder.add(Field::ExampleContext, &example.context);
            builder.add(Field::ExampleContext, &example.commentary);
        }
        for line in definition.prompt.lines() {
            if !is_excluded(line, &definition.exclusions) {
                builder.add(Field::Body, line.trim());
            }
        }
        let mut content = builder.content;
        content.exclusions = definition
            .exclusions
            .iter()
            .map(|text| Exclusion { text: text.clone(), terms: analyzer.terms(text) })
            .filter(|exclusion| !exclusion.terms.is_empty())
            .collect();
        content.terms.shrink_to_fit();
        content.segments.shrink_to_fit();
        content
    }
}

struct Builder<'a> {
    analyzer: &'a mut Analyzer,
    positions: HashMap<Arc<str>, u32, RandomState>,
    content: Content,
}

impl<'a> Builder<'a> {
    fn new(analyzer: &'a mut Analyzer) -> Self {
        let content = Content {
            terms: Vec::new(),
            segments: Vec::new(),
            exclusions: Vec::new(),
            lengths: [0; FIELD_COUNT],
        };
        Self { analyzer, positions: HashMap::default(), content }
    }

    fn add(&mut self, field: Field, text: &str) {
        let terms: Box<[u32]> =
            self.analyzer.terms(text).into_iter().map(|term| self.count(field, term)).collect();
        if !terms.is_empty() {
            self.content.lengths[field as usize] += u32::try_from(terms.len()).unwrap_or(u32::MAX);
            self.content.segments.push(Segment { field, text: text.to_owned(), terms });
        }
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
