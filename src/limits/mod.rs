//! Limits and budgets of keys: what each key may use, what it has used, and what its runs may still cost.
//!
//! All is counted in memory, exactly for this instance. What runs have cost is written with their records, by the ledger,
//! and what they have cost elsewhere is read every second: nobody who asks waits for the database.

mod account;
mod applied;
mod bucket;
mod error;
mod hold;
mod spending;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgPool;
use tokio::time::Instant;
use uuid::Uuid;

pub use applied::AppliedLimits;
pub use bucket::Standing;
pub use error::{LimitError, Period};
pub use hold::{Amounts, Hold};
pub use spending::Spent;

use account::Account;
use spending::start_of_month;

use crate::access::{Access, KeyLimits};
use crate::db::{ANSWER_PATIENCE, in_time};
use crate::telemetry::metrics;

/// Rows that were written by statements which began so long before they could be seen are not missed.
const LATE_ROWS: chrono::TimeDelta = chrono::TimeDelta::seconds(60);

#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// What holds for keys that have no limit of their own.
    pub for_all: AppliedLimits,
}

/// A cheap handle to the accounts of all keys.
#[derive(Debug, Clone)]
pub struct Limits {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    instance_id: Uuid,
    access: Access,
    settings: Settings,
    accounts: Mutex<HashMap<Uuid, Arc<Account>>>,
    /// Held while spending is read.
    sync: tokio::sync::Mutex<SyncState>,
}

#[derive(Debug, Default)]
struct SyncState {
    /// The latest change by another instance that has been read.
    read_to: Option<DateTime<Utc>>,
    /// The day on which old rows were last removed.
    cleaned_on: Option<NaiveDate>,
}

/// What a key may use at this moment of what is counted by the minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standings {
    pub requests: Option<Standing>,
    pub tokens: Option<Standing>,
}

impl Limits {
    /// Opens the accounts with what has been spent so far.
    pub async fn open(
        pool: PgPool,
        instance_id: Uuid,
        access: Access,
        settings: Settings,
    ) -> Result<Self, LimitError> {
        let inner = Inner {
            pool,
            instance_id,
            access,
            settings,
            accounts: Mutex::default(),
            sync: tokio::sync::Mutex::default(),
        };
        let limits = Self { inner: Arc::new(inner) };
        limits.sync().await?;
        Ok(limits)
    }

    /// Counts a request, or refuses it.
    pub fn take_request(&self, key_id: Uuid) -> Result<(), LimitError> {
        let applied = self.applied(key_id);
        self.account(key_id).take_request(&applied, Instant::now()).inspect_err(count_refusal)
    }

    /// Counts a run as under way for as long as the hold lives.
    pub fn begin_run(&self, key_id: Uuid) -> Result<Hold, LimitError> {
        let applied = self.applied(key_id);
        Hold::begin(self.account(key_id), applied)
    }

    /// What a key may use at this moment.
    pub fn standings(&self, key_id: Uuid) -> Standings {
        let applied = self.applied(key_id);
        self.account(key_id).standings(&applied, Instant::now())
    }

    /// What holds for a key with these limits of its own.
    pub fn apply(&self, own: &KeyLimits) -> AppliedLimits {
        AppliedLimits::of(own, &self.inner.settings.for_all)
    }

    fn applied(&self, key_id: Uuid) -> AppliedLimits {
        self.apply(&self.inner.access.find_limits(key_id).unwrap_or_default())
    }

    /// What a key's runs have cost.
    pub fn spent(&self, key_id: Uuid) -> Spent {
        self.accounts().get(&key_id).map_or(Spent::default(), |account| account.spent(today()))
    }

    /// How many keys have an account here.
    pub fn count_accounts(&self) -> usize {
        self.accounts().len()
    }

    /// Reads what has been spent elsewhere, and forgets keys that are gone.
    pub async fn sync(&self) -> Result<(), LimitError> {
        let mut state = self.inner.sync.lock().await;
        self.read(&mut state).await?;
        let today = today();
        if state.cleaned_on != Some(today) {
            in_time(ANSWER_PATIENCE, store::delete_old(&self.inner.pool)).await?;
            state.cleaned_on = Some(today);
        }
        self.prune(start_of_month(today));
        Ok(())
    }

    async fn read(&self, state: &mut SyncState) -> Result<(), LimitError> {
        let first_day = start_of_month(today());
        let since = state.read_to.map(|read_to| read_to - LATE_ROWS);
        let inner = &self.inner;
        let asking = store::list(&inner.pool, inner.instance_id, first_day, since);
        for row in in_time(ANSWER_PATIENCE, asking).await? {
            state.read_to = state.read_to.max(Some(row.updated_at));
            self.account(row.key_id).note_elsewhere(row.day, row.instance_id, row.spent);
        }
        Ok(())
    }

    /// Forgets days before `first_day`, and keys that are gone once none of their runs is under way.
    fn prune(&self, first_day: NaiveDate) {
        self.accounts().retain(|key_id, account| {
            account.forget_before(first_day);
            // Nobody else can get hold of it while the accounts are locked.
            Arc::strong_count(account) > 1 || self.inner.access.find_limits(*key_id).is_some()
        });
    }

    fn account(&self, key_id: Uuid) -> Arc<Account> {
        Arc::clone(self.accounts().entry(key_id).or_default())
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Account>>> {
        self.inner.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count_refusal(error: &LimitError) {
    if let Some(limit) = error.limit() {
        metrics::limit_refused(limit);
    }
}

fn today() -> NaiveDate {
    Utc::now().date_naive()
}
