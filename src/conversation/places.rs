//! How many runs may be under way at once. A place is given back by its drop, whatever ends the run.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Runs that may wait for a place while no caller waits for them.
const QUEUE_LENGTH: usize = 1_000;

/// The places of one instance.
#[derive(Debug, Clone)]
pub(super) struct Places {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// A run's place.
#[derive(Debug)]
pub(super) enum Place {
    Running(OwnedSemaphorePermit),
    /// In the queue for one.
    Waiting(OwnedSemaphorePermit),
}

impl Places {
    pub fn new(running: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(running.clamp(1, Semaphore::MAX_PERMITS))),
            waiting: Arc::new(Semaphore::new(QUEUE_LENGTH)),
        }
    }

    /// A place to run, or in the queue if the run can wait; `None` if there is none.
    pub fn take(&self, can_wait: bool) -> Option<Place> {
        let running = Arc::clone(&self.running).try_acquire_owned().map(Place::Running).ok();
        running.or_else(|| {
            let waiting = can_wait.then(|| Arc::clone(&self.waiting).try_acquire_owned().ok())?;
            waiting.map(Place::Waiting)
        })
    }

    /// Waits until a run may begin.
    pub async fn wait(&self, place: Place) -> OwnedSemaphorePermit {
        match place {
            Place::Running(permit) => permit,
            Place::Waiting(_queued) => Arc::clone(&self.running)
                .acquire_owned()
                .await
                .expect("the semaphore is never closed"),
        }
    }
}

impl Place {
    pub fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting(_))
    }
}

#[cfg(test)]
mod tests {
    use super::Places;

    #[tokio::test]
    async fn whoever_can_wait_gets_the_place_that_is_given_back() {
        let places = Places::new(1);
        let first = places.take(false).expect("is free");
        assert!(places.take(false).is_none(), "nobody waits who is waited for");
        let second = places.take(true).expect("may wait");
        assert!(second.is_waiting());
        let begins = tokio::spawn({
            let places = places.clone();
            async move { places.wait(second).await }
        });
        drop(first);
        drop(begins.await.expect("gets its place"));
        assert!(!places.take(false).expect("is free again").is_waiting());
    }
}
