//! Decisions on record, asked again: what would be decided now, and what was decided then.

use std::collections::HashSet;
use std::ops::ControlFlow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::{Answer, Exchange};
use super::figures::part;
use super::report::{EvaluationSource, Measured, ShortDecision};
use super::{Subject, Watch};
use crate::dispatch::{Case, Correction, Corrections, Index, Outcome};
use crate::ledger::DecidedRequest;

/// Which decisions are asked again: the newest.
#[derive(Debug, Clone)]
pub struct DecisionFilter {
    pub limit: usize,
    /// Not those before.
    pub since: Option<DateTime<Utc>>,
    /// The agent that was picked.
    pub agent: Option<String>,
}

/// A decision on record, with its input.
#[derive(Debug, Clone)]
pub struct Decided {
    pub id: Uuid,
    pub input: String,
    pub then: ShortDecision,
    /// What was said of it since.
    pub feedback: Option<Feedback>,
}

/// The agent that was right, as a caller said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Feedback {
    /// Null if the request belongs to nobody.
    pub agent: Option<String>,
}

/// A request that would be decided otherwise now.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Disagreement {
    pub dispatch_id: Uuid,
    pub input: String,
    pub then: ShortDecision,
    pub now: ShortDecision,
    /// What a caller said of the decision; null if nobody said anything.
    pub feedback: Option<Feedback>,
}

/// What came of asking again.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Replay {
    pub decisions: usize,
    pub agreement: Option<f64>,
    pub disagreements: Vec<Disagreement>,
}

impl Decided {
    /// A decision on record, and what the corrections say of it.
    pub(super) fn of(record: DecidedRequest, corrections: &[(Uuid, Option<String>)]) -> Self {
        let said = corrections.binary_search_by_key(&record.id, |(id, _)| *id).ok();
        let outcome = match record.outcome.as_str() {
            // The operator's default agent stood in: none fitted.
            _ if record.strategy == "default" => Outcome::None,
            "none" => Outcome::None,
            "ambiguous" => Outcome::Ambiguous,
            _ => Outcome::Picked,
        };
        Self {
            id: record.id,
            input: record.input,
            then: ShortDecision {
                agent: record.agent_name.filter(|_| outcome != Outcome::None),
                outcome,
                confidence: record.confidence,
            },
            feedback: said.map(|place| Feedback { agent: corrections[place].1.clone() }),
        }
    }
}

/// Asks every decision again. Those of which somebody said what was right are cases besides; they are asked of an
/// index that has not learned from what was said of them.
pub(super) fn measure(
    subject: Subject<'_>,
    live: Option<Subject<'_>>,
    decided: &[Decided],
    watch: &mut Watch<'_>,
) -> ControlFlow<(), Measured> {
    let unlearned = Unlearned::of(subject, live, decided);
    let (mut disagreements, mut exchanges, mut unlabelled) = (Vec::new(), Vec::new(), Vec::new());
    for decision in decided {
        watch.step()?;
        let case = |agent| Case { input: decision.input.clone(), agent };
        let now = Exchange::ask(subject.index, case(None));
        let present = ShortDecision::of(&now.answer);
        if !present.agrees_with(&decision.then) {
            disagreements.push(Disagreement {
                dispatch_id: decision.id,
                input: decision.input.clone(),
                then: decision.then.clone(),
                now: present,
                feedback: decision.feedback.clone(),
            });
        }
        if live.is_some() {
            watch.step()?;
        }
        match (&decision.feedback, &unlearned) {
            (Some(feedback), Some(unlearned)) => {
                let case = case(feedback.agent.clone());
                let mut exchange = Exchange::ask(&unlearned.index, case);
                if let Some(index) = &unlearned.live {
                    exchange.ask_live(index);
                }
                exchanges.push(exchange);
            }
            _ => {
                if let Some(live) = live {
                    let mut now = now;
                    now.live = Some(Answer::ask(live.index, &decision.input, None));
                    unlabelled.push(now);
                }
            }
        }
    }
    let replay = Replay {
        decisions: decided.len(),
        agreement: part(decided.len() - disagreements.len(), decided.len()),
        disagreements,
    };
    ControlFlow::Continue(Measured {
        source: EvaluationSource::Decisions,
        exchanges,
        has_live: live.is_some(),
        sampled_from: None,
        replay: Some((replay, unlabelled)),
    })
}

/// Indexes without what was learned of the decisions that are asked again.
struct Unlearned {
    index: Index,
    live: Option<Index>,
}

impl Unlearned {
    /// `None` if nothing was said of any.
    fn of(subject: Subject<'_>, live: Option<Subject<'_>>, decided: &[Decided]) -> Option<Self> {
        let said = decided.iter().filter(|decision| decision.feedback.is_some());
        let said: HashSet<Uuid> = said.map(|decision| decision.id).collect();
        if said.is_empty() {
            return None;
        }
        let index = |Subject { roster, corrections, index }: Subject<'_>| {
            let rest = corrections.all().iter().filter(|correction| !said.contains(&correction.id));
            let rest: Vec<Correction> =
                rest.map(|correction| Correction::clone(correction)).collect();
            let rest = Corrections::new(corrections.revision, rest);
            Index::fitted(roster, &rest, index.fit(), Some(index))
        };
        Some(Self { index: index(subject), live: live.map(index) })
    }
}
