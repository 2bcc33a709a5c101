//! The rest of a run that is no task of its own: whoever waits for what the run tells carries it along.
//!
//! A chunk of an answer then passes through two tasks, the provider's connection and the caller's, and none between them
//! has to be woken. A caller who leaves what was told unread for long holds nothing up: the run becomes a task.

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::Poll;

/// What is left of a run to be done.
pub(super) type Rest = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Default)]
pub(super) struct Carried {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None` if the run has ended, or is a task.
    rest: Option<Rest>,
    /// How often more was asked for.
    asked: u64,
    /// How often it had been when it was last looked whether the bearer is gone.
    asked_before: u64,
    /// Whether the bearer waits for the run, and will be woken by it.
    is_waited_for: bool,
}

impl Carried {
    /// Leaves the run to whoever asks for what it tells.
    pub fn begin(&self, rest: Rest) {
        self.state().rest = Some(rest);
    }

    /// Carries the run along until `told` has an answer; `None` if it can be carried no further without one.
    pub async fn until<T>(&self, mut told: impl FnMut() -> Option<T>) -> Option<T> {
        std::future::poll_fn(|context| {
            let mut state = self.state();
            state.asked += 1;
            state.is_waited_for = false;
            // What has been told goes first: who reads slowly is not told more and more.
            if let Some(told) = told() {
                return Poll::Ready(Some(told));
            }
            let Some(rest) = &mut state.rest else { return Poll::Ready(None) };
            if rest.as_mut().poll(context).is_ready() {
                state.rest = None;
                return Poll::Ready(told());
            }
            let told = told();
            state.is_waited_for = told.is_none();
            told.map_or(Poll::Pending, |told| Poll::Ready(Some(told)))
        })
        .await
    }

    /// Makes the run a task, if it is none. Nobody may be waiting for it.
    pub fn put_down(&self) {
        self.state().put_down();
    }

    /// Makes the run a task if its bearer has neither waited for it nor asked for more since the last look.
    pub fn put_down_if_left(&self) {
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // It is being carried.
            Err(TryLockError::WouldBlock) => return,
        };
        let is_left = !state.is_waited_for && state.asked == state.asked_before;
        state.asked_before = state.asked;
        if is_left {
            state.put_down();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put_down(&mut self) {
        // At the end of a runtime nothing can be settled any more.
        if let Some(rest) = self.rest.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(rest);
        }
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Carried").finish_non_exhaustive()
    }
}
