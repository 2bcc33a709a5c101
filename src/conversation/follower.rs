//! Following a run by its events: one that is under way here, one that another instance runs, one that is over.

use std::collections::VecDeque;
use std::time::Duration;

use uuid::Uuid;

use super::event::NumberedEvent;
use super::live_run::LiveReader;
use super::records::events_behind;
use super::{Conversations, RunEvent};
use crate::ledger::{LedgerError, RunRecord};
use crate::telemetry::causes;

/// How often a run of another instance is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The sequence number of the end of a run that ended with its instance. How much more was told of it than is on record is
/// known to nobody, so that no smaller number is surely new to whoever goes on from what they have read.
const BEHIND_ALL: i32 = i32::MAX;

/// Reads the events of a run, each once and in order, to the last. It does not hold the run.
#[derive(Debug)]
pub struct RunFollower {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Live(LiveReader),
    Record(Box<RecordReader>),
}

/// Reads a run's events from its record, and waits for more while it has not ended.
#[derive(Debug)]
struct RecordReader {
    conversations: Conversations,
    run_id: Uuid,
    /// The sequence number of the last event that was read.
    position: usize,
    ready: VecDeque<NumberedEvent>,
    is_over: bool,
}

impl Conversations {
    /// Follows a run from behind the sequence number `after`. The run must be known.
    pub fn follow_run(&self, run_id: Uuid, after: usize) -> RunFollower {
        let source = match self.find_live(run_id) {
            Some(live) => Source::Live(live.read(after)),
            None => Source::Record(Box::new(RecordReader {
                conversations: self.clone(),
                run_id,
                position: after,
                ready: VecDeque::new(),
                is_over: false,
            })),
        };
        RunFollower { source }
    }
}

impl RunFollower {
    /// The next event; `None` behind the last one, or when the service stops.
    pub async fn next(&mut self) -> Option<NumberedEvent> {
        match &mut self.source {
            Source::Live(reader) => {
                let (sequence, event) = reader.next().await?;
                Some(event.numbered(sequence))
            }
            Source::Record(reader) => reader.next().await,
        }
    }

    /// The same as it was told. Of a record there are the events that faces tell, and the end.
    pub async fn next_event(&mut self) -> Option<RunEvent> {
        match &mut self.source {
            Source::Live(reader) => reader.next().await.map(|(_, event)| event),
            Source::Record(reader) => loop {
                let event = reader.next().await?;
                if let Some(event) = RunEvent::read(&event) {
                    return Some(event);
                }
            },
        }
    }
}

impl RecordReader {
    async fn next(&mut self) -> Option<NumberedEvent> {
        let closing = self.conversations.inner.closing.clone();
        closing.run_until_cancelled(self.next_of_record()).await.flatten()
    }

    async fn next_of_record(&mut self) -> Option<NumberedEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.position = event.sequence;
                return Some(event);
            }
            if self.is_over {
                return None;
            }
            if let Err(error) = self.look().await {
                tracing::debug!(error = causes(&error), run.id = %self.run_id, "failed to look for a run's events");
            }
            if self.ready.is_empty() && !self.is_over {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
    }

    /// Reads what is new. The run is looked at first: if it has ended by then, all its events are there.
    async fn look(&mut self) -> Result<(), LedgerError> {
        let ledger = &self.conversations.inner.ledger;
        let Some(record) = ledger.find_run(self.run_id).await? else {
            self.is_over = true;
            return Ok(());
        };
        // No event but an end has a higher number.
        let after = i32::try_from(self.position).unwrap_or(BEHIND_ALL).min(BEHIND_ALL - 1);
        let pieces = ledger.list_run_events(self.run_id, after).await?;
        self.ready.extend(pieces.iter().flat_map(|piece| events_behind(piece, self.position)));
        if record.ended_at.is_none() {
            return Ok(());
        }
        self.is_over = true;
        let last = last_sequence(&record);
        if self.position < last
            && let Some(found) = self.conversations.with_texts(&record).await?
        {
            self.ready.push_back(RunEvent::Ended(found.run.into()).numbered(last));
        }
        Ok(())
    }
}

/// The sequence number of a run's end.
fn last_sequence(record: &RunRecord) -> usize {
    let count = record.event_count.unwrap_or(BEHIND_ALL);
    usize::try_from(count).unwrap_or(0)
}
