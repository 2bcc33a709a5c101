//! The rest of a run that is no task of its own: whoever waits for what the run tells carries it along.
//!
//! A chunk of an answer then passes through two tasks, the provider's connection and the caller's, and none between them
//! has to be woken. A caller who leaves what was told unread holds nothing up: the run becomes a task.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// What is left of a run to be done.
pub(super) type Rest = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Default)]
pub(super) struct Carried {
    state: Mutex<State>,
    wakeup: Arc<Wakeup>,
}

#[derive(Default)]
struct State {
    /// `None` if the run has ended, or is a task.
    rest: Option<Rest>,
    /// How often more was asked for.
    asked: u64,
    /// How often it had been at the last look; `None` before the first one.
    asked_before: Option<u64>,
}

/// The run can go on. Bearers are woken for other reasons too, and ask several times each time.
#[derive(Default)]
struct Wakeup {
    is_due: AtomicBool,
    bearer: AtomicWaker,
}

impl Carried {
    /// Leaves the run to whoever asks for what it tells.
    pub fn begin(&self, rest: Rest) {
        self.state().rest = Some(rest);
        self.wakeup.is_due.store(true, Ordering::Release);
    }

    /// Carries the run along until `told` has an answer; `None` if it can be carried no further without one.
    pub async fn until<T>(&self, mut told: impl FnMut() -> Option<T>) -> Option<T> {
        std::future::poll_fn(|context| {
            let mut state = self.state();
            state.asked += 1;
            // What has been told goes first: who reads slowly is not told more and more.
            if let Some(told) = told() {
                return Poll::Ready(Some(told));
            }
            let Some(rest) = &mut state.rest else { return Poll::Ready(None) };
            // Before it is looked whether it can go on: what comes behind that wakes.
            self.wakeup.bearer.register(context.waker());
            if !self.wakeup.is_due.swap(false, Ordering::AcqRel) {
                return Poll::Pending;
            }
            let waker = Waker::from(Arc::clone(&self.wakeup));
            if rest.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                state.rest = None;
                return Poll::Ready(told());
            }
            told().map_or(Poll::Pending, |told| Poll::Ready(Some(told)))
        })
        .await
    }

    /// Makes the run a task, if it is none.
    pub fn put_down(&self) {
        let rest = self.state().rest.take();
        // At the end of a runtime nothing can be settled any more.
        if let Some(rest) = rest
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(rest);
            self.wakeup.bearer.wake();
        }
    }

    /// Makes the run a task if it can go on and nobody has asked for more since the last look.
    pub fn put_down_if_left(&self) {
        // Who holds it carries it.
        let Ok(mut state) = self.state.try_lock() else { return };
        let asked = state.asked;
        let is_asked_for = state.asked_before.replace(asked) != Some(asked);
        drop(state);
        if !is_asked_for && self.wakeup.is_due.load(Ordering::Acquire) {
            self.put_down();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Carried").finish_non_exhaustive()
    }
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_due.store(true, Ordering::Release);
        self.bearer.wake();
    }
}
