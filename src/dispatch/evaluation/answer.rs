//! One request asked of an index, and where the right agent stood in the answer.

use crate::dispatch::local::judge;
use crate::dispatch::score::round;
use crate::dispatch::{Case, Index, Outcome};

/// What was answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    /// The first of the ranked ones; if the right agent is first and another one has its score, then that one.
    pub first: Option<String>,
    pub outcome: Outcome,
    pub confidence: f64,
    /// Of the right agent, from 1. Whoever has an equal score stands before it: which of them comes first is chance.
    pub rank: Option<usize>,
}

/// A case with what was answered.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub case: Case,
    pub answer: Answer,
    /// What the live roster answers, if another one is measured.
    pub live: Option<Answer>,
}

impl Exchange {
    pub fn ask(index: &Index, case: Case) -> Self {
        let answer = Answer::ask(index, &case.input, case.agent.as_deref());
        Self { case, answer, live: None }
    }

    pub fn ask_live(&mut self, index: &Index) {
        self.live = Some(Answer::ask(index, &self.case.input, self.case.agent.as_deref()));
    }
}

impl Answer {
    pub fn ask(index: &Index, input: &str, right: Option<&str>) -> Self {
        let judged = judge(index, input, |_| true);
        // As callers see them: what is equal there is equal here.
        let ranked = judged
            .scored
            .iter()
            .map(|candidate| (candidate.document.agent.name().as_str(), round(candidate.score())));
        let (first, rank) = place(&ranked.collect::<Vec<_>>(), right);
        Self { first, outcome: judged.outcome, confidence: judged.confidence, rank }
    }

    /// The agent that a run would be given.
    pub fn picked(&self) -> Option<&str> {
        self.first.as_deref().filter(|_| self.outcome != Outcome::None)
    }

    /// Whether the first of the ranked ones is the right agent.
    pub fn is_first_right(&self) -> bool {
        self.rank == Some(1)
    }

    /// Whether the right agent was picked, or none where the request belongs to nobody.
    pub fn is_right(&self, case: &Case) -> bool {
        match &case.agent {
            Some(_) => self.is_first_right() && self.outcome != Outcome::None,
            None => self.outcome == Outcome::None,
        }
    }
}

/// Who stands first, and where the right one stands, among agents with their scores, the best first.
fn place(ranked: &[(&str, f64)], right: Option<&str>) -> (Option<String>, Option<usize>) {
    let own = ranked.iter().find(|(agent, _)| Some(*agent) == right).map(|(_, score)| *score);
    let rank = own.map(|own| ranked.iter().filter(|(_, score)| *score >= own).count());
    let first = match rank {
        Some(1) | None => ranked.first(),
        Some(_) => ranked.iter().find(|(agent, _)| Some(*agent) != right),
    };
    (first.map(|(agent, _)| (*agent).to_owned()), rank)
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn whoever_has_an_equal_score_stands_before_the_right_agent() {
        let ranked = [("a", 0.9), ("b", 0.9), ("c", 0.5)];
        let place = |right| place(&ranked, right);
        assert_eq!(place(Some("a")), (Some("b".to_owned()), Some(2)));
        assert_eq!(place(Some("b")), (Some("a".to_owned()), Some(2)));
        assert_eq!(place(Some("c")), (Some("a".to_owned()), Some(3)));
        assert_eq!(place(Some("d")), (Some("a".to_owned()), None));
        assert_eq!(place(None), (Some("a".to_owned()), None));
        assert_eq!(super::place(&ranked[1..], Some("b")), (Some("b".to_owned()), Some(1)));
        assert_eq!(super::place(&[], Some("b")), (None, None));
    }
}
