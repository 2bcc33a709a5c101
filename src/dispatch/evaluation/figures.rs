//! The figures of an evaluation, each a pure function of what was answered.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Answer, Exchange};
use crate::dispatch::Outcome;

/// How many equal parts of the confidences are compared with how often they were right.
const BINS: usize = 10;

/// The part of the roster's own requests that the cut of confidence keeps.
const KEPT_BY_CUT: f64 = 0.95;

/// Shares are 0 to 1, and null where there is nothing to count.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Figures {
    /// Cases that belong to an agent.
    pub cases: usize,
    /// Cases that belong to nobody.
    pub strangers: usize,
    /// Share of the cases whose right agent is the first of the ranked ones. Who has an equal score stands before it.
    pub top_1: Option<f64>,
    /// Share of the cases whose right agent is among the first three.
    pub top_3: Option<f64>,
    pub mean_reciprocal_rank: Option<f64>,
    /// How far confidence is from the share of cases that are right, in the mean over ten equal bins of confidence,
    /// weighted by their cases.
    pub calibration_error: Option<f64>,
    /// Share of the cases whose outcome is not `none`.
    pub kept: Option<f64>,
    /// Share of the strangers whose outcome is `none`.
    pub rejected: Option<f64>,
    /// Share of the cases whose outcome is `ambiguous`.
    pub ambiguous: Option<f64>,
    /// How often a case has more confidence than a stranger, over all pairs of them; equal ones count as lost.
    pub auroc: Option<f64>,
    /// Share of the strangers below the cut of confidence that keeps 95 % of the cases.
    pub rejected_at_95: Option<f64>,
}

/// How often one agent's cases found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AgentFigures {
    pub agent: String,
    pub cases: usize,
    /// Those whose first candidate it was.
    pub right: usize,
}

impl Figures {
    pub(super) fn of(exchanges: &[Exchange]) -> Self {
        let (cases, strangers): (Vec<&Exchange>, Vec<&Exchange>) =
            exchanges.iter().partition(|exchange| exchange.case.agent.is_some());
        let answers = |exchanges: Vec<&'_ Exchange>| -> Vec<Answer> {
            exchanges.into_iter().map(|exchange| exchange.answer.clone()).collect()
        };
        let (cases, strangers) = (answers(cases), answers(strangers));
        let of_cases = |counts: &dyn Fn(&Answer) -> bool| share(&cases, counts);
        Self {
            cases: cases.len(),
            strangers: strangers.len(),
            top_1: of_cases(&Answer::is_first_right),
            top_3: of_cases(&|answer| answer.rank.is_some_and(|rank| rank <= 3)),
            mean_reciprocal_rank: mean(
                cases.iter().map(|answer| answer.rank.map_or(0.0, |rank| 1.0 / float(rank))),
            ),
            calibration_error: calibration_error(&cases),
            kept: of_cases(&|answer| answer.outcome != Outcome::None),
            rejected: share(&strangers, &|answer| answer.outcome == Outcome::None),
            ambiguous: of_cases(&|answer| answer.outcome == Outcome::Ambiguous),
            auroc: auroc(&cases, &strangers),
            rejected_at_95: rejected_by_cut(&cases, &strangers),
        }
    }
}

/// In order of the agents' names.
pub(super) fn by_agent(exchanges: &[Exchange]) -> Vec<AgentFigures> {
    let mut by_agent: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for exchange in exchanges {
        if let Some(agent) = &exchange.case.agent {
            let (cases, right) = by_agent.entry(agent).or_default();
            *cases += 1;
            *right += usize::from(exchange.answer.is_first_right());
        }
    }
    let figures = by_agent.into_iter().map(|(agent, (cases, right))| AgentFigures {
        agent: agent.to_owned(),
        cases,
        right,
    });
    figures.collect()
}

/// Of everything counted, the part that counts; `None` of nothing.
pub(super) fn part(counted: usize, all: usize) -> Option<f64> {
    (all > 0).then(|| digits(float(counted) / float(all)))
}

/// Four digits: what lies behind them is noise to a reader.
pub(super) fn digits(share: f64) -> f64 {
    (share * 10_000.0).round() / 10_000.0
}

fn share(answers: &[Answer], counts: &dyn Fn(&Answer) -> bool) -> Option<f64> {
    part(answers.iter().filter(|answer| counts(answer)).count(), answers.len())
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let count = values.len();
    (count > 0).then(|| digits(values.sum::<f64>() / float(count)))
}

/// The expected calibration error.
fn calibration_error(cases: &[Answer]) -> Option<f64> {
    let mut differences = [0.0; BINS];
    for answer in cases {
        let right = f64::from(u8::from(answer.is_first_right()));
        differences[bin(answer.confidence)] += answer.confidence - right;
    }
    let sum: f64 = differences.iter().map(|difference| difference.abs()).sum();
    (!cases.is_empty()).then(|| digits(sum / float(cases.len())))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "confidences are 0 to 1, and 1 is of the last bin"
)]
fn bin(confidence: f64) -> usize {
    ((confidence * float(BINS)) as usize).min(BINS - 1)
}

/// The area under the curve of cases kept against strangers kept: the share of pairs in the right order.
fn auroc(cases: &[Answer], strangers: &[Answer]) -> Option<f64> {
    let sorted = sorted_confidences(strangers);
    let won: usize = cases
        .iter()
        .map(|case| sorted.partition_point(|stranger| *stranger < case.confidence))
        .sum();
    part(won, cases.len() * strangers.len())
}

fn rejected_by_cut(cases: &[Answer], strangers: &[Answer]) -> Option<f64> {
    let sorted = sorted_confidences(cases);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a count"
    )]
    let kept = (float(sorted.len()) * KEPT_BY_CUT).ceil() as usize;
    let cut = *sorted.get(sorted.len().checked_sub(kept)?)?;
    share(strangers, &|stranger| stranger.confidence < cut)
}

fn sorted_confidences(answers: &[Answer]) -> Vec<f64> {
    let mut confidences: Vec<f64> = answers.iter().map(|answer| answer.confidence).collect();
    confidences.sort_by(f64::total_cmp);
    confidences
}

#[expect(clippy::cast_precision_loss, reason = "pairs of bounded cases are far fewer than 2^52")]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::{AgentFigures, Figures, by_agent};
    use crate::dispatch::evaluation::answer::{Answer, Exchange};
    use crate::dispatch::{Case, Outcome};

    fn exchange(agent: Option<&str>, rank: Option<usize>, confidence: f64) -> Exchange {
        let first = if rank == Some(1) { agent } else { Some("another") };
        Exchange {
            case: Case { input: "x".to_owned(), agent: agent.map(str::to_owned) },
            answer: Answer {
                first: first.map(str::to_owned),
                outcome: if confidence < 0.5 { Outcome::None } else { Outcome::Picked },
                confidence,
                rank,
            },
            live: None,
        }
    }

    fn case(rank: usize, confidence: f64) -> Exchange {
        exchange(Some("a"), Some(rank), confidence)
    }

    fn stranger(confidence: f64) -> Exchange {
        exchange(None, None, confidence)
    }

    #[test]
    fn ranks_are_counted() {
        let exchanges = [case(1, 0.9), case(2, 0.9), case(4, 0.2), exchange(Some("b"), None, 0.9)];
        let figures = Figures::of(&exchanges);
        assert_eq!((figures.cases, figures.strangers), (4, 0));
        assert_eq!((figures.top_1, figures.top_3), (Some(0.25), Some(0.5)));
        // (1 + 1/2 + 1/4 + 0) / 4
        assert_eq!(figures.mean_reciprocal_rank, Some(0.4375));
        assert_eq!((figures.kept, figures.ambiguous), (Some(0.75), Some(0.0)));
        let of = |agent: &str, cases, right| AgentFigures { agent: agent.to_owned(), cases, right };
        assert_eq!(by_agent(&exchanges), [of("a", 3, 1), of("b", 1, 0)]);
    }

    #[test]
    fn calibration_is_measured_in_bins() {
        // Of two that are 0.9 sure one is right; the one that is 0.3 sure is wrong. 2/3 · 0.4 + 1/3 · 0.3
        let figures = Figures::of(&[case(1, 0.9), case(2, 0.9), case(2, 0.3)]);
        assert_eq!(figures.calibration_error, Some(0.3667));
        // 0.61 and 0.69 share a bin, and miss by 0.65 − 0.5; strangers do not count.
        let figures = Figures::of(&[case(1, 0.61), case(2, 0.69), stranger(0.99)]);
        assert_eq!(figures.calibration_error, Some(0.15));
        // 0.6 and 0.79 do not: (0.4 + 0.79) / 2
        let figures = Figures::of(&[case(1, 0.6), case(2, 0.79)]);
        assert_eq!(figures.calibration_error, Some(0.595));
        assert_eq!(Figures::of(&[case(1, 1.0)]).calibration_error, Some(0.0));
    }

    #[test]
    fn equal_confidences_are_lost_pairs() {
        let figures = Figures::of(&[case(1, 0.9), case(1, 0.4), stranger(0.4), stranger(0.1)]);
        // 0.9 beats both, 0.4 beats 0.1 alone.
        assert_eq!(figures.auroc, Some(0.75));
        assert_eq!(figures.rejected, Some(1.0));
        assert_eq!(Figures::of(&[case(1, 0.4), stranger(0.4)]).auroc, Some(0.0));
    }

    #[test]
    fn the_cut_keeps_the_wanted_part() {
        let cases = (1..=20).map(|number| case(1, f64::from(number) / 20.0));
        let strangers = [0.01, 0.07, 0.1, 0.5].map(stranger);
        // One of twenty may be lost: the cut is 0.1, and what has exactly that is kept.
        let figures = Figures::of(&cases.chain(strangers).collect::<Vec<_>>());
        assert_eq!(figures.rejected_at_95, Some(0.5));
        // Of few, none may be lost.
        let figures = Figures::of(&[case(1, 0.2), case(1, 0.9), stranger(0.1), stranger(0.3)]);
        assert_eq!(figures.rejected_at_95, Some(0.5));
    }

    #[test]
    fn of_nothing_there_is_no_share() {
        assert_eq!(Figures::of(&[]), Figures::default());
        let figures = Figures::of(&[stranger(0.9)]);
        assert_eq!((figures.rejected, figures.strangers), (Some(0.0), 1));
        assert_eq!((figures.top_1, figures.auroc, figures.rejected_at_95), (None, None, None));
        let figures = Figures::of(&[case(1, 0.9)]);
        assert_eq!((figures.rejected, figures.auroc, figures.rejected_at_95), (None, None, None));
    }
}
