//! Which agent's texts a request lies nearest to, where directions in which the texts of every agent scatter count less.
//!
//! A linear discriminant: one mean for each agent, and one covariance for all, shrunk towards a sphere since there are
//! fewer texts than a covariance has numbers. What makes texts of one agent differ is learned from all agents, so an
//! agent with two examples gains from those that have ten.

use std::sync::Arc;

use super::document::{Content, Document};
use super::embedding::{DIMENSIONS, Embedding};

/// How much of the covariance is the sphere's, at the least. The fewer texts there are, the more.
const SHRINKAGE: f32 = 0.5;

/// The variance in each direction that is assumed where there are too few texts to tell.
const USUAL_VARIANCE: f32 = 0.0025;

/// Fewer texts beyond one of each agent say nothing of a covariance.
const MIN_SAMPLE: usize = 32;

/// More texts hardly change the covariance, and would make a large roster slow to change.
const MAX_SAMPLE: usize = 2_048;

/// Texts of one agent in the sample, at the least and at the most.
const SAMPLE_OF_AGENT: std::ops::RangeInclusive<usize> = 4..=32;

type Vector = [f32; DIMENSIONS];

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
        let covariance = match scatter {
            Scatter::OwnTexts => {
                let sample = Sample::of(documents, Texts::Own);
                let before = previous.map(|(discriminant, _)| &discriminant.covariance);
                let same = before.filter(|covariance| covariance.sample.as_ref() == Some(&sample));
                same.map_or_else(|| Arc::new(Covariance::of_own(sample)), Arc::clone)
            }
            Scatter::AllTexts => Arc::new(Covariance::of_all(documents)),
            Scatter::Fitted(covariance) => Arc::clone(covariance),
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
                    covariance.measure(&mean(document.content.representatives())?)
                })
            })
            .collect();
        let background = mean_of_means(&means).and_then(|mean| covariance.measure(&mean));
        Self { covariance, means, background }
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

fn mean<'a>(embeddings: impl Iterator<Item = &'a Embedding>) -> Option<Vector> {
    let mut sum = [0.0; DIMENSIONS];
    let mut count = 0.0;
    for embedding in embeddings {
        add(&mut sum, &embedding.to_floats(), 1.0);
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
}

/// How the texts of one agent scatter about their mean, as the triangle whose product with itself it is.
#[derive(Debug)]
pub(super) struct Covariance {
    /// What it was made from, if it is to be made anew when that changes.
    sample: Option<Sample>,
    /// Row `i` has `i + 1` numbers.
    triangle: Vec<Vector>,
}

impl Covariance {
    /// That of all texts, those included that were learned.
    pub fn of_all(documents: &[Document]) -> Self {
        Self { sample: None, triangle: Self::triangle(&Sample::of(documents, Texts::All)) }
    }

    fn of_own(sample: Sample) -> Self {
        Self { triangle: Self::triangle(&sample), sample: Some(sample) }
    }

    fn triangle(sample: &Sample) -> Vec<Vector> {
        let mut scatter = vec![[0.0; DIMENSIONS]; DIMENSIONS];
        let mut freedom = 0;
        for content in &sample.contents {
            let texts = || sample.texts.of(content).take(sample.of_agent);
            let Some(mean) = mean(texts()) else { continue };
            for embedding in texts() {
                let mut deviation = embedding.to_floats();
                add(&mut deviation, &mean, -1.0);
                for (at, row) in scatter.iter_mut().enumerate() {
                    add(&mut row[..=at], &deviation, deviation[at]);
                }
            }
            freedom += texts().count() - 1;
        }
        if freedom < MIN_SAMPLE {
            return sphere(USUAL_VARIANCE.sqrt());
        }
        #[expect(clippy::cast_precision_loss, reason = "a sample is small")]
        shrink(&mut scatter, freedom as f32);
        decompose(&mut scatter);
        scatter
    }

    /// Multiplies with the inverse.
    fn solve(&self, vector: &Vector) -> Vector {
        let mut solution = self.solve_half(vector);
        for (at, row) in self.triangle.iter().enumerate().rev() {
            solution[at] /= row[at];
            let value = solution[at];
            add(&mut solution[..at], row, -value);
        }
        solution
    }

    /// Multiplies with the inverse of the triangle: what comes out has a length in the covariance's measure.
    fn solve_half(&self, vector: &Vector) -> Vector {
        let mut solution = *vector;
        for (at, row) in self.triangle.iter().enumerate() {
            solution[at] = (solution[at] - dot(&row[..at], &solution[..at])) / row[at];
        }
        solution
    }

    fn measure(&self, mean: &Vector) -> Option<Mean> {
        let direction = Embedding::of_direction(mean)?;
        let half = self.solve_half(mean);
        Some(Mean { direction, length: length(mean), bias: dot(&half, &half) / 2.0 })
    }
}

fn sphere(radius: f32) -> Vec<Vector> {
    let mut rows = vec![[0.0; DIMENSIONS]; DIMENSIONS];
    for (at, row) in rows.iter_mut().enumerate() {
        row[at] = radius;
    }
    rows
}

/// Sums of products into a covariance that has an inverse.
#[expect(clippy::cast_precision_loss, reason = "the dimensions are few")]
fn shrink(scatter: &mut [Vector], freedom: f32) {
    let few = DIMENSIONS as f32 / (DIMENSIONS as f32 + freedom);
    let shrinkage = SHRINKAGE.max(few);
    let trace: f32 = scatter.iter().enumerate().map(|(at, row)| row[at]).sum();
    let variance = trace / freedom / DIMENSIONS as f32;
    for (at, row) in scatter.iter_mut().enumerate() {
        for value in &mut row[..=at] {
            *value *= (1.0 - shrinkage) / freedom;
        }
        row[at] += shrinkage * variance;
    }
}

/// Cholesky's decomposition, in place.
fn decompose(rows: &mut [Vector]) {
    for at in 0..rows.len() {
        let (above, rest) = rows.split_at_mut(at);
        let row = &mut rest[0];
        for (column, other) in above.iter().enumerate() {
            row[column] = (row[column] - dot(&row[..column], &other[..column])) / other[column];
        }
        let square = row[at] - dot(&row[..at], &row[..at]);
        // Rounding must not make the root of a small number that of a negative one.
        row[at] = square.max(f32::EPSILON).sqrt();
    }
}

/// In eight sums at once, which the compiler may not do by itself: sums of floats depend on their order.
fn dot(one: &[f32], other: &[f32]) -> f32 {
    let ((ones, one_rest), (others, other_rest)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (one, other) in ones.iter().zip(others) {
        for ((sum, one), other) in sums.iter_mut().zip(one).zip(other) {
            *sum += one * other;
        }
    }
    let rest: f32 = one_rest.iter().zip(other_rest).map(|(one, other)| one * other).sum();
    sums.iter().sum::<f32>() + rest
}

fn add(sum: &mut [f32], vector: &[f32], times: f32) {
    for (sum, value) in sum.iter_mut().zip(vector) {
        *sum += value * times;
    }
}

fn length(vector: &Vector) -> f32 {
    dot(vector, vector).sqrt()
}

#[cfg(test)]
mod tests {
    use super::{Covariance, DIMENSIONS, decompose, dot, shrink};

    #[test]
    fn what_is_solved_times_the_covariance_is_what_was_asked() {
        let mut scatter = vec![[0.0; DIMENSIONS]; DIMENSIONS];
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        for (at, row) in scatter.iter_mut().enumerate() {
            for (column, value) in row[..=at].iter_mut().enumerate() {
                *value = ((at * 7 + column * 3) % 11) as f32 / 11.0;
            }
            row[at] = 40.0;
        }
        shrink(&mut scatter, 10.0);
        let full: Vec<[f32; DIMENSIONS]> = (0..DIMENSIONS)
            .map(|at| std::array::from_fn(|column| scatter[at.max(column)][at.min(column)]))
            .collect();
        decompose(&mut scatter);
        let covariance = Covariance { sample: None, triangle: scatter };
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let asked: [f32; DIMENSIONS] = std::array::from_fn(|at| (at % 5) as f32 - 2.0);
        let solved = covariance.solve(&asked);
        for (row, asked) in full.iter().zip(asked) {
            assert!((dot(row, &solved) - asked).abs() < 1e-3);
        }
    }
}
