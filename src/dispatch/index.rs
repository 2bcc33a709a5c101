//! The index of a roster: immutable, built anew for each change; what did not change is taken over.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::corrections::{Correction, Corrections, CorrectionsByWords};
use super::discriminant::Discriminant;
use super::document::{Content, CountedTerm, Document, FIELD_COUNT, Field};
use super::embedding::Embedding;
use super::fit::{Fit, refit};
use super::technologies::Technology;
use super::text::Analyzer;
use crate::registry::{Agent, Roster};

/// How fast repeated words stop counting more (BM25's k1).
pub(super) const SATURATION: f32 = 1.2;

/// A smaller roster is taken for one of this size: where there is one agent, each of its words would be in all.
const MIN_ROSTER: usize = 15;

/// How much a long field dilutes its words (BM25's b).
const LENGTH_PENALTY: f32 = 0.6;

/// Everything that is needed to pick from one roster.
#[derive(Debug, Default)]
pub struct Index {
    roster: RosterView,
    corrections_revision: i64,
    fit: Fit,
    usual_trust: f32,
    /// How many requests are known to belong to one of the agents.
    requests: usize,
    /// In order of the agents' names.
    pub(super) documents: Vec<Document>,
    pub(super) discriminant: Discriminant,
    /// Those that any agent mentions.
    technologies: HashSet<Technology>,
    /// Requests that were found to belong to nobody.
    pub(super) nobody: Vec<Embedding>,
    corrected: CorrectionsByWords,
    postings: HashMap<Arc<str>, Vec<Posting>, RandomState>,
    mean_lengths: [f32; FIELD_COUNT],
}

#[derive(Debug, Default)]
struct RosterView {
    revision: i64,
    /// Disabled agents included: naming one is another error than naming none.
    agents: HashMap<String, Arc<Agent>>,
}

/// A term in a document, with its counts weighted over the fields.
#[derive(Debug)]
pub(super) struct Posting {
    pub document: u32,
    pub frequency: f32,
}

impl Index {
    /// Builds the index. What did not change since `previous` is taken over from there, with what was fitted.
    pub fn build(roster: &Roster, corrections: &Corrections, previous: Option<&Index>) -> Self {
        let fit = previous.map(|index| index.fit.clone()).unwrap_or_default();
        Self::fitted(roster, corrections, &fit, previous)
    }

    /// Builds the index and fits to the roster what can be fitted, which takes several times as long.
    pub fn build_and_fit(roster: &Roster, corrections: &Corrections) -> Self {
        let index = Self::build(roster, corrections, None);
        let fit = refit(roster, corrections, &index);
        Self::fitted(roster, corrections, &fit, Some(&index))
    }

    /// Builds the index with what was fitted to the roster.
    pub fn fitted(
        roster: &Roster,
        corrections: &Corrections,
        fit: &Fit,
        previous: Option<&Index>,
    ) -> Self {
        let mut analyzer = Analyzer::new();
        let documents: Vec<Document> = roster
            .live()
            // What says nothing of when to use it is picked only when it is named.
            .filter(|agent| !agent.definition.description.is_empty())
            .map(|agent| {
                let learned = corrections.of_agent(agent.name().as_str());
                let same = previous.and_then(|index| index.content_of(agent, learned));
                let content =
                    same.unwrap_or_else(|| Arc::new(Content::of(agent, learned, &mut analyzer)));
                Document { agent: Arc::clone(agent), content }
            })
            .collect();
        let agents = roster
            .agents
            .keys()
            .filter_map(|name| roster.find(name.as_str()))
            .map(|agent| (agent.name().to_string(), Arc::clone(agent)))
            .collect();
        let before = previous.map(|index| (&index.discriminant, index.documents.as_slice()));
        let nobody = corrections.of_nobody().iter();
        let mut index = Self {
            roster: RosterView { revision: roster.revision, agents },
            corrections_revision: corrections.revision,
            mean_lengths: mean_lengths(&documents),
            discriminant: Discriminant::of(&documents, &fit.scatter, before),
            nobody: nobody.filter_map(|correction| Embedding::of(&correction.text)).collect(),
            corrected: corrections.by_words().clone(),
            fit: Fit { strangers: fit.strangers.bounded_by(&documents), ..fit.clone() },
            usual_trust: usual_trust(&documents),
            technologies: documents
                .iter()
                .flat_map(|document| document.content.technologies.iter().copied())
                .collect(),
            requests: documents.iter().map(|document| document.content.requests()).sum(),
            documents,
            postings: HashMap::default(),
        };
        index.post(previous.map_or(0, |index| index.postings.len()));
        index
    }

    /// What was read of the agent, if neither its definition nor what was learned of it has changed.
    fn content_of(&self, agent: &Agent, learned: &[Arc<Correction>]) -> Option<Arc<Content>> {
        let found = self
            .documents
            .binary_search_by(|document| document.agent.name().cmp(agent.name()))
            .ok()?;
        let content = &self.documents[found].content;
        let is_same = content.sha256 == agent.sha256
            && content.learned.len() == learned.len()
            && content
                .learned
                .iter()
                .zip(learned)
                .all(|(known, correction)| *known == correction.id);
        is_same.then(|| Arc::clone(content))
    }

    pub fn fit(&self) -> &Fit {
        &self.fit
    }

    /// Of the roster and of the corrections.
    pub(super) fn revisions(&self) -> (i64, i64) {
        (self.roster.revision, self.corrections_revision)
    }

    pub fn roster_revision(&self) -> i64 {
        self.roster.revision
    }

    /// Whether building it anew would make no difference.
    pub(super) fn is_of(&self, roster: &Roster, corrections: &Corrections) -> bool {
        self.revisions() == (roster.revision, corrections.revision)
    }

    /// An agent of that name, disabled or not.
    pub(super) fn find(&self, name: &str) -> Option<&Arc<Agent>> {
        self.roster.agents.get(name)
    }

    pub(super) fn postings(&self, stem: &str) -> &[Posting] {
        self.postings.get(stem).map_or(&[], Vec::as_slice)
    }

    /// A term's frequency in a document, weighted over the fields.
    pub(super) fn frequency(&self, content: &Content, term: &CountedTerm) -> f32 {
        let counts = term.counts.iter().zip(Field::ALL);
        counts
            .map(|(count, field)| f32::from(*count) * self.occurrence_weight(content, field))
            .sum()
    }

    pub(super) fn requests(&self) -> usize {
        self.requests
    }

    /// What was last said of a request in the same words.
    pub(super) fn corrected(&self, text: &str) -> Option<&Correction> {
        self.corrected.find(text)
    }

    /// Whether any agent mentions it.
    pub(super) fn knows(&self, technology: Technology) -> bool {
        self.technologies.contains(&technology)
    }

    /// What one nat of the discriminant is worth beside words and cosines, if it is trusted as usual.
    pub(super) fn usual_trust(&self) -> f32 {
        self.usual_trust
    }

    /// How much a term tells: the fewer agents use it, the more.
    pub(super) fn rarity(&self, stem: &str) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "counts of agents are small")]
        let (all, with) =
            (self.documents.len().max(MIN_ROSTER) as f32, self.postings(stem).len() as f32);
        ((all - with + 0.5) / (with + 0.5)).ln_1p()
    }

    /// What one occurrence in a field adds to a term's frequency in that document.
    pub(super) fn occurrence_weight(&self, content: &Content, field: Field) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "a field has far fewer than 2^24 words")]
        let length = content.lengths[field as usize] as f32;
        let mean = self.mean_lengths[field as usize].max(1.0);
        field.weight() / (1.0 - LENGTH_PENALTY + LENGTH_PENALTY * length / mean)
    }

    fn post(&mut self, expected_stems: usize) {
        let mut postings: HashMap<Arc<str>, Vec<Posting>, RandomState> =
            HashMap::with_capacity_and_hasher(expected_stems, RandomState::default());
        for (number, document) in self.documents.iter().enumerate() {
            let weights = Field::ALL.map(|field| self.occurrence_weight(&document.content, field));
            for term in &document.content.terms {
                let frequency = term
                    .counts
                    .iter()
                    .zip(weights)
                    .map(|(count, weight)| f32::from(*count) * weight)
                    .sum();
                let document = u32::try_from(number).expect("a roster has fewer than 2^32 agents");
                let posting = Posting { document, frequency };
                match postings.get_mut(&term.stem) {
                    Some(list) => list.push(posting),
                    None => {
                        postings.insert(term.stem.clone(), vec![posting]);
                    }
                }
            }
        }
        postings.values_mut().for_each(Vec::shrink_to_fit);
        self.postings = postings;
    }
}

#[expect(clippy::cast_precision_loss, reason = "fields have far fewer than 2^24 words")]
fn mean_lengths(documents: &[Document]) -> [f32; FIELD_COUNT] {
    let mut means = [0.0; FIELD_COUNT];
    for (field, mean) in means.iter_mut().enumerate() {
        // Agents without the field would make it seem longer than usual in those that have it.
        let lengths: Vec<f32> = documents
            .iter()
            .map(|document| document.content.lengths[field] as f32)
            .filter(|length| *length > 0.0)
            .collect();
        *mean = lengths.iter().sum::<f32>() / (lengths.len().max(1) as f32);
    }
    means
}

/// Where requests are most of what is known of the agents, the discriminant knows what requests to them are like; where
/// prose is, it knows little beside what the prose says.
#[expect(clippy::cast_precision_loss, reason = "counts of pieces of text are small")]
fn usual_trust(documents: &[Document]) -> f32 {
    const LEAST: f32 = 1.0 / 600.0;
    const MOST: f32 = 1.0 / 60.0;
    let count = |count: &dyn Fn(&Content) -> usize| {
        documents.iter().map(|document| count(&document.content)).sum::<usize>() as f32
    };
    let (requests, prose) = (count(&Content::requests), count(&Content::prose));
    (LEAST * (1.0 + 2.0 * requests / prose.max(1.0))).min(MOST)
}
