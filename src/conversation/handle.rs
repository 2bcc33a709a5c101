//! A caller's hold on a run under way.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Run, RunEvent};

/// Receives a run's events. Dropping it cancels the run.
#[derive(Debug)]
pub struct RunHandle {
    /// The run as it began, with the model that serves it once that is known.
    pub run: Run,
    pub roster_revision: i64,
    /// Events that were received while waiting for content.
    held: VecDeque<RunEvent>,
    events: mpsc::Receiver<RunEvent>,
    /// Only to be dropped.
    _cancel: DropGuard,
}

impl RunHandle {
    pub(super) fn new(
        run: Run,
        roster_revision: i64,
        events: mpsc::Receiver<RunEvent>,
        cancel: CancellationToken,
    ) -> Self {
        let held = VecDeque::new();
        Self { run, roster_revision, held, events, _cancel: cancel.drop_guard() }
    }

    /// The next event; `None` after the last.
    pub async fn next(&mut self) -> Option<RunEvent> {
        match self.held.pop_front() {
            Some(event) => Some(event),
            None => self.events.recv().await,
        }
    }

    /// Waits until there is content, `hold` at most, and keeps what comes before it. Returns the run if it has
    /// ended instead: then nothing was sent yet, and its true status can be.
    pub async fn wait_for_content(&mut self, hold: Duration) -> Option<Box<Run>> {
        tokio::time::timeout(hold, async {
            while let Some(event) = self.events.recv().await {
                if let RunEvent::Ended(run) = &event {
                    let run = run.clone();
                    self.held.push_back(event);
                    return Some(run);
                }
                if let RunEvent::ModelServed(model) = &event {
                    self.run.model.resolved.clone_from(model);
                }
                let is_content = event.is_content();
                self.held.push_back(event);
                if is_content {
                    return None;
                }
            }
            None
        })
        .await
        .ok()
        .flatten()
    }

    /// Waits for the end.
    pub async fn finish(mut self) -> Option<Box<Run>> {
        while let Some(event) = self.next().await {
            if let RunEvent::Ended(run) = event {
                return Some(run);
            }
        }
        None
    }
}
