//! What a run holds of its key's limits: a place among the key's runs, and what it may use. Its drop gives back all.

use std::sync::Arc;

use chrono::Utc;
use tokio::time::Instant;

use super::account::Account;
use super::{AppliedLimits, LimitError, count_refusal};
use crate::chat::Money;

/// What is used, or may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Of prompts and answers together.
    pub tokens: u64,
    pub cost: Money,
}

/// A run's hold on its key's account.
#[derive(Debug)]
pub struct Hold {
    account: Arc<Account>,
    /// As they were when the run began: it ends under the limits that it began under.
    limits: AppliedLimits,
    held: Amounts,
    is_over: bool,
}

impl Hold {
    pub(super) fn begin(account: Arc<Account>, limits: AppliedLimits) -> Result<Self, LimitError> {
        account.begin_run(&limits, Utc::now()).inspect_err(count_refusal)?;
        Ok(Self { account, limits, held: Amounts::default(), is_over: false })
    }

    /// Whether what the run costs is counted against a budget.
    pub fn has_budget(&self) -> bool {
        self.limits.has_budget()
    }

    /// Reserves what the run may use, before it begins.
    pub fn reserve(&mut self, wanted: Amounts) -> Result<(), LimitError> {
        let now = (Instant::now(), Utc::now());
        self.account.reserve(&self.limits, wanted, now).inspect_err(count_refusal)?;
        self.held = wanted;
        Ok(())
    }

    /// Makes the reservation another one, for a run that goes on. Only a budget can be in the way.
    pub fn change(&mut self, wanted: Amounts) -> Result<(), LimitError> {
        let change = (self.held, wanted);
        self.account.change(&self.limits, change, Utc::now()).inspect_err(count_refusal)?;
        self.held = wanted;
        Ok(())
    }

    /// Ends the hold with what was really used. Only the first time counts.
    pub fn settle(&mut self, used: Amounts) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.account.settle(self.held, used, Utc::now().date_naive());
            self.account.end_run();
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // A run that did not come to its beginning has used nothing.
        self.settle(Amounts::default());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Account, Amounts, Hold};
    use crate::chat::Money;
    use crate::limits::{AppliedLimits, LimitError};

    fn begin(account: &Arc<Account>, limits: AppliedLimits) -> Result<Hold, LimitError> {
        Hold::begin(Arc::clone(account), limits)
    }

    fn cents(cents: u32) -> Amounts {
        Amounts { tokens: 0, cost: Money::from_usd(f64::from(cents) / 100.0) }
    }

    #[test]
    fn a_place_is_given_back_by_the_drop() {
        let account = Arc::new(Account::default());
        let limits = AppliedLimits { concurrent_runs: Some(1), ..AppliedLimits::default() };
        let mut first = begin(&account, limits).expect("is free");
        assert!(matches!(begin(&account, limits), Err(LimitError::ConcurrentRuns { limit: 1 })));
        first.settle(Amounts::default());
        let second = begin(&account, limits).expect("is free once the first has settled");
        drop(first);
        assert!(begin(&account, limits).is_err(), "a place is given back once");
        drop(second);
        assert!(begin(&account, limits).is_ok());
    }

    #[test]
    fn a_budget_is_never_overdrawn_however_many_ask() {
        let account = Arc::new(Account::default());
        let limits = AppliedLimits { usd_per_day: Some(1.0), ..AppliedLimits::default() };
        let admitted: usize = std::thread::scope(|scope| {
            let ask = || {
                let mut admitted = 0;
                for _ in 0..25 {
                    let Ok(mut hold) = begin(&account, limits) else { continue };
                    if hold.reserve(cents(2)).is_ok() {
                        std::thread::yield_now();
                        hold.settle(cents(2));
                        admitted += 1;
                    }
                }
                admitted
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().expect("does not panic")).sum()
        });
        assert_eq!(admitted, 50);
        let spent = account.spent(chrono::Utc::now().date_naive());
        assert_eq!(spent.today, Money::from_usd(1.0));
        assert!(matches!(begin(&account, limits), Err(LimitError::Spent { .. })));
    }

    #[test]
    fn what_was_reserved_and_not_used_is_there_for_others() {
        let account = Arc::new(Account::default());
        let limits = AppliedLimits { usd_per_month: Some(0.1), ..AppliedLimits::default() };
        let mut first = begin(&account, limits).expect("nothing is spent");
        first.reserve(cents(9)).expect("fits");
        let mut second = begin(&account, limits).expect("nothing is spent");
        assert!(matches!(second.reserve(cents(2)), Err(LimitError::Reserved { .. })));
        first.change(cents(10)).expect("fits, without its own reservation");
        assert!(first.change(cents(11)).is_err());
        first.settle(cents(3));
        assert!(matches!(second.reserve(cents(8)), Err(LimitError::TooDear { .. })));
        second.reserve(cents(7)).expect("fits now");
    }
}
