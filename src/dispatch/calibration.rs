//! Confidences as they turn out: a map that is fitted to how often held-out requests found their agent.

use super::fit::MIN_CASES;

/// A map of confidences that never changes their order: on the scale of log-odds, two straight lines that meet at one
/// half.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Calibration {
    /// Of 1, of log-odds below 0, and of log-odds above.
    weights: [f64; 3],
}

impl Default for Calibration {
    fn default() -> Self {
        Self { weights: [0.0, 1.0, 1.0] }
    }
}

impl Calibration {
    /// How strongly it is held that confidences are right as they are, in requests.
    const PRIOR: f64 = 1.0;

    /// What of a difference between two confidences is left at the least.
    const LEAST_SLOPE: f64 = 0.1;

    pub fn apply(self, confidence: f64) -> f64 {
        logistic(product(&self.weights, &features(confidence)))
    }

    /// The likeliest map of confidences, each with whether it was justified.
    pub fn of(outcomes: impl Iterator<Item = (f64, bool)>) -> Self {
        let usual = Self::default();
        let points: Vec<([f64; 3], f64)> = outcomes
            .map(|(confidence, is_right)| (features(confidence), f64::from(u8::from(is_right))))
            .collect();
        if points.len() < MIN_CASES {
            return usual;
        }
        let (mut start, mut priors) = (usual.weights, [Self::PRIOR; 3]);
        let mut weights = likeliest(&points, start, priors);
        for slope in 1..3 {
            if weights[slope] < Self::LEAST_SLOPE {
                (start[slope], priors[slope]) = (Self::LEAST_SLOPE, 1e6);
                weights = likeliest(&points, start, priors);
            }
        }
        if weights.iter().all(|weight| weight.is_finite()) { Self { weights } } else { usual }
    }
}

/// A logistic regression by Newton's method. `priors` says how strongly each weight is held where it starts.
fn likeliest(points: &[([f64; 3], f64)], start: [f64; 3], priors: [f64; 3]) -> [f64; 3] {
    let unlikeliness = |weights: &[f64; 3]| {
        let held = (0..3).map(|at| priors[at] * (weights[at] - start[at]).powi(2) / 2.0);
        let missed = points.iter().map(|(features, right)| {
            let sum = product(weights, features);
            // The logarithm of 1 + e^sum, which a large sum must not overflow.
            sum.max(0.0) + (-sum.abs()).exp().ln_1p() - right * sum
        });
        held.sum::<f64>() + missed.sum::<f64>()
    };
    let mut weights = start;
    for _ in 0..25 {
        let mut step = newton_step(points, &weights, &start, &priors);
        let before = unlikeliness(&weights);
        // Far from the best a whole step may lead away from it.
        for _ in 0..10 {
            let next = std::array::from_fn(|at| weights[at] - step[at]);
            if unlikeliness(&next) <= before {
                weights = next;
                break;
            }
            step = step.map(|part| part / 2.0);
        }
    }
    weights
}

fn newton_step(
    points: &[([f64; 3], f64)],
    weights: &[f64; 3],
    start: &[f64; 3],
    priors: &[f64; 3],
) -> [f64; 3] {
    let mut slope: [f64; 3] = std::array::from_fn(|at| priors[at] * (weights[at] - start[at]));
    let mut curve = [[0.0; 3]; 3];
    for (at, prior) in priors.iter().enumerate() {
        curve[at][at] = *prior;
    }
    for (features, right) in points {
        let expected = logistic(product(weights, features));
        for row in 0..3 {
            slope[row] += (expected - right) * features[row];
            for column in 0..3 {
                curve[row][column] +=
                    expected * (1.0 - expected) * features[row] * features[column];
            }
        }
    }
    solve(curve, slope)
}

fn features(confidence: f64) -> [f64; 3] {
    let log_odds = log_odds(confidence);
    [1.0, log_odds.min(0.0), log_odds.max(0.0)]
}

fn product(one: &[f64; 3], other: &[f64; 3]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// Solves three equations whose matrix is symmetric and positive, by elimination.
fn solve(mut matrix: [[f64; 3]; 3], mut right: [f64; 3]) -> [f64; 3] {
    for pivot in 0..3 {
        for row in pivot + 1..3 {
            let (above, below) = matrix.split_at_mut(row);
            let times = below[0][pivot] / above[pivot][pivot];
            for (value, from) in below[0].iter_mut().zip(above[pivot]) {
                *value -= times * from;
            }
            right[row] -= times * right[pivot];
        }
    }
    for row in (0..3).rev() {
        let known: f64 = (row + 1..3).map(|column| matrix[row][column] * right[column]).sum();
        right[row] = (right[row] - known) / matrix[row][row];
    }
    right
}

fn log_odds(probability: f64) -> f64 {
    let probability = probability.clamp(1e-4, 1.0 - 1e-4);
    (probability / (1.0 - probability)).ln()
}

pub(super) fn logistic(sum: f64) -> f64 {
    1.0 / (1.0 + (-sum).exp())
}

#[cfg(test)]
mod tests {
    use super::Calibration;

    /// Of requests that were answered with this confidence, so many in a hundred were right.
    fn outcomes(pairs: &[(f64, usize)]) -> impl Iterator<Item = (f64, bool)> {
        pairs
            .iter()
            .flat_map(|(confidence, right)| (0..100).map(move |case| (*confidence, case < *right)))
    }

    #[test]
    fn confidences_become_how_often_they_were_right() {
        let calibration = Calibration::of(outcomes(&[(0.1, 30), (0.3, 45), (0.7, 80), (0.9, 97)]));
        for (confidence, expected) in [(0.1, 0.30), (0.3, 0.45), (0.7, 0.80), (0.9, 0.97)] {
            let calibrated = calibration.apply(confidence);
            assert!((calibrated - expected).abs() < 0.05, "{confidence}: {calibrated}");
        }
    }

    #[test]
    fn their_order_stays() {
        // The surer, the more often wrong.
        let calibration = Calibration::of(outcomes(&[(0.1, 90), (0.4, 60), (0.6, 40), (0.9, 10)]));
        let calibrated: Vec<f64> =
            (1..100).map(|part| calibration.apply(f64::from(part) / 100.0)).collect();
        assert!(calibrated.is_sorted_by(|one, other| one < other));
    }

    #[test]
    fn few_requests_change_nothing() {
        let few = Calibration::of(outcomes(&[(0.5, 100)]).take(10));
        assert_eq!(few, Calibration::default());
        assert!((few.apply(0.3) - 0.3).abs() < 1e-9);
    }
}
