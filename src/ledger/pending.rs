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
                if self.newer_place(label, place).is_none() {
                    self.runs.remove(&label.id);
                }
            }
            Kind::RunEvents => {
                self.run_events.remove(&(label.id, label.number));
            }
        }
    }

    /// Whether a newer record of the same run is on its way, in files that hold all up to `written`: most runs are over
    /// before they are first written, and one row then does for all their states. One that is in memory alone may be lost,
    /// and the run with it.
    pub fn is_superseded(&self, label: Label, place: Place, written: u64) -> bool {
        self.newer_place(label, place).is_some_and(|newer| newer.end() <= written)
    }

    /// Where the newest record of the same run stands, if it is another one.
    fn newer_place(&self, label: Label, place: Place) -> Option<Place> {
        let newest = self.runs.get(&label.id).filter(|_| label.kind == Kind::Run)?.place;
        (newest != place).then_some(newest)
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use uuid::Uuid;

    use super::{Pending, PendingRun};
    use crate::ledger::RunRecord;
    use crate::ledger::journal::{Kind, Label, Place};

    fn run() -> RunRecord {
        RunRecord {
            id: Uuid::nil(),
            key_id: Uuid::nil(),
            instance_id: Uuid::nil(),
            dispatch_id: Uuid::nil(),
            conversation_id: None,
            agent_name: "a".to_owned(),
            agent_revision: 1,
            agent_sha256: String::new(),
            status: "streaming".into(),
            created_at: Utc::now(),
            ended_at: None,
            idempotency_key: None,
            request_sha256: None,
            event_count: None,
            charges: None,
            spent_nano_usd: None,
            record: "{}".to_owned(),
        }
    }

    #[test]
    fn a_state_of_a_run_is_superseded_by_one_that_is_in_the_files() {
        let label = Label { kind: Kind::Run, id: Uuid::nil(), number: 0 };
        let [first, last] = [0, 10].map(|position| Place { position, length: 10 });
        let mut pending = Pending { count: 2, ..Pending::default() };
        pending.runs.insert(Uuid::nil(), PendingRun::new(&run(), last));
        assert!(!pending.is_superseded(label, first, first.end()), "a crash would lose the run");
        assert!(pending.is_superseded(label, first, last.end()));
        assert!(!pending.is_superseded(label, last, last.end()));
        pending.forget(label, first);
        assert_eq!(pending.runs.len(), 1, "the newer one still waits");
        pending.forget(label, last);
        assert_eq!((pending.runs.len(), pending.count), (0, 0));
    }
}
