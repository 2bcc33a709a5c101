//! Confidences as they turn out: a map that is fitted to how often held-out requests found their agent, and to what is
//! foreign to the roster, which finds none.

use super::fit::MIN_CASES;

/// Log-odds at which one straight line of the map meets the next.
const BENDS: [f64; 3] = [-3.0, -1.0, 1.0];

/// Of 1, and of the log-odds along each line.
type Features = [f64; COUNT];

const COUNT: usize = BENDS.len() + 2;

/// A map of confidences that never changes their order: straight lines on the scale of log-odds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Calibration {
    weights: Features,
}

impl Default for Calibration {
    fn default() -> Self {
        Self { weights: [BENDS[0], 1.0, 1.0, 1.0, 1.0] }
    }
}

/// A request that was held out, or one that is foreign.
struct Point {
    features: Features,
    /// 1 if the first candidate was right.
    right: f64,
    /// How many requests it counts for.
    count: f64,
}

impl Calibration {
    /// How strongly it is held that confidences are right as they are, in requests.
    const PRIOR: f64 = 1.0;

    /// What of a difference between two confidences is left at the least.
    const LEAST_SLOPE: f64 = 0.1;

    /// How many requests that belong to nobody come with one that belongs to the roster, as far as anybody knows.
    const FOREIGN_SHARE: f64 = 0.05;

    pub fn apply(self, confidence: f64) -> f64 {
        logistic(product(&self.weights, &features(confidence)))
    }

    /// The likeliest map of confidences: of held-out requests, each with whether it was justified, and of foreign ones.
    pub fn of(held_out: &[(f64, bool)], foreign: &[f64]) -> Self {
        let usual = Self::default();
        if held_out.len() < MIN_CASES {
            return usual;
        }
        #[expect(clippy::cast_precision_loss, reason = "both are a few thousand")]
        let counts_for = held_out.len() as f64 * Self::FOREIGN_SHARE / foreign.len().max(1) as f64;
        let own = held_out.iter().map(|(confidence, is_right)| Point {
            features: features(*confidence),
            right: f64::from(u8::from(*is_right)),
            count: 1.0,
        });
        let foreign = foreign.iter().map(|confidence| Point {
            features: features(*confidence),
            right: 0.0,
            count: counts_for,
        });
        let points: Vec<Point> = own.chain(foreign).collect();
        let (mut start, mut priors) = (usual.weights, usual.weights.map(|_| Self::PRIOR));
        let mut weights = likeliest(&points, start, priors);
        for slope in 1..weights.len() {
            if weights[slope] < Self::LEAST_SLOPE {
                (start[slope], priors[slope]) = (Self::LEAST_SLOPE, 1e6);
                weights = likeliest(&points, start, priors);
            }
        }
        if weights.iter().all(|weight| weight.is_finite()) { Self { weights } } else { usual }
    }
}

/// A logistic regression by Newton's method. `priors` says how strongly each weight is held where it starts.
fn likeliest(points: &[Point], start: Features, priors: Features) -> Features {
    let unlikeliness = |weights: &Features| {
        let held = weights.iter().zip(&start).zip(&priors);
        let held = held.map(|((weight, start), prior)| prior * (weight - start).powi(2) / 2.0);
        let missed = points.iter().map(|point| {
            let sum = product(weights, &point.features);
            // The logarithm of 1 + e^sum, which a large sum must not overflow.
            point.count * (sum.max(0.0) + (-sum.abs()).exp().ln_1p() - point.right * sum)
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
    points: &[Point],
    weights: &Features,
    start: &Features,
    priors: &Features,
) -> Features {
    let mut slope: Features = std::array::from_fn(|at| priors[at] * (weights[at] - start[at]));
    let mut curve = [Features::default(); COUNT];
    for (at, prior) in priors.iter().enumerate() {
        curve[at][at] = *prior;
    }
    for Point { features, right, count } in points {
        let expected = logistic(product(weights, features));
        for (row, feature) in features.iter().enumerate() {
            slope[row] += count * (expected - right) * feature;
            for (cell, other) in curve[row].iter_mut().zip(features) {
                *cell += count * expected * (1.0 - expected) * feature * other;
            }
        }
    }
    solve(curve, slope)
}

fn features(confidence: f64) -> Features {
    let log_odds = log_odds(confidence);
    let [first, second, third] = BENDS;
    [
        1.0,
        log_odds.min(first) - first,
        log_odds.clamp(first, second) - first,
        log_odds.clamp(second, third) - second,
        log_odds.max(third) - third,
    ]
}

fn product(one: &Features, other: &Features) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// Solves equations whose matrix is symmetric and positive, by elimination.
fn solve(mut matrix: [Features; COUNT], mut right: Features) -> Features {
    for pivot in 0..COUNT {
        for row in pivot + 1..COUNT {
            let (above, below) = matrix.split_at_mut(row);
            let times = below[0][pivot] / above[pivot][pivot];
            for (value, from) in below[0].iter_mut().zip(above[pivot]) {
                *value -= times * from;
            }
            right[row] -= times * right[pivot];
        }
    }
    for row in (0..COUNT).rev() {
        let known: f64 = (row + 1..COUNT).map(|column| matrix[row][column] * right[column]).sum();
        right[row] = (right[row] - known) / matrix[row][row];
    }
    right
}

fn log_odds(probability: f64) -> f64 {
    let probability = probability.clamp(1e-6, 1.0 - 1e-6);
    (probability / (1.0 - probability)).ln()
}

pub(super) fn logistic(sum: f64) -> f64 {
    1.0 / (1.0 + (-sum).exp())
}

#[cfg(test)]
mod tests {
    use super::Calibration;

    /// Of requests that were answered with this confidence, so many in a hundred were right.
    fn outcomes(pairs: &[(f64, usize)]) -> Vec<(f64, bool)> {
        let cases = pairs
            .iter()
            .flat_map(|(confidence, right)| (0..100).map(move |case| (*confidence, case < *right)));
        cases.collect()
    }

    #[test]
    fn confidences_become_how_often_they_were_right() {
        let held_out = outcomes(&[(0.1, 30), (0.3, 45), (0.7, 80), (0.9, 97)]);
        let calibration = Calibration::of(&held_out, &[]);
        for (confidence, expected) in [(0.1, 0.30), (0.3, 0.45), (0.7, 0.80), (0.9, 0.97)] {
            let calibrated = calibration.apply(confidence);
            assert!((calibrated - expected).abs() < 0.05, "{confidence}: {calibrated}");
        }
    }

    #[test]
    fn what_is_foreign_is_not_sure_though_odd_requests_are_right() {
        // Also the least sure of the roster's own are right three times of four.
        let held_out = outcomes(&[(0.1, 75), (0.5, 80), (0.9, 95)]);
        let foreign = vec![0.01; 700];
        let without = Calibration::of(&held_out, &[]).apply(0.01);
        let calibration = Calibration::of(&held_out, &foreign);
        assert!(calibration.apply(0.01) < without / 3.0, "{without} {calibration:?}");
        assert!(calibration.apply(0.1) > 0.6);
    }

    #[test]
    fn their_order_stays() {
        // The surer, the more often wrong.
        let held_out = outcomes(&[(0.1, 90), (0.4, 60), (0.6, 40), (0.9, 10)]);
        let calibration = Calibration::of(&held_out, &[0.5; 9]);
        let calibrated: Vec<f64> =
            (1..1_000).map(|part| calibration.apply(f64::from(part) / 1_000.0)).collect();
        assert!(calibrated.is_sorted_by(|one, other| one < other));
    }

    #[test]
    fn few_requests_change_nothing() {
        let few = Calibration::of(&outcomes(&[(0.5, 100)])[..10], &[0.1; 100]);
        assert_eq!(few, Calibration::default());
        for confidence in [0.001, 0.3, 0.999] {
            assert!((few.apply(confidence) - confidence).abs() < 1e-9);
        }
    }
}
