//! Choosing the agent for a request: which one, why, and how sure, or that none fits.
//!
//! [`Dispatcher::pick`] is the one call. Its stages run cheapest first, each in a file of its own: a named
//! agent, then lexical scoring in memory.

mod confidence;
mod corrections;
mod decision;
mod discriminant;
mod document;
mod embedding;
mod error;
mod evaluation;
mod fit;
mod held_out;
mod index;
mod local;
mod named;
mod overlap;
mod reasons;
mod score;
mod steals;
mod text;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use chrono::Utc;
use uuid::Uuid;

pub use corrections::{Correction, Corrections};
pub use decision::{AgentRef, Decision, Outcome, Ranked, Reason, ReasonKind, Strategy};
pub use error::DispatchError;
pub use evaluation::{
    Asked, DEFAULT_WRONG_LIMIT, DecisionFilter, EvaluationError, EvaluationReport,
    EvaluationRequest, EvaluationSource, Evaluations, MAX_CASES, OtherFile, Progress, RosterChange,
    Subject, can_be_held_out, evaluate,
};
pub use fit::{Accuracy, Fit};
pub use held_out::Case;
pub use index::Index;
pub use overlap::{add as add_overlaps, find_overlaps};
pub use steals::Steal;

use crate::definition::Diagnostic;
use crate::ledger::{DispatchRecord, Ledger};
use crate::registry::{Agent, FileReport, Registry};

/// Candidates that are ranked if the caller does not say how many.
pub const DEFAULT_TOP_K: usize = 5;

/// What happens with a request that no agent fits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNone {
    #[default]
    Refuse,
    DefaultAgent,
}

/// What a run does if two agents fit about equally well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnAmbiguous {
    #[default]
    Run,
    Refuse,
}

#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub on_none: OnNone,
    pub on_ambiguous: OnAmbiguous,
    pub default_agent: Option<String>,
    /// Whether the text of requests is kept with the decisions.
    pub stores_content: bool,
}

/// A request for an agent.
#[derive(Debug, Clone, Default)]
pub struct DispatchRequest {
    /// What is asked for, in the caller's words.
    pub input: String,
    /// The agent, if the caller knows it.
    pub agent: Option<String>,
    pub candidates: Candidates,
    /// The only agents that the caller's key permits; `None` means all.
    pub permitted: Option<Vec<String>>,
    pub top_k: Option<usize>,
}

/// Narrows the roster. An empty list narrows nothing.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    pub names: Vec<String>,
    /// An agent with any of them stays.
    pub labels: Vec<String>,
    pub exclude: Vec<String>,
}

/// A cheap handle that picks agents.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    ledger: Ledger,
    settings: Settings,
    index: ArcSwap<Index>,
    /// Held while the index is built, so that it is built once for each change.
    building: Mutex<()>,
}

impl Dispatcher {
    pub fn new(registry: Registry, ledger: Ledger, settings: Settings) -> Self {
        let index =
            ArcSwap::from_pointee(Index::build(&registry.roster(), &Corrections::default(), None));
        let building = Mutex::default();
        Self { inner: Arc::new(Inner { registry, ledger, settings, index, building }) }
    }

    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Picks an agent and keeps the decision on record.
    ///
    /// # Errors
    /// If a named agent or candidate does not exist, is disabled, or is not permitted.
    pub async fn pick(
        &self,
        request: &DispatchRequest,
        key_id: Uuid,
    ) -> Result<Decision, DispatchError> {
        let decision = decide(&self.index(), request, &self.inner.settings)?;
        self.record(&decision, request, key_id).await;
        Ok(decision)
    }

    /// Examples of other agents that `agent`, as it is or as it would be, wins from them. `None` if the roster is
    /// too large to be searched.
    pub async fn find_steals(&self, agent: Arc<Agent>) -> Option<Vec<Steal>> {
        let roster = self.inner.registry.roster();
        if roster.agents.len() > steals::MAX_AGENTS {
            return None;
        }
        let index = self.index();
        // Thousands of picks: too long for a thread that others wait for.
        let found = tokio::task::spawn_blocking(move || {
            steals::find(&roster, &Corrections::default(), &agent, &index)
        });
        Some(found.await.expect("searching a roster does not panic"))
    }

    /// Adds to what a sync reports which agents' descriptions nearly coincide.
    pub async fn add_overlaps(&self, files: &mut [FileReport]) {
        let roster = self.inner.registry.roster();
        let found = tokio::task::spawn_blocking(move || find_overlaps(&roster));
        overlap::add(files, found.await.expect("comparing descriptions does not panic"));
    }

    /// Says so if the description of `agent`, as it is or as it would be, nearly coincides with another's.
    pub async fn find_overlap(&self, agent: Arc<Agent>) -> Option<Diagnostic> {
        let roster = self.inner.registry.roster();
        tokio::task::spawn_blocking(move || overlap::find_overlap_of(&agent, &roster))
            .await
            .expect("comparing descriptions does not panic")
    }

    /// Builds the index of the present roster, if the roster has changed, so that no pick has to.
    pub async fn prepare(&self) {
        let dispatcher = self.clone();
        tokio::task::spawn_blocking(move || drop(dispatcher.index()))
            .await
            .expect("building an index does not panic");
    }

    /// The index of the registry's present roster.
    fn index(&self) -> Arc<Index> {
        let index = self.inner.index.load_full();
        if index.roster_revision() == self.inner.registry.roster().revision {
            return index;
        }
        let _building = self.inner.building.lock().unwrap_or_else(PoisonError::into_inner);
        let (roster, index) = (self.inner.registry.roster(), self.inner.index.load_full());
        if index.roster_revision() == roster.revision {
            return index;
        }
        let index = Arc::new(Index::build(&roster, &Corrections::default(), Some(&index)));
        self.inner.index.store(Arc::clone(&index));
        index
    }

    async fn record(&self, decision: &Decision, request: &DispatchRequest, key_id: Uuid) {
        let agent = decision.agent.as_ref();
        let record = DispatchRecord {
            id: decision.id,
            key_id,
            outcome: decision.outcome.as_str().to_owned(),
            agent_name: agent.map(|agent| agent.name.clone()),
            agent_revision: agent.map(|agent| agent.revision),
            roster_revision: decision.roster_revision,
            decision: serde_json::to_string(decision).unwrap_or_default(),
            input: self.inner.settings.stores_content.then(|| request.input.clone()),
            created_at: Utc::now(),
        };
        self.inner.ledger.record_dispatch(record).await;
    }
}

/// The stages, without any record: named, then local.
///
/// # Errors
/// See [`Dispatcher::pick`].
pub fn decide(
    index: &Index,
    request: &DispatchRequest,
    settings: &Settings,
) -> Result<Decision, DispatchError> {
    let started = Instant::now();
    let mut decision = match &request.agent {
        Some(name) => named::decide(index, name, request.permitted.as_deref())?,
        None => local::decide(index, request, settings)?,
    };
    decision.elapsed_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    Ok(decision)
}
