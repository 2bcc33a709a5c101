//! Leaves a target alone that has failed many times in a row, and finds out by one request at a time whether it is
//! well again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::Target;

/// Targets that are remembered. Callers can name models, so there is no end to them.
const MAX_TARGETS: usize = 1_000;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long nothing is sent then.
    pub open: Duration,
}

/// The breakers of all targets. One that is not in here is closed and has not failed since its last success.
#[derive(Debug)]
pub(super) struct Breakers {
    settings: BreakerSettings,
    failing: Mutex<HashMap<String, Failing>>,
}

#[derive(Debug)]
struct Failing {
    failures: u32,
    last_failure: Instant,
    /// Set while it is open; what comes after this time may be a probe.
    open_until: Option<Instant>,
    is_probing: bool,
}

/// Leave to send one request. Dropping it without a word of what came of it lets another one probe.
#[derive(Debug)]
pub(super) struct Admission {
    breakers: Arc<Breakers>,
    /// The target's full name.
    target: String,
    is_probe: bool,
}

/// Whether a target is sent requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    Closed,
    /// It is left alone.
    Open,
    /// The next request, or the one under way, decides.
    HalfOpen,
}

impl BreakerState {
    /// As a figure: the more of a breaker is open, the more.
    pub(super) fn level(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }
}

/// A target that has failed since its last success.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BreakerHealth {
    /// `provider/model`.
    #[serde(skip)]
    pub target: String,
    pub model: String,
    pub state: BreakerState,
    /// Failures in a row.
    pub failures: u32,
    /// How long it is left alone yet.
    pub retry_in_ms: u64,
}

impl Breakers {
    pub fn new(settings: BreakerSettings) -> Arc<Self> {
        Arc::new(Self { settings, failing: Mutex::default() })
    }

    /// Asks whether a request may be sent; if not, says how long it is not worth asking again.
    pub fn admit(self: &Arc<Self>, target: &Target) -> Result<Admission, Duration> {
        let name = target.full_name();
        let mut is_probe = false;
        if let Some(failing) = self.failing().get_mut(&name)
            && let Some(open_until) = failing.open_until
        {
            let left = open_until.saturating_duration_since(Instant::now());
            if !left.is_zero() || failing.is_probing {
                return Err(left.max(Duration::from_secs(1)));
            }
            failing.is_probing = true;
            is_probe = true;
        }
        Ok(Admission { breakers: Arc::clone(self), target: name, is_probe })
    }

    /// The targets that have failed since their last success, by name.
    pub fn health(&self) -> Vec<BreakerHealth> {
        let now = Instant::now();
        let mut health: Vec<BreakerHealth> = self
            .failing()
            .iter()
            .map(|(target, failing)| {
                let left = failing.open_until.map(|until| until.saturating_duration_since(now));
                BreakerHealth {
                    target: target.clone(),
                    model: target.split_once('/').map_or("", |(_, model)| model).to_owned(),
                    state: match left {
                        None => BreakerState::Closed,
                        Some(Duration::ZERO) => BreakerState::HalfOpen,
                        Some(_) => BreakerState::Open,
                    },
                    failures: failing.failures,
                    retry_in_ms: left
                        .unwrap_or_default()
                        .as_millis()
                        .try_into()
                        .unwrap_or(u64::MAX),
                }
            })
            .collect();
        health.sort_by(|one, other| one.target.cmp(&other.target));
        health
    }

    fn fail(&self, target: &str, was_probe: bool) {
        let now = Instant::now();
        let mut all = self.failing();
        if all.len() >= MAX_TARGETS
            && !all.contains_key(target)
            && let Some(oldest) = all
                .iter()
                .min_by_key(|(_, failing)| failing.last_failure)
                .map(|(name, _)| name.clone())
        {
            all.remove(&oldest);
        }
        let failing = all.entry(target.to_owned()).or_insert(Failing {
            failures: 0,
            last_failure: now,
            open_until: None,
            is_probing: false,
        });
        failing.failures += 1;
        failing.last_failure = now;
        if was_probe {
            failing.is_probing = false;
        }
        // Requests that were under way when it opened do not keep it open for longer.
        let opens = failing.failures >= self.settings.failures && failing.open_until.is_none();
        if was_probe || opens {
            failing.open_until = Some(now + self.settings.open);
        }
    }

    fn failing(&self) -> MutexGuard<'_, HashMap<String, Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admission {
    /// The target has given a whole answer.
    pub fn succeed(&mut self) {
        self.breakers.failing().remove(&self.target);
        self.is_probe = false;
    }

    /// The target has begun to answer. That is enough for a probe, so that others need not wait for its end.
    pub fn end_probe(&mut self) {
        if self.is_probe {
            self.succeed();
        }
    }

    /// The target is to blame for a failure.
    pub fn fail(&mut self) {
        let was_probe = std::mem::take(&mut self.is_probe);
        self.breakers.fail(&self.target, was_probe);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if self.is_probe
            && let Some(failing) = self.breakers.failing().get_mut(&self.target)
        {
            failing.is_probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{BreakerSettings, BreakerState, Breakers, MAX_TARGETS};
    use crate::provider::Target;

    const OPEN: Duration = Duration::from_secs(10);

    fn opened() -> (Arc<Breakers>, Target) {
        let breakers = Breakers::new(BreakerSettings { failures: 3, open: OPEN });
        let target = Target::new("local", "qwen3");
        for _ in 0..3 {
            breakers.admit(&target).expect("is closed").fail();
        }
        (breakers, target)
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_only_for_that_target() {
        let breakers = Breakers::new(BreakerSettings { failures: 2, open: OPEN });
        let (target, other) = (Target::new("local", "a"), Target::new("local", "b"));
        breakers.admit(&target).expect("is closed").fail();
        breakers.admit(&target).expect("is closed").succeed();
        breakers.admit(&target).expect("is closed").fail();
        assert_eq!(breakers.health()[0].state, BreakerState::Closed);
        breakers.admit(&target).expect("is closed").fail();
        assert_eq!(breakers.admit(&target).expect_err("is open"), OPEN);
        assert!(breakers.admit(&other).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_at_a_time_probes() {
        let (breakers, target) = opened();
        tokio::time::advance(OPEN).await;
        let mut probe = breakers.admit(&target).expect("may probe");
        assert!(breakers.admit(&target).is_err(), "another one probes");
        probe.fail();
        assert!(breakers.admit(&target).is_err(), "it is open again");
        tokio::time::advance(OPEN).await;
        breakers.admit(&target).expect("may probe").succeed();
        assert!(breakers.admit(&target).is_ok() && breakers.health().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_lets_another_one_probe() {
        let (breakers, target) = opened();
        tokio::time::advance(OPEN).await;
        drop(breakers.admit(&target).expect("may probe"));
        assert!(breakers.admit(&target).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn late_failures_do_not_keep_it_open() {
        let breakers = Breakers::new(BreakerSettings { failures: 1, open: OPEN });
        let target = Target::new("local", "a");
        let mut late = breakers.admit(&target).expect("is closed");
        breakers.admit(&target).expect("is closed").fail();
        tokio::time::advance(OPEN).await;
        late.fail();
        assert!(breakers.admit(&target).is_ok(), "may be probed");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_targets_are_remembered_than_that() {
        let breakers = Breakers::new(BreakerSettings { failures: 1, open: OPEN });
        for number in 0..=MAX_TARGETS {
            let target = Target::new("local", &number.to_string());
            breakers.admit(&target).expect("is closed").fail();
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(breakers.health().len(), MAX_TARGETS);
        assert!(breakers.admit(&Target::new("local", "0")).is_ok(), "the oldest is forgotten");
    }
}
