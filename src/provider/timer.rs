//! A timer for what is waited for again and again.

use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::time::{Instant, Sleep};

/// Bounds one wait after another, each until a time of its own.
///
/// A piece of an answer comes long before its time has run out. So the timer is left as it was set until it runs down, and
/// only then set to what is waited for at that time: to make one for each piece costs several times as much.
#[derive(Debug)]
pub(super) struct Timer {
    sleep: Pin<Box<Sleep>>,
}

impl Timer {
    /// `first` is about when the first wait will have to end.
    pub fn new(first: Instant) -> Self {
        Self { sleep: Box::pin(tokio::time::sleep_until(first)) }
    }

    /// Waits for a future until a deadline; `None` if that passes.
    pub async fn bound<F: Future>(&mut self, deadline: Instant, future: F) -> Option<F::Output> {
        if self.sleep.deadline() > deadline {
            self.sleep.as_mut().reset(deadline);
        }
        let mut future = pin!(future);
        std::future::poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            while self.sleep.as_mut().poll(context).is_ready() {
                if self.sleep.deadline() >= deadline {
                    return Poll::Ready(None);
                }
                self.sleep.as_mut().reset(deadline);
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::Timer;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_its_own_deadline() {
        let began = Instant::now();
        let mut timer = Timer::new(began + 2 * SECOND);
        // One that ends behind the time that was set, one that was set for later, and one that is there in time.
        assert_eq!(timer.bound(began + 3 * SECOND, sleep(5 * SECOND)).await, None);
        assert_eq!(began.elapsed(), 3 * SECOND);
        assert_eq!(timer.bound(began + 4 * SECOND, sleep(SECOND / 2)).await, Some(()));
        assert_eq!(timer.bound(began + 9 * SECOND, sleep(SECOND)).await, Some(()));
        let passed = began.elapsed();
        assert_eq!(timer.bound(began + passed + SECOND, sleep(SECOND * 5)).await, None);
        assert_eq!(began.elapsed(), passed + SECOND);
    }
}
