//! Where a roster's own texts end and what is foreign to it begins.
//!
//! A linear discriminant of two groups. The request that comes nearest to a request is one of many, and may be near by
//! chance; the boundary is drawn through all of them.

use super::covariance::{Covariance, Vector, add, dot, length, mean};
use super::embedding::Embedding;

/// A plane between two groups of texts.
#[derive(Debug)]
pub(super) struct Boundary {
    direction: Embedding,
    length: f32,
    /// What the middle between the groups has.
    middle: f32,
}

impl Boundary {
    /// `None` if there is nothing to tell apart.
    pub fn between(own: Vec<&Embedding>, foreign: Vec<&Embedding>) -> Option<Self> {
        let own_mean = mean(own.iter().copied())?;
        let foreign_mean = mean(foreign.iter().copied())?;
        let (mut difference, mut sum): (Vector, Vector) = (own_mean, own_mean);
        add(&mut difference, &foreign_mean, -1.0);
        add(&mut sum, &foreign_mean, 1.0);
        let weights = Covariance::of(&[own, foreign]).solve(&difference);
        Some(Self {
            direction: Embedding::of_direction(&weights)?,
            length: length(&weights),
            middle: dot(&weights, &sum) / 2.0,
        })
    }

    /// The logarithm of how much likelier a text is one of the roster's own than a foreign one, in nats.
    pub fn log_ratio(&self, text: &Embedding) -> f32 {
        self.direction.cosine(text) * self.length - self.middle
    }
}

#[cfg(test)]
mod tests {
    use super::Boundary;
    use crate::dispatch::embedding::Embedding;

    fn embeddings(texts: &[&str]) -> Vec<Embedding> {
        texts.iter().map(|text| Embedding::of(text).expect("has words")).collect()
    }

    #[test]
    fn texts_of_neither_group_lie_on_the_side_of_those_that_they_are_like() {
        let own = embeddings(&[
            "Review the pull request",
            "Refactor this function and add unit tests",
            "Why does the compiler reject this code?",
            "Add an index to the slow database query",
        ]);
        let foreign = embeddings(&[
            "Which wine goes with grilled fish?",
            "How long does chicken have to roast?",
            "When do I plant tulip bulbs?",
            "Book a table for two tonight",
        ]);
        let boundary = Boundary::between(own.iter().collect(), foreign.iter().collect());
        let boundary = boundary.expect("there are two groups");
        for text in embeddings(&["The test suite fails after my commit", "Debug the SQL statement"])
        {
            assert!(boundary.log_ratio(&text) > 0.0);
        }
        for text in embeddings(&["How do I bake bread?", "Find me a restaurant"]) {
            assert!(boundary.log_ratio(&text) < 0.0);
        }
    }

    #[test]
    fn a_single_group_has_no_boundary() {
        let own = embeddings(&["Review the pull request"]);
        assert!(Boundary::between(own.iter().collect(), Vec::new()).is_none());
    }
}
