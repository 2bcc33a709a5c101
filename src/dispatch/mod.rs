//! Choosing the agent for a request: which one, why, and how sure, or that none fits.
//!
//! [`Dispatcher::pick`] is the one call. Its stages run cheapest first, each in a file of its own: a named agent, then the
//! one that has the stored conversation, then scoring by words and meaning in memory, then a language model if the
//! operator has one judge what is close.

mod boundary;
mod calibration;
mod confidence;
mod correct;
mod corrections;
mod covariance;
mod decision;
mod discriminant;
mod document;
mod embedding;
mod error;
mod evaluation;
mod feedback;
mod fit;
mod fitness;
mod held_out;
mod index;
mod judge;
mod local;
mod named;
mod overlap;
mod reasons;
mod request;
mod score;
mod settings;
mod steals;
mod sticky;
mod strangers;
mod technologies;
mod text;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use chrono::Utc;
use uuid::Uuid;

pub use correct::{Corrected, CorrectionRequest};
pub use corrections::{Correction, Corrections};
pub use decision::{AgentRef, Decision, Outcome, Ranked, Reason, ReasonKind, Strategy};
pub use error::DispatchError;
pub use evaluation::{
    Asked, DEFAULT_WRONG_LIMIT, DecisionFilter, EvaluationError, EvaluationReport,
    EvaluationRequest, EvaluationSource, Evaluations, MAX_CASES, OtherFile, Progress, RosterChange,
    Subject, can_be_held_out, evaluate,
};
pub use feedback::{Feedback, FeedbackEntry, Forgotten};
pub use fit::{Accuracy, Fit};
pub use fitness::OnDegraded;
pub use held_out::Case;
pub use index::Index;
pub use judge::{JudgeReport, JudgeSettings, Judging};
pub use overlap::{add as add_overlaps, find_overlaps};
pub use request::{Candidates, DEFAULT_TOP_K, DispatchRequest};
pub use settings::{DEFAULT_HAND_OVER_MARGIN, OnAmbiguous, OnNone, Settings};
pub use steals::Steal;
pub use sticky::{HandOver, HandOverReason, Sticky};

use fitness::Fitness;
use judge::Judge;
use request::part_that_is_read;

use crate::definition::Diagnostic;
use crate::ledger::{DispatchRecord, Ledger, json_text, plain_text};
use crate::provider::Providers;
use crate::registry::{Agent, FileReport, Registry};
use crate::telemetry::{metrics, traces};
use crate::tools::ToolServers;

/// A cheap handle that picks agents.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    ledger: Ledger,
    feedback: Feedback,
    settings: Settings,
    judge: Judge,
    fitness: Fitness,
    index: ArcSwap<Index>,
    /// Held by whoever has the index built, so that all others wait for it without a thread.
    preparing: tokio::sync::Mutex<()>,
    /// Held while the index is built, so that it is built once for each change.
    building: Mutex<()>,
    /// The revisions of the roster and of the corrections that were last fitted to.
    fitted_to: Mutex<(i64, i64)>,
}

impl Dispatcher {
    pub fn new(
        registry: Registry,
        ledger: Ledger,
        feedback: Feedback,
        providers: Providers,
        tool_servers: ToolServers,
        settings: Settings,
    ) -> Self {
        let index =
            ArcSwap::from_pointee(Index::build(&registry.roster(), &feedback.corrections(), None));
        let inner = Inner {
            registry,
            ledger,
            feedback,
            judge: Judge::new(providers, settings.judge.clone()),
            fitness: Fitness::new(tool_servers),
            settings,
            index,
            preparing: tokio::sync::Mutex::default(),
            building: Mutex::default(),
            fitted_to: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Picks an agent and keeps the decision on record. [`Ledger::try_secure`] comes before anybody is told of it.
    ///
    /// # Errors
    /// If a named agent or candidate does not exist, is disabled, or is not permitted; or there is no room for records.
    pub async fn pick(
        &self,
        request: DispatchRequest,
        key_id: Uuid,
    ) -> Result<Decision, DispatchError> {
        let (began, span) = (Instant::now(), traces::begin("dispatch"));
        let Inner { settings, judge, .. } = &*self.inner;
        self.inner.ledger.check_room()?;
        let mut request = self.without_unfit(request);
        judge.count_dispatch();
        // The index is let go before the judge is waited for: it may be of a roster that is gone by then.
        let (mut decision, case) = {
            let index = self.present_index().await;
            let mut decision = run_local_stages(&index, &request, settings)?;
            while decision.is_nobodys()
                && let Some(later) = request.later.pop_front()
            {
                request.input = later;
                decision = run_local_stages(&index, &request, settings)?;
            }
            // Who has the conversation keeps it unless all is clear, and what is clear needs no judge. Nor do results.
            let is_left =
                request.holder().is_some() || sticky::is_waiting_agents(&request, &decision);
            let case = if is_left {
                None
            } else {
                judge.consider(&index, &request, settings, &mut decision)
            };
            (decision, case)
        };
        if let Some(case) = case {
            // Boxed: most picks need none of the room that it takes.
            let deciding = Box::pin(judge.decide(case, &request, &mut decision));
            span.around(deciding).await;
        }
        decision.ranked.truncate(request.top_k());
        if let (Some(agent), Some(picked)) = (&mut decision.agent, &decision.picked) {
            agent.degraded_by = self.degraded_by(picked);
        }
        decision.conversation_id = request.sticky.as_ref().map(|sticky| sticky.conversation_id);
        let (outcome, strategy) = (decision.outcome.as_str(), decision.strategy.as_str());
        metrics::dispatched(outcome, strategy, began.elapsed());
        span.set("rolecall.dispatch.id", decision.id.to_string());
        span.set("rolecall.dispatch.outcome", outcome);
        span.set("rolecall.dispatch.strategy", strategy);
        span.set("rolecall.dispatch.confidence", decision.confidence);
        self.record(&decision, request, key_id);
        Ok(decision)
    }

    /// Whether the roster has an agent of this name, disabled ones included.
    pub fn knows_agent(&self, name: &str) -> bool {
        self.inner.registry.roster().find(name).is_some()
    }

    /// The tool servers that an agent needs and that are missing or down.
    pub fn degraded_by(&self, agent: &Agent) -> Vec<String> {
        self.inner.fitness.missing(&agent.definition)
    }

    /// The request for agents that have all they need, if the operator wants it so. A conversation that goes on keeps
    /// the agent that it began with, and one that is named is meant.
    fn without_unfit(&self, request: DispatchRequest) -> DispatchRequest {
        let Inner { registry, fitness, settings, .. } = &*self.inner;
        let may_move = !request.is_under_way || request.holder().is_some();
        let is_free = request.agent.is_none() && may_move;
        if settings.on_degraded == OnDegraded::Pick || !is_free {
            return request;
        }
        let unfit = fitness.degraded(&registry.roster());
        DispatchRequest { unfit, ..request }
    }

    /// Refuses an agent that cannot be named.
    pub async fn check_named(
        &self,
        name: &str,
        permitted: Option<&[String]>,
    ) -> Result<(), DispatchError> {
        named::decide(&*self.present_index().await, name, permitted).map(drop)
    }

    /// What the judge has done in this process.
    pub fn judge_report(&self) -> JudgeReport {
        self.inner.judge.report()
    }

    /// Examples of other agents that `agent`, as it is or as it would be, wins from them. `None` if the roster is
    /// too large to be searched.
    pub async fn find_steals(&self, agent: Arc<Agent>) -> Option<Vec<Steal>> {
        let roster = self.inner.registry.roster();
        if roster.agents.len() > steals::MAX_AGENTS {
            return None;
        }
        let (corrections, index) = (self.inner.feedback.corrections(), self.present_index().await);
        // Thousands of picks: too long for a thread that others wait for.
        let found = tokio::task::spawn_blocking(move || {
            steals::find(&roster, &corrections, &agent, &index)
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

    /// Builds the index of the present roster and corrections, if either has changed, so that no pick has to.
    pub async fn prepare(&self) {
        self.present_index().await;
    }

    /// The revisions of the roster and of the corrections that are picked with.
    pub fn revisions(&self) -> (i64, i64) {
        self.inner.index.load().revisions()
    }

    /// What is fitted, as picks use it.
    pub fn fit(&self) -> Fit {
        self.inner.index.load().fit().clone()
    }

    /// Fits to the present roster and corrections what can be fitted, if that was not done yet.
    pub async fn refit(&self) {
        let dispatcher = self.clone();
        tokio::task::spawn_blocking(move || dispatcher.refit_now())
            .await
            .expect("fitting does not panic");
    }

    fn refit_now(&self) {
        let Inner { registry, feedback, building, fitted_to, .. } = &*self.inner;
        // One at a time; picks and changes of the roster go on meanwhile.
        let mut fitted_to = fitted_to.lock().unwrap_or_else(PoisonError::into_inner);
        // The index first: what changes meanwhile is then fitted to again, and never taken for done.
        let (index, roster, corrections) =
            (self.build_index(), registry.roster(), feedback.corrections());
        if *fitted_to == index.revisions() {
            return;
        }
        let fit = fit::refit(&roster, &corrections, &index);
        tracing::debug!(roster_revision = roster.revision, accuracy = ?fit.accuracy, "fitted");
        *fitted_to = index.revisions();
        if fit.accuracy.is_none() && index.fit().accuracy.is_none() {
            return;
        }
        let _building = building.lock().unwrap_or_else(PoisonError::into_inner);
        let (roster, corrections) = (registry.roster(), feedback.corrections());
        let index = self.inner.index.load_full();
        self.inner.index.store(Arc::new(Index::fitted(&roster, &corrections, &fit, Some(&index))));
    }

    /// The index of the registry's present roster and the feedback's present corrections.
    async fn present_index(&self) -> Arc<Index> {
        match self.index_if_present() {
            Some(index) => index,
            // Boxed: most picks need none of the room that it takes.
            None => Box::pin(self.have_index_built()).await,
        }
    }

    /// Whoever waits here holds none of the threads that others' answers need.
    async fn have_index_built(&self) -> Arc<Index> {
        let _preparing = self.inner.preparing.lock().await;
        if let Some(index) = self.index_if_present() {
            return index;
        }
        let dispatcher = self.clone();
        tokio::task::spawn_blocking(move || dispatcher.build_index())
            .await
            .expect("building an index does not panic")
    }

    fn index_if_present(&self) -> Option<Arc<Index>> {
        let Inner { registry, feedback, .. } = &*self.inner;
        let index = self.inner.index.load_full();
        index.is_of(&registry.roster(), &feedback.corrections()).then_some(index)
    }

    /// The same on this thread, for as long as that takes.
    fn build_index(&self) -> Arc<Index> {
        let Inner { registry, feedback, .. } = &*self.inner;
        let _building = self.inner.building.lock().unwrap_or_else(PoisonError::into_inner);
        let (roster, corrections) = (registry.roster(), feedback.corrections());
        let index = self.inner.index.load_full();
        if index.is_of(&roster, &corrections) {
            return index;
        }
        let index = Arc::new(Index::build(&roster, &corrections, Some(&index)));
        self.inner.index.store(Arc::clone(&index));
        index
    }

    fn record(&self, decision: &Decision, mut request: DispatchRequest, key_id: Uuid) {
        if let Cow::Owned(part) = part_that_is_read(&request.input) {
            request.input = part;
        }
        let agent = decision.agent.as_ref();
        let stores_content = self.inner.settings.stores_content;
        let record = DispatchRecord {
            id: decision.id,
            key_id,
            outcome: decision.outcome.as_str().into(),
            agent_name: agent.map(|agent| agent.name.clone()),
            agent_revision: agent.map(|agent| agent.revision),
            roster_revision: decision.roster_revision,
            conversation_id: decision.conversation_id,
            decision: if stores_content {
                json_text(decision)
            } else {
                json_text(&decision.without_words())
            },
            input: stores_content.then(|| plain_text(request.input)),
            created_at: Utc::now(),
        };
        self.inner.ledger.note_dispatch(&record);
    }
}

/// The stages that need nothing but memory, without any record: named, then local.
///
/// # Errors
/// See [`Dispatcher::pick`].
pub fn decide(
    index: &Index,
    request: &DispatchRequest,
    settings: &Settings,
) -> Result<Decision, DispatchError> {
    let mut decision = run_local_stages(index, request, settings)?;
    decision.ranked.truncate(request.top_k());
    Ok(decision)
}

/// The same with as many candidates as the judge may want to see.
fn run_local_stages(
    index: &Index,
    request: &DispatchRequest,
    settings: &Settings,
) -> Result<Decision, DispatchError> {
    let started = Instant::now();
    let mut decision = match (request.holder(), &request.agent) {
        (Some((sticky, agent)), _) => sticky::decide(index, request, sticky, agent, settings)?,
        (None, Some(name)) => named::decide(index, name, request.permitted.as_deref())?,
        (None, None) => match sticky::find_waiting(index, request) {
            Some(decision) => decision,
            None => local::decide(index, request, settings)?,
        },
    };
    let is_local = decision.strategy == Strategy::Local && decision.outcome != Outcome::None;
    if is_local && request.is_under_way && request.holder().is_none() {
        decision.strategy = Strategy::Sticky;
    }
    decision.elapsed_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    Ok(decision)
}
