//! Which agent's texts a request lies nearest to, where directions in which the texts of every agent scatter count less.
//!
//! A linear discriminant: one mean for each agent, and one covariance for all, shrunk towards a sphere since there are
//! fewer texts than a covariance has numbers. What makes texts of one agent differ is learned from all agents, so an
//! agent with two examples gains from those that have ten.

use std::sync::Arc;

use super::covariance::{Covariance, Vector, add, dot, length, mean};
use super::document::{Content, Document};
use super::embedding::{DIMENSIONS, Embedding};

/// More texts hardly change the covariance, and would make a large roster slow to change.
const MAX_SAMPLE: usize = 2_048;

/// Texts of one agent in the sample, at the least and at the most.
const SAMPLE_OF_AGENT: std::ops::RangeInclusive<usize> = 4..=32;

/// How texts of one agent scatter.
#[derive(Debug, Clone, Default)]
pub(super) enum Scatter {
    /// As those that stand in the definitions.
    #[default]
    OwnTexts,
    /// As all texts of the index, those included that were learned.
    AllTexts,
    /// As all texts did when it was fitted.
    Fitted(Arc<Covariance>),
}

/// The discriminant of one roster.
#[derive(Debug)]
pub(super) struct Discriminant {
    covariance: Arc<Covariance>,
    /// What the covariance was made from, if it is to be made anew when that changes.
    sample: Option<Sample>,
    /// One for each document; `None` for one without vectors.
    means: Vec<Option<Mean>>,
    /// The mean of all means: what a request is like that could be for any agent.
    background: Option<Mean>,
}

#[derive(Debug, Clone)]
struct Mean {
    direction: Embedding,
    length: f32,
    /// Half of its squared distance from the origin, in the covariance's measure.
    bias: f32,
}

/// A request as the discriminant sees it.
#[derive(Debug)]
pub(super) struct Probe {
    direction: Embedding,
    length: f32,
    background: f32,
}

impl Default for Discriminant {
    fn default() -> Self {
        Self::of(&[], &Scatter::OwnTexts, None)
    }
}

impl Discriminant {
    /// What did not change since `previous`, whose documents are named with it, is taken from there.
    pub fn of(
        documents: &[Document],
        scatter: &Scatter,
        previous: Option<(&Self, &[Document])>,
    ) -> Self {
        let (covariance, sample) = match scatter {
            Scatter::OwnTexts => {
                let sample = Sample::of(documents, Texts::Own);
                let before = previous.map(|(discriminant, _)| discriminant);
                let same = before.filter(|before| before.sample.as_ref() == Some(&sample));
                let covariance = same.map_or_else(
                    || Arc::new(Covariance::of(&sample.groups())),
                    |before| Arc::clone(&before.covariance),
                );
                (covariance, Some(sample))
            }
            Scatter::AllTexts => (Arc::new(scatter_of_all(documents)), None),
            Scatter::Fitted(covariance) => (Arc::clone(covariance), None),
        };
        let kept =
            previous.filter(|(discriminant, _)| Arc::ptr_eq(&discriminant.covariance, &covariance));
        let means: Vec<Option<Mean>> = documents
            .iter()
            .map(|document| {
                let same = kept.and_then(|(discriminant, documents)| {
                    let name = document.agent.name();
                    let found =
                        documents.binary_search_by(|other| other.agent.name().cmp(name)).ok()?;
                    let is_same = Arc::ptr_eq(&documents[found].content, &document.content);
                    is_same.then(|| discriminant.means[found].clone())
                });
                same.unwrap_or_else(|| {
                    Mean::of(&mean(document.content.representatives())?, &covariance)
                })
            })
            .collect();
        let background = mean_of_means(&means).and_then(|mean| Mean::of(&mean, &covariance));
        Self { covariance, sample, means, background }
    }

    pub fn probe(&self, request: &Embedding) -> Option<Probe> {
        let weights = self.covariance.solve(&request.to_floats());
        let direction = Embedding::of_direction(&weights)?;
        let mut probe = Probe { direction, length: length(&weights), background: 0.0 };
        probe.background = probe.log_likelihood(self.background.as_ref()?);
        Some(probe)
    }

    /// The logarithm of how much likelier the request is as a text of that document than as one of no document in
    /// particular. 0 if the document has no vectors.
    pub fn log_ratio(&self, probe: &Probe, document: usize) -> f32 {
        let mean = self.means[document].as_ref();
        mean.map_or(0.0, |mean| probe.log_likelihood(mean) - probe.background)
    }
}

impl Mean {
    fn of(mean: &Vector, covariance: &Covariance) -> Option<Self> {
        let direction = Embedding::of_direction(mean)?;
        let half = covariance.solve_half(mean);
        Some(Self { direction, length: length(mean), bias: dot(&half, &half) / 2.0 })
    }
}

impl Probe {
    /// Up to a constant that is the same for all means.
    fn log_likelihood(&self, mean: &Mean) -> f32 {
        self.direction.cosine(&mean.direction) * self.length * mean.length - mean.bias
    }
}

fn mean_of_means(means: &[Option<Mean>]) -> Option<Vector> {
    let mut sum = [0.0; DIMENSIONS];
    let mut count = 0.0;
    for mean in means.iter().flatten() {
        add(&mut sum, &mean.direction.to_floats(), mean.length);
        count += 1.0;
    }
    (count > 0.0).then(|| sum.map(|value| value / count))
}

/// Whose texts show how texts of one agent differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Texts {
    /// What stands in the definitions.
    #[default]
    Own,
    /// What was learned, too.
    All,
}

impl Texts {
    fn of(self, content: &Content) -> Box<dyn Iterator<Item = &Embedding> + '_> {
        match self {
            Self::Own => Box::new(content.own_representatives()),
            Self::All => Box::new(content.representatives()),
        }
    }
}

/// The texts that a covariance is made from: of the agents with the smallest hashes, so that a change of one agent
/// hardly ever changes it, and every replica takes the same.
#[derive(Debug, Default)]
struct Sample {
    contents: Vec<Arc<Content>>,
    texts: Texts,
    of_agent: usize,
}

impl PartialEq for Sample {
    fn eq(&self, other: &Self) -> bool {
        // What was learned changes a content, but not the texts that it had.
        let is_same = |(one, other): (&Arc<Content>, &Arc<Content>)| {
            Arc::ptr_eq(one, other) || (self.texts == Texts::Own && one.sha256 == other.sha256)
        };
        (self.texts, self.of_agent) == (other.texts, other.of_agent)
            && self.contents.len() == other.contents.len()
            && self.contents.iter().zip(&other.contents).all(is_same)
    }
}

impl Sample {
    fn of(documents: &[Document], texts: Texts) -> Self {
        let mut by_hash: Vec<&Document> = documents.iter().collect();
        by_hash.sort_unstable_by(|one, other| one.agent.sha256.cmp(&other.agent.sha256));
        let of_agent = (MAX_SAMPLE / documents.len().max(1))
            .clamp(*SAMPLE_OF_AGENT.start(), *SAMPLE_OF_AGENT.end());
        let mut left = MAX_SAMPLE;
        let contents = by_hash
            .into_iter()
            .take_while(|document| {
                let count = texts.of(&document.content).take(of_agent).count();
                let is_room = count <= left;
                left = left.saturating_sub(count);
                is_room
            })
            .map(|document| Arc::clone(&document.content))
            .collect();
        Self { contents, texts, of_agent }
    }

    /// The texts of each agent.
    fn groups(&self) -> Vec<Vec<&Embedding>> {
        let texts = |content| self.texts.of(content).take(self.of_agent).collect();
        self.contents.iter().map(|content| texts(content)).collect()
    }
}

/// How all texts of one agent scatter, those included that were learned.
pub(super) fn scatter_of_all(documents: &[Document]) -> Covariance {
    Covariance::of(&Sample::of(documents, Texts::All).groups())
}
