//! What one key has used and has reserved. Every step is taken under one lock, so that no two runs are given the same.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, NaiveDate, Utc};
use tokio::time::Instant;
use uuid::Uuid;

use super::bucket::Bucket;
use super::hold::Amounts;
use super::spending::{Spending, Spent, until_renewed};
use super::{AppliedLimits, LimitError, Period, Standings};
use crate::chat::Money;

#[derive(Debug, Default)]
pub(super) struct Account {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    running: u64,
    /// What the runs under way may cost.
    reserved: Money,
    spending: Spending,
}

impl Account {
    pub fn take_request(&self, limits: &AppliedLimits, now: Instant) -> Result<(), LimitError> {
        let mut state = self.refreshed(limits, now);
        let Some(bucket) = &mut state.requests else { return Ok(()) };
        let limit = bucket.standing().limit;
        bucket.take(1).map_err(|retry_after| LimitError::Requests { limit, retry_after })
    }

    pub fn standings(&self, limits: &AppliedLimits, now: Instant) -> Standings {
        let state = self.refreshed(limits, now);
        let standing = |bucket: &Option<Bucket>| bucket.as_ref().map(Bucket::standing);
        Standings { requests: standing(&state.requests), tokens: standing(&state.tokens) }
    }

    /// Counts a run as under way. One that could not be paid for is refused here already: to find an agent costs, too.
    pub fn begin_run(&self, limits: &AppliedLimits, now: DateTime<Utc>) -> Result<(), LimitError> {
        let mut state = self.state();
        if let Some(limit) = limits.concurrent_runs.filter(|limit| state.running >= *limit) {
            return Err(LimitError::ConcurrentRuns { limit });
        }
        state.check_budgets(limits, Money::ZERO, Money::ZERO, now)?;
        state.running += 1;
        Ok(())
    }

    pub fn end_run(&self) {
        self.state().running -= 1;
    }

    /// Reserves what a run may use, all or nothing.
    pub fn reserve(
        &self,
        limits: &AppliedLimits,
        wanted: Amounts,
        now: (Instant, DateTime<Utc>),
    ) -> Result<(), LimitError> {
        let mut state = self.refreshed(limits, now.0);
        state.check_budgets(limits, Money::ZERO, wanted.cost, now.1)?;
        if let Some(bucket) = &mut state.tokens {
            let (limit, needed) = (bucket.standing().limit, wanted.tokens);
            bucket.take(needed).map_err(|retry_after| LimitError::Tokens {
                limit,
                needed,
                retry_after,
            })?;
        }
        state.reserved = state.reserved + wanted.cost;
        Ok(())
    }

    /// Makes a reservation another one. Tokens are given whatever it leaves: a run that has begun is not ended for a
    /// rate.
    pub fn change(
        &self,
        limits: &AppliedLimits,
        (held, wanted): (Amounts, Amounts),
        now: DateTime<Utc>,
    ) -> Result<(), LimitError> {
        let mut state = self.state();
        state.check_budgets(limits, held.cost, wanted.cost, now)?;
        state.reserved = state.reserved.minus(held.cost) + wanted.cost;
        if let Some(bucket) = &mut state.tokens {
            bucket.change(held.tokens, wanted.tokens);
        }
        Ok(())
    }

    /// Makes a reservation what has been used.
    pub fn settle(&self, held: Amounts, used: Amounts, today: NaiveDate) {
        let mut state = self.state();
        state.reserved = state.reserved.minus(held.cost);
        state.spending.add(today, used.cost);
        if let Some(bucket) = &mut state.tokens {
            bucket.change(held.tokens, used.tokens);
        }
    }

    pub fn spent(&self, today: NaiveDate) -> Spent {
        self.state().spending.spent(today)
    }

    pub fn note_elsewhere(&self, day: NaiveDate, instance_id: Uuid, sum: Money) {
        self.state().spending.note_elsewhere(day, instance_id, sum);
    }

    pub fn forget_before(&self, first_day: NaiveDate) {
        self.state().spending.forget_before(first_day);
    }

    /// The state with its buckets as they are now.
    fn refreshed(&self, limits: &AppliedLimits, now: Instant) -> MutexGuard<'_, State> {
        let mut state = self.state();
        refresh(&mut state.requests, limits.requests_per_minute, now);
        refresh(&mut state.tokens, limits.tokens_per_minute, now);
        state
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether what is spent, what others have reserved, and what is wanted instead of what is held fit the budgets.
    fn check_budgets(
        &self,
        limits: &AppliedLimits,
        held: Money,
        wanted: Money,
        now: DateTime<Utc>,
    ) -> Result<(), LimitError> {
        if !limits.has_budget() {
            return Ok(());
        }
        let spent = self.spending.spent(now.date_naive());
        let reserved = self.reserved.minus(held);
        let budgets = [
            (Period::Month, limits.month(), spent.this_month),
            (Period::Day, limits.day(), spent.today),
        ];
        for (period, budget, spent) in budgets {
            let Some(budget) = budget else { continue };
            let left = budget.minus(spent + reserved);
            let retry_after = until_renewed(period, now);
            if spent >= budget {
                return Err(LimitError::Spent { period, budget, retry_after });
            }
            let needed = wanted;
            if needed > budget.minus(spent) {
                return Err(LimitError::TooDear { period, budget, left, needed, retry_after });
            }
            if needed > left {
                return Err(LimitError::Reserved { period, budget, left, needed });
            }
        }
        Ok(())
    }
}

fn refresh(bucket: &mut Option<Bucket>, limit: Option<u64>, now: Instant) {
    match (bucket.as_mut(), limit) {
        (Some(bucket), Some(limit)) => bucket.refresh(limit, now),
        (None, Some(limit)) => *bucket = Some(Bucket::new(limit, now)),
        (_, None) => *bucket = None,
    }
}
