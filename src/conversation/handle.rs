//! A caller's hold on a run under way.

use std::sync::Arc;
use std::time::Duration;

use super::Run;
use super::carried::Rest;
use super::live_run::{CancelledBy, LiveReader, LiveRun};

/// Reads a run's events. Dropping it cancels the run, unless it is one that outlives its caller.
#[derive(Debug)]
pub struct RunHandle {
    pub roster_revision: i64,
    live: Arc<LiveRun>,
    reader: LiveReader,
}

impl RunHandle {
    pub(super) fn new(live: Arc<LiveRun>, roster_revision: i64) -> Self {
        let reader = live.read(0);
        Self { roster_revision, live, reader }
    }

    /// Leaves the run to whoever has this handle: it is not under way but while something is waited for.
    pub(super) fn carry(&self, rest: Rest) {
        self.live.carried.begin(rest);
    }

    /// The run as it stands.
    pub fn run(&self) -> Run {
        self.live.snapshot()
    }

    /// The next event and its sequence number; `None` behind the last one.
    pub async fn next(&mut self) -> Option<(usize, super::RunEvent)> {
        match self.live.carried.until(|| self.reader.next_told()).await {
            Some(told) => Some(told),
            None => self.reader.next().await,
        }
    }

    /// Waits until there is content, `hold` at most. Returns the run if it has ended: if it was by a failure,
    /// nothing was sent yet, and its true status can be.
    pub async fn wait_for_content(&mut self, hold: Duration) -> Option<Arc<Run>> {
        let content = async {
            let reached = || self.live.is_content_known().then_some(());
            if self.live.carried.until(reached).await.is_none() {
                self.reader.wait_for_content().await;
            }
        };
        // A hold that passes is no error: whoever waits is shown that there is life.
        let _ = tokio::time::timeout(hold, content).await;
        self.live.ended()
    }

    /// Waits for the end, and returns the run with its result.
    pub async fn wait_for_end(&mut self) -> Arc<Run> {
        match self.live.carried.until(|| self.live.ended()).await {
            Some(ended) => ended,
            None => self.live.wait_for_end().await,
        }
    }

    /// The events that have been told and not been read.
    pub fn read_told(&mut self) -> Vec<super::RunEvent> {
        self.reader.read_told()
    }
}

impl Drop for RunHandle {
    fn drop(&mut self) {
        if !self.live.is_background {
            self.live.cancel(CancelledBy::CallerLeft);
        }
        // The run has to be settled, and nobody waits for that any more.
        self.live.carried.put_down();
    }
}
