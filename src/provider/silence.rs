//! A timer for silences that hardly ever last.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep};

/// Tells when a stream has been silent for too long, each time until a deadline of its own.
///
/// A piece of an answer comes long before its time has run out. So the timer is left as it was set until it runs down, and
/// only then set to what is waited for at that time: to make one for each piece costs several times as much.
#[derive(Debug)]
pub struct SilenceTimer {
    sleep: Pin<Box<Sleep>>,
}

impl SilenceTimer {
    /// `first` is about when the first silence will have to end.
    pub fn new(first: Instant) -> Self {
        Self { sleep: Box::pin(tokio::time::sleep_until(first)) }
    }

    /// Ready once the deadline has passed; wakes when it does.
    pub fn poll_passed(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        if self.sleep.deadline() > deadline {
            self.sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(self.sleep.as_mut().poll(context));
            if self.sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(deadline);
        }
    }

    /// Waits for a future until a deadline; `None` if that passes.
    pub async fn bound<F: Future>(&mut self, deadline: Instant, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        std::future::poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => self.poll_passed(deadline, context).map(|()| None),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::SilenceTimer;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_its_own_deadline() {
        let began = Instant::now();
        let mut timer = SilenceTimer::new(began + 2 * SECOND);
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
