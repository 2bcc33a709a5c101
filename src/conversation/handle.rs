//! A caller's hold on a run under way.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::ReusableBoxFuture;

use super::Run;
use super::live_run::{CancelledBy, LiveReader, LiveRun};

/// Reads a run's events. Dropping it cancels the run, unless it is one that outlives its caller.
#[derive(Debug)]
pub struct RunHandle {
    pub roster_revision: i64,
    live: Arc<LiveRun>,
    reader: LiveReader,
    /// The rest of the run, if it is no task of its own.
    execution: Option<ReusableBoxFuture<'static, ()>>,
}

impl RunHandle {
    pub(super) fn new(live: Arc<LiveRun>, roster_revision: i64) -> Self {
        let reader = live.read(0);
        Self { roster_revision, live, reader, execution: None }
    }

    /// Leaves the run to whoever [waits for its end](Self::wait_for_end), who has nothing else to do: that spares two
    /// changes of tasks. It is not under way until then.
    pub(super) fn carry(&mut self, execution: ReusableBoxFuture<'static, ()>) {
        self.execution = Some(execution);
    }

    /// The run as it stands.
    pub fn run(&self) -> Run {
        self.live.snapshot()
    }

    /// The next event and its sequence number; `None` behind the last one.
    pub async fn next(&mut self) -> Option<(usize, super::RunEvent)> {
        self.reader.next().await
    }

    /// Waits until there is content, `hold` at most. Returns the run if it has ended: if it was by a failure,
    /// nothing was sent yet, and its true status can be.
    pub async fn wait_for_content(&mut self, hold: Duration) -> Option<Arc<Run>> {
        // A hold that passes is no error: whoever waits is shown that there is life.
        let _ = tokio::time::timeout(hold, self.reader.wait_for_content()).await;
        self.live.ended()
    }

    /// Waits for the end, and returns the run with its result.
    pub async fn wait_for_end(&mut self) -> Arc<Run> {
        if let Some(execution) = &mut self.execution {
            execution.await;
            self.execution = None;
        }
        self.live.wait_for_end().await
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
        // The run has to be settled, and nobody waits for that any more. At the end of a runtime nothing can.
        if let Some(execution) = self.execution.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(execution);
        }
    }
}
