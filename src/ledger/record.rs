//! Records as they are stored.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

/// A decision.
#[derive(Debug, Clone)]
pub struct DispatchRecord {
    pub id: Uuid,
    pub key_id: Uuid,
    pub outcome: String,
    pub agent_name: Option<String>,
    pub agent_revision: Option<i32>,
    pub roster_revision: i64,
    /// The whole decision as it was answered.
    pub decision: Value,
    pub input: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// The state of a run.
#[derive(Debug, Clone)]
pub struct RunRecord {
    pub id: Uuid,
    pub key_id: Uuid,
    pub instance_id: Uuid,
    pub dispatch_id: Uuid,
    pub agent_name: String,
    pub agent_revision: i32,
    pub agent_sha256: String,
    pub status: String,
    /// The whole run as it is answered.
    pub record: Value,
    pub created_at: DateTime<Utc>,
    /// Set once, when the run has ended.
    pub ended_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone)]
pub(super) enum Record {
    Dispatch(Arc<DispatchRecord>),
    Run(Arc<RunRecord>),
    /// Nothing comes after this.
    End,
}
