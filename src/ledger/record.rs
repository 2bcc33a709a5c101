//! Records as they are stored. JSON is text here: many of them wait at times, and a tree of each would be large.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

/// A decision.
#[derive(Debug, Clone, Serialize)]
pub struct DispatchRecord {
    pub id: Uuid,
    pub key_id: Uuid,
    pub outcome: String,
    pub agent_name: Option<String>,
    pub agent_revision: Option<i32>,
    pub roster_revision: i64,
    /// The whole decision as it was answered: JSON.
    pub decision: String,
    pub input: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// The state of a run.
#[derive(Debug, Clone, Serialize)]
pub struct RunRecord {
    pub id: Uuid,
    pub key_id: Uuid,
    pub instance_id: Uuid,
    pub dispatch_id: Uuid,
    pub agent_name: String,
    pub agent_revision: i32,
    pub agent_sha256: String,
    pub status: String,
    /// The run as it is answered, without its texts, which are in its events: JSON.
    pub record: String,
    pub created_at: DateTime<Utc>,
    /// Set once, when the run has ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// The caller's own name for the request.
    pub idempotency_key: Option<String>,
    /// Tells the same request from another one under the same key. Written when the run claims its key.
    #[serde(skip)]
    pub request_sha256: Option<Vec<u8>>,
    /// How many events there were; set when the run ends.
    pub event_count: Option<i32>,
}

/// Some events of a run, one behind the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunEvents {
    pub run_id: Uuid,
    /// The sequence number of the first one, counted from 1.
    pub first_sequence: i32,
    /// A JSON array.
    pub events: String,
}

/// Which runs are listed.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// The key that made them; `None` means all.
    pub key_id: Option<Uuid>,
    pub agent_name: Option<String>,
    pub status: Option<String>,
}

impl RunFilter {
    pub(super) fn fits(&self, run: &RunRecord) -> bool {
        self.key_id.is_none_or(|key_id| key_id == run.key_id)
            && self.agent_name.as_ref().is_none_or(|agent| *agent == run.agent_name)
            && self.status.as_ref().is_none_or(|status| *status == run.status)
    }
}

#[derive(Debug, Clone)]
pub(super) enum Record {
    Dispatch(Arc<DispatchRecord>),
    Run(Arc<RunRecord>),
    RunEvents(Arc<RunEvents>),
    /// Nothing comes after this.
    End,
}
