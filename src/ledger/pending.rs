//! Where the records stand that PostgreSQL has not taken yet. They themselves are in the journal.

use std::borrow::Cow;
use std::collections::BTreeMap;

use uuid::Uuid;

use super::journal::{Kind, Label, Place};
use super::record::{RunFilter, RunRecord};

#[derive(Debug, Default)]
pub(super) struct Pending {
    pub dispatches: BTreeMap<Uuid, Place>,
    /// The newest state of each.
    pub runs: BTreeMap<Uuid, PendingRun>,
    /// By run and sequence number of the first one.
    pub run_events: BTreeMap<(Uuid, i32), Place>,
    /// How many records there are, older states of runs included.
    pub count: usize,
}

/// What a list must know of a run to leave it out.
#[derive(Debug, Clone)]
pub(super) struct PendingRun {
    pub place: Place,
    key_id: Uuid,
    agent_name: String,
    status: Cow<'static, str>,
}

impl PendingRun {
    pub fn new(run: &RunRecord, place: Place) -> Self {
        let (agent_name, status) = (run.agent_name.clone(), run.status.clone());
        Self { place, key_id: run.key_id, agent_name, status }
    }

    pub fn fits(&self, filter: &RunFilter) -> bool {
        self.is_of(filter) && filter.status.as_ref().is_none_or(|status| *status == self.status)
    }

    /// Whether an older state of it may fit, although it does not.
    pub fn may_have_fitted(&self, filter: &RunFilter) -> bool {
        self.is_of(filter) && !self.fits(filter)
    }

    /// A run does not change its key and its agent.
    fn is_of(&self, filter: &RunFilter) -> bool {
        filter.key_id.is_none_or(|key_id| key_id == self.key_id)
            && filter.agent_name.as_ref().is_none_or(|agent| *agent == self.agent_name)
    }
}

impl Pending {
    /// Forgets a record that is written, unless a newer one has taken its place.
    pub fn forget(&mut self, label: Label, place: Place) {
        self.count -= 1;
        match label.kind {
            Kind::Dispatch => {
                self.dispatches.remove(&label.id);
            }
            Kind::Run => {
                if !self.is_superseded(label, place) {
                    self.runs.remove(&label.id);
                }
            }
            Kind::RunEvents => {
                self.run_events.remove(&(label.id, label.number));
            }
        }
    }

    /// Whether a newer record of the same run is on its way: most runs are over before they are first written, and
    /// one row then does for all their states.
    pub fn is_superseded(&self, label: Label, place: Place) -> bool {
        label.kind == Kind::Run
            && self.runs.get(&label.id).is_some_and(|newest| newest.place != place)
    }
}
