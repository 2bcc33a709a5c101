//! The outcome of a dispatch, as it is answered and kept.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::judge::Judgement;
use super::sticky::HandOver;
use crate::registry::Agent;

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Picked,
    /// No agent fits.
    None,
    /// More than one fits about equally well.
    Ambiguous,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Picked => "picked",
            Self::None => "none",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// Which stage decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The caller named the agent.
    Named,
    /// The roster's own words were compared with the request's.
    Local,
    /// None fitted, and the operator's default agent stands in.
    Default,
    /// The conversation goes on: its agent stays. Of one that is not stored, what it began with decides.
    Sticky,
    /// A language model decided between the first few candidates.
    Judge,
}

impl Strategy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Local => "local",
            Self::Default => "default",
            Self::Sticky => "sticky",
            Self::Judge => "judge",
        }
    }
}

/// An agent at one revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentRef {
    pub name: String,
    pub revision: i32,
    /// The tool servers that it needs and that were missing or down when it was picked: it is degraded. Absent if it
    /// has all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded_by: Vec<String>,
}

impl AgentRef {
    pub fn to(agent: &Agent) -> Self {
        let name = agent.name().to_string();
        Self { name, revision: agent.revision, degraded_by: Vec::new() }
    }
}

/// What spoke for or against a candidate.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Reason {
    pub kind: ReasonKind,
    /// The file's own text. Of a request that was corrected there is none: another caller may have asked it.
    pub text: String,
    /// For `words`: what the request and the file share, the most telling first, as the request has it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// Its part of the candidate's score; negative if it spoke against it.
    pub share: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    Name,
    Description,
    Example,
    Body,
    Exclusion,
    /// Words of the request that the agent's file has too, or requests that were found to belong to it. The text is the
    /// piece that has most of them.
    Words,
    /// A request that was found to belong to the agent.
    Feedback,
}

/// One candidate.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Ranked {
    pub agent: String,
    /// 0 to 1.
    pub score: f64,
    pub reasons: Vec<Reason>,
}

/// The outcome of one dispatch.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Decision {
    pub id: Uuid,
    pub outcome: Outcome,
    pub agent: Option<AgentRef>,
    /// The probability that the first of `ranked` is right.
    pub confidence: f64,
    /// How far the local stage's first candidate is ahead of its second.
    pub margin: f64,
    pub strategy: Strategy,
    pub roster_revision: i64,
    pub elapsed_us: u64,
    /// The first is the one that was decided on, also if the judge chose one with a lower score; where the default agent stands
    /// in, it is the one that came nearest.
    pub ranked: Vec<Ranked>,
    /// Languages, frameworks, products and tools that the request names and no agent mentions: they speak for nobody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown_technologies: Vec<String>,
    /// The stored conversation that it was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub conversation_id: Option<Uuid>,
    /// There if the stored conversation had another agent before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub handed_over: Option<HandOver>,
    /// There if the judge was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub judge: Option<Judgement>,
    /// The agent itself, at the revision that was picked.
    #[serde(skip)]
    pub picked: Option<Arc<Agent>>,
}

impl Decision {
    /// A decision for an agent, or for none, that says no more yet.
    pub(super) fn of(picked: Option<&Arc<Agent>>, roster_revision: i64) -> Self {
        Self {
            id: Uuid::now_v7(),
            outcome: Outcome::Picked,
            agent: picked.map(|agent| AgentRef::to(agent)),
            confidence: 1.0,
            margin: 1.0,
            strategy: Strategy::Named,
            roster_revision,
            elapsed_us: 0,
            ranked: Vec::new(),
            conversation_id: None,
            unknown_technologies: Vec::new(),
            handed_over: None,
            judge: None,
            picked: picked.cloned(),
        }
    }

    /// Whether no agent fits, be it that the default agent stands in.
    pub(super) fn is_nobodys(&self) -> bool {
        self.outcome == Outcome::None || self.strategy == Strategy::Default
    }

    /// The same without the request's words, for a record that is to hold none of its text.
    pub(super) fn without_words(&self) -> Self {
        let mut decision = Self { unknown_technologies: Vec::new(), ..self.clone() };
        let reasons = decision.ranked.iter_mut().flat_map(|ranked| &mut ranked.reasons);
        reasons.for_each(|reason| reason.words.clear());
        decision
    }
}
