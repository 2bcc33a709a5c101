//! How vectors of several groups scatter, each about the mean of its own group.

use super::embedding::{DIMENSIONS, Embedding};

/// How much of the covariance is a sphere's, at the least: there are fewer texts than it has numbers. The fewer there are,
/// the more.
const SHRINKAGE: f32 = 0.5;

/// The variance in each direction that is assumed where there are too few texts to tell.
const USUAL_VARIANCE: f32 = 0.0025;

/// Fewer texts beyond one of each group say nothing of a covariance.
const MIN_TEXTS: usize = 32;

pub(super) type Vector = [f32; DIMENSIONS];

/// A covariance, as the triangle whose product with itself it is.
#[derive(Debug)]
pub(super) struct Covariance {
    /// Row `i` has `i + 1` numbers.
    triangle: Vec<Vector>,
}

impl Covariance {
    pub fn of(groups: &[Vec<&Embedding>]) -> Self {
        let mut scatter = vec![[0.0; DIMENSIONS]; DIMENSIONS];
        let mut freedom = 0;
        for group in groups {
            let Some(mean) = mean(group.iter().copied()) else { continue };
            for embedding in group {
                let mut deviation = embedding.to_floats();
                add(&mut deviation, &mean, -1.0);
                for (at, row) in scatter.iter_mut().enumerate() {
                    add(&mut row[..=at], &deviation, deviation[at]);
                }
            }
            freedom += group.len() - 1;
        }
        if freedom < MIN_TEXTS {
            return Self { triangle: sphere(USUAL_VARIANCE.sqrt()) };
        }
        #[expect(clippy::cast_precision_loss, reason = "texts are few")]
        shrink(&mut scatter, freedom as f32);
        decompose(&mut scatter);
        Self { triangle: scatter }
    }

    /// Multiplies with the inverse.
    pub fn solve(&self, vector: &Vector) -> Vector {
        let mut solution = self.solve_half(vector);
        for (at, row) in self.triangle.iter().enumerate().rev() {
            solution[at] /= row[at];
            let value = solution[at];
            add(&mut solution[..at], row, -value);
        }
        solution
    }

    /// Multiplies with the inverse of the triangle: what comes out has a length in the covariance's measure.
    pub fn solve_half(&self, vector: &Vector) -> Vector {
        let mut solution = *vector;
        for (at, row) in self.triangle.iter().enumerate() {
            solution[at] = (solution[at] - dot(&row[..at], &solution[..at])) / row[at];
        }
        solution
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

pub(super) fn mean<'a>(embeddings: impl Iterator<Item = &'a Embedding>) -> Option<Vector> {
    let mut sum = [0.0; DIMENSIONS];
    let mut count = 0.0;
    for embedding in embeddings {
        add(&mut sum, &embedding.to_floats(), 1.0);
        count += 1.0;
    }
    (count > 0.0).then(|| sum.map(|value| value / count))
}

/// In eight sums at once, which the compiler may not do by itself: sums of floats depend on their order.
pub(super) fn dot(one: &[f32], other: &[f32]) -> f32 {
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

pub(super) fn add(sum: &mut [f32], vector: &[f32], times: f32) {
    for (sum, value) in sum.iter_mut().zip(vector) {
        *sum += value * times;
    }
}

pub(super) fn length(vector: &Vector) -> f32 {
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
        let covariance = Covariance { triangle: scatter };
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let asked: [f32; DIMENSIONS] = std::array::from_fn(|at| (at % 5) as f32 - 2.0);
        let solved = covariance.solve(&asked);
        for (row, asked) in full.iter().zip(asked) {
            assert!((dot(row, &solved) - asked).abs() < 1e-3);
        }
    }
}
