//! What an evaluation says, put together from what was asked and answered.

use std::collections::BTreeSet;

use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Answer, Exchange};
use super::confusions::{Confusion, Overlap, confusions, overlaps};
use super::figures::{AgentFigures, Figures, by_agent};
use super::replay::{Disagreement, Replay};
use super::{Subject, can_be_picked};
use crate::dispatch::Outcome;

/// Where the requests came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvaluationSource {
    /// From the roster: each was asked while the roster did not hold it.
    HeldOut,
    Cases,
    /// From decisions on record. The cases are those of which somebody said what was right.
    Decisions,
}

/// How well a roster is picked from.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EvaluationReport {
    pub source: EvaluationSource,
    /// Agents that can be picked.
    pub agents: usize,
    #[serde(flatten)]
    pub figures: Figures,
    /// How many requests could have been held out; null unless they were too many and a part of them was.
    pub sampled_from: Option<usize>,
    /// Agents of cases that the roster has not got: their cases count as missed.
    pub unknown_agents: Vec<String>,
    /// At most 50, the most frequent first.
    pub confusions: Vec<Confusion>,
    /// Pairs that are confused, or whose descriptions are near; at most 50, the most confused first.
    pub overlaps: Vec<Overlap>,
    pub wrong: Vec<WrongCase>,
    pub by_agent: Vec<AgentFigures>,
    /// What differs from the live roster; null if no other one was asked.
    pub changed: Option<Changes>,
    /// Decisions that were asked again; null if none were wanted, as are the two below.
    pub decisions: Option<usize>,
    /// Share of the decisions that have the same agent and outcome now.
    pub agreement: Option<f64>,
    pub disagreements: Option<Vec<Disagreement>>,
}

/// A case that was not given to its agent, or a stranger that was given to one.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WrongCase {
    pub input: String,
    pub expected: Option<String>,
    pub picked: Option<String>,
    pub outcome: Outcome,
    pub confidence: f64,
    /// Of the right agent, from 1; null if it was not ranked.
    pub rank: Option<usize>,
}

/// Where another roster answers otherwise than the live one.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Changes {
    /// Wrong in the live roster, right in the other.
    pub better: usize,
    /// Right in the live roster, wrong in the other.
    pub worse: usize,
    /// Right or wrong in both, or nobody knows.
    pub other: usize,
    pub cases: Vec<ChangedCase>,
}

/// A case whose first agent or outcome is another one.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ChangedCase {
    pub input: String,
    /// Null if it belongs to nobody, and for a decision of which nobody said what was right.
    pub expected: Option<String>,
    pub live: ShortDecision,
    pub changed: ShortDecision,
}

/// A decision in short.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ShortDecision {
    /// Null if none was picked; where rosters are compared, the first of the ranked ones even so.
    pub agent: Option<String>,
    pub outcome: Outcome,
    pub confidence: f64,
}

/// What was asked and answered.
#[derive(Debug)]
pub(super) struct Measured {
    pub source: EvaluationSource,
    /// Those whose right agent is known.
    pub exchanges: Vec<Exchange>,
    pub has_live: bool,
    pub sampled_from: Option<usize>,
    /// Of decisions, with those whose right agent nobody told and that were asked of the live roster too.
    pub replay: Option<(Replay, Vec<Exchange>)>,
}

impl EvaluationReport {
    pub(super) fn of(subject: Subject<'_>, measured: Measured, wrong_limit: usize) -> Self {
        let Measured { source, exchanges, has_live, sampled_from, replay } = measured;
        let (replay, unlabelled) = replay.unzip();
        let changed =
            has_live.then(|| Changes::of(&exchanges, unlabelled.as_deref().unwrap_or_default()));
        let (decisions, agreement, disagreements) = match replay {
            Some(Replay { decisions, agreement, disagreements }) => {
                (Some(decisions), agreement, Some(disagreements))
            }
            None => (None, None, None),
        };
        let expected: BTreeSet<&str> =
            exchanges.iter().filter_map(|exchange| exchange.case.agent.as_deref()).collect();
        let unknown = expected.into_iter().filter(|agent| !can_be_picked(subject.roster, agent));
        let wrong = exchanges.iter().filter(|exchange| !exchange.answer.is_right(&exchange.case));
        Self {
            source,
            agents: subject.roster.live().count(),
            figures: Figures::of(&exchanges),
            sampled_from,
            unknown_agents: unknown.map(str::to_owned).collect(),
            confusions: confusions(&exchanges),
            overlaps: overlaps(subject.index, &exchanges),
            wrong: wrong.take(wrong_limit).map(WrongCase::of).collect(),
            by_agent: by_agent(&exchanges),
            changed,
            decisions,
            agreement,
            disagreements,
        }
    }
}

impl WrongCase {
    fn of(Exchange { case, answer, .. }: &Exchange) -> Self {
        Self {
            input: case.input.clone(),
            expected: case.agent.clone(),
            picked: answer.picked().map(str::to_owned),
            outcome: answer.outcome,
            confidence: answer.confidence,
            rank: answer.rank,
        }
    }
}

impl Changes {
    fn of(labelled: &[Exchange], unlabelled: &[Exchange]) -> Self {
        let mut changes = Self { better: 0, worse: 0, other: 0, cases: Vec::new() };
        let labelled = labelled.iter().map(|exchange| (exchange, true));
        for (exchange, is_labelled) in
            labelled.chain(unlabelled.iter().map(|exchange| (exchange, false)))
        {
            let Exchange { case, answer, live: Some(live) } = exchange else { continue };
            if live.first == answer.first && live.outcome == answer.outcome {
                continue;
            }
            match (is_labelled, live.is_right(case), answer.is_right(case)) {
                (true, false, true) => changes.better += 1,
                (true, true, false) => changes.worse += 1,
                _ => changes.other += 1,
            }
            let of_ranked = |answer: &Answer| ShortDecision {
                agent: answer.first.clone(),
                ..ShortDecision::of(answer)
            };
            changes.cases.push(ChangedCase {
                input: case.input.clone(),
                expected: case.agent.clone(),
                live: of_ranked(live),
                changed: of_ranked(answer),
            });
        }
        changes
    }
}

impl ShortDecision {
    pub(super) fn of(answer: &Answer) -> Self {
        Self {
            agent: answer.picked().map(str::to_owned),
            outcome: answer.outcome,
            confidence: answer.confidence,
        }
    }

    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        self.agent == other.agent && self.outcome == other.outcome
    }
}
