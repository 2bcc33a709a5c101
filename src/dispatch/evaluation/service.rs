//! Evaluations in the service: one at a time, off the threads that others wait for, and cancelled when the caller
//! leaves or the service stops.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Asked, Decided, DecisionFilter, EvaluationReport, RosterChange, Subject, can_be_held_out,
    evaluate,
};
use crate::dispatch::fit::MAX_AGENTS;
use crate::dispatch::{Case, Corrections, Dispatcher, Index};
use crate::ledger::{DecidedFilter, LedgerError};
use crate::registry::{RegistryError, Roster};

/// An evaluation keeps a processor busy, which others need to be answered.
const MAX_AT_ONCE: usize = 1;

/// What is to be measured. Neither cases nor decisions: the roster's own requests.
#[derive(Debug)]
pub struct EvaluationRequest {
    pub cases: Option<Vec<Case>>,
    pub decisions: Option<DecisionFilter>,
    /// Measures the live roster with these changes instead, and says what differs from the live one.
    pub roster: Option<RosterChange>,
    pub wrong_limit: usize,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    #[error("another evaluation is under way")]
    Busy,
    #[error("the service is stopping")]
    Stopping,
    #[error(
        "the texts of requests are not stored (`storage.content: false`), so no decision can be asked again"
    )]
    ContentNotStored,
    #[error(
        "of a roster of {agents} agents no requests can be held out, {MAX_AGENTS} are the most: give `cases`"
    )]
    RosterTooLarge { agents: usize },
    #[error("must be an agent's name, made of a-z, 0-9 and single hyphens, and only once")]
    FileName { place: usize },
    #[error("{error}")]
    File { place: usize, error: RegistryError },
    #[error("there is no agent `{0}`")]
    AgentNotFound(String),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// A cheap handle that measures the live roster and others.
#[derive(Debug, Clone)]
pub struct Evaluations {
    dispatcher: Dispatcher,
    places: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl Evaluations {
    pub fn new(dispatcher: Dispatcher) -> Self {
        let places = Arc::new(Semaphore::new(MAX_AT_ONCE));
        Self { dispatcher, places, stopping: CancellationToken::new() }
    }

    /// Ends what is under way, and takes no more.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Measures. To drop this future ends the work.
    pub async fn evaluate(
        &self,
        request: EvaluationRequest,
    ) -> Result<EvaluationReport, EvaluationError> {
        if self.stopping.is_cancelled() {
            return Err(EvaluationError::Stopping);
        }
        let place =
            Arc::clone(&self.places).try_acquire_owned().map_err(|_| EvaluationError::Busy)?;
        let stop = self.stopping.child_token();
        let _ends_with_this_future = stop.clone().drop_guard();
        let corrections = self.dispatcher.inner.feedback.corrections();
        let EvaluationRequest { cases, decisions, roster, wrong_limit } = request;
        let asked = match (cases, decisions) {
            (Some(cases), _) => Asked::Cases(cases),
            (None, Some(filter)) => {
                Asked::Decisions(self.list_decided(filter, &corrections).await?)
            }
            (None, None) => Asked::HeldOut,
        };
        let work = Work {
            dispatcher: self.dispatcher.clone(),
            corrections,
            asked,
            change: roster,
            wrong_limit,
            stop,
            _place: place,
        };
        tokio::task::spawn_blocking(move || work.run())
            .await
            .expect("measuring a roster does not panic")
    }

    async fn list_decided(
        &self,
        filter: DecisionFilter,
        corrections: &Corrections,
    ) -> Result<Vec<Decided>, EvaluationError> {
        if !self.dispatcher.settings().stores_content {
            return Err(EvaluationError::ContentNotStored);
        }
        let DecisionFilter { limit, since, agent } = filter;
        let filter = DecidedFilter { since, agent_name: agent };
        let records = self.dispatcher.inner.ledger.list_decided_requests(&filter, limit).await?;
        let said = corrections.all().iter();
        let mut said: Vec<(Uuid, Option<String>)> =
            said.map(|correction| (correction.id, correction.agent.clone())).collect();
        said.sort_unstable_by_key(|(id, _)| *id);
        Ok(records.into_iter().map(|record| Decided::of(record, &said)).collect())
    }
}

/// What is handed to the thread that may take long.
struct Work {
    dispatcher: Dispatcher,
    corrections: Arc<Corrections>,
    asked: Asked,
    change: Option<RosterChange>,
    wrong_limit: usize,
    stop: CancellationToken,
    /// Given back when the work has ended, even if nobody waits for it any more.
    _place: OwnedSemaphorePermit,
}

impl Work {
    fn run(self) -> Result<EvaluationReport, EvaluationError> {
        let registry = &self.dispatcher.inner.registry;
        let (roster, index) = (registry.roster(), self.dispatcher.build_index());
        let subject = Subject { roster: &roster, corrections: &self.corrections, index: &index };
        let Some(change) = &self.change else {
            self.check_size(&[&roster])?;
            return self.evaluate(subject, None);
        };
        let other = change.apply(&roster, registry)?;
        self.check_size(&[&roster, &other])?;
        let other_index = Index::build(&other, &self.corrections, Some(&index));
        let other = Subject { roster: &other, index: &other_index, ..subject };
        self.evaluate(other, Some(subject))
    }

    fn check_size(&self, rosters: &[&Roster]) -> Result<(), EvaluationError> {
        let too_large = rosters.iter().find(|roster| !can_be_held_out(roster));
        match too_large {
            Some(roster) if matches!(self.asked, Asked::HeldOut) => {
                Err(EvaluationError::RosterTooLarge { agents: roster.live().count() })
            }
            _ => Ok(()),
        }
    }

    fn evaluate(
        &self,
        subject: Subject<'_>,
        live: Option<Subject<'_>>,
    ) -> Result<EvaluationReport, EvaluationError> {
        let mut watcher = |_| {
            if self.stop.is_cancelled() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        // Of those who end it, only a service that stops is still there to be told.
        evaluate(subject, live, &self.asked, self.wrong_limit, &mut watcher)
            .ok_or(EvaluationError::Stopping)
    }
}
