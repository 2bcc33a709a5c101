//! What the judge has done in this process, and what it cost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{JudgeOutcome, Judgement};

/// What the judge has done in this instance since it started.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JudgeReport {
    /// Whether there is a judge.
    pub configured: bool,
    /// How often it was asked. Where a caller left before its answer, no outcome is counted.
    pub asked: u64,
    pub agreed: u64,
    pub changed: u64,
    pub none: u64,
    pub timed_out: u64,
    pub failed: u64,
    /// US dollars, as far as prices are known.
    pub cost_usd: f64,
    pub since: DateTime<Utc>,
    /// Picks in all, those without the judge included.
    pub dispatches: u64,
}

#[derive(Debug)]
pub(super) struct Tally {
    since: DateTime<Utc>,
    dispatches: AtomicU64,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    asked: u64,
    agreed: u64,
    changed: u64,
    none: u64,
    timed_out: u64,
    failed: u64,
    cost_usd: f64,
}

impl Default for Tally {
    fn default() -> Self {
        Self { since: Utc::now(), dispatches: AtomicU64::new(0), counts: Mutex::default() }
    }
}

impl Tally {
    pub fn count_dispatch(&self) {
        self.dispatches.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count_asked(&self) {
        self.counts().asked += 1;
    }

    pub fn count(&self, judgement: &Judgement) {
        let mut counts = self.counts();
        let count = match judgement.outcome {
            JudgeOutcome::Agreed => &mut counts.agreed,
            JudgeOutcome::Changed => &mut counts.changed,
            JudgeOutcome::None => &mut counts.none,
            JudgeOutcome::TimedOut => &mut counts.timed_out,
            JudgeOutcome::Failed => &mut counts.failed,
        };
        *count += 1;
        counts.cost_usd += judgement.cost_usd.unwrap_or(0.0);
    }

    pub fn report(&self, configured: bool) -> JudgeReport {
        let counts = self.counts();
        JudgeReport {
            configured,
            asked: counts.asked,
            agreed: counts.agreed,
            changed: counts.changed,
            none: counts.none,
            timed_out: counts.timed_out,
            failed: counts.failed,
            cost_usd: counts.cost_usd,
            since: self.since,
            dispatches: self.dispatches.load(Ordering::Relaxed),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
