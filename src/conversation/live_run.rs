//! A run under way: what it has told so far, for its caller and for whoever else follows it.
//!
//! Only the run's [`Execution`](super::execution::Execution) writes to it. Readers never hold it up.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{Notify, SetOnce};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::carried::Carried;
use super::event_log::EventLog;
use super::records::RecordedRun;
use super::{Run, RunEvent, RunStatus};
use crate::chat::ToolCall;
use crate::ledger::RunEvents;

#[derive(Debug)]
pub(super) struct LiveRun {
    pub id: Uuid,
    /// The key that made it.
    pub key_id: Uuid,
    /// Whether it outlives its caller.
    pub is_background: bool,
    pub recorded: RecordedRun,
    /// What is left of it, if it is no task.
    pub carried: Carried,
    cancel: CancellationToken,
    cancelled_by: OnceLock<CancelledBy>,
    state: Mutex<State>,
    /// Wakes whoever reads when there is more.
    told: Notify,
    /// Whoever waits for the end alone is not woken before.
    end: SetOnce<Arc<Run>>,
    /// Held while events are handed to the ledger, which must get them in order.
    pub storing: tokio::sync::Mutex<()>,
}

/// Who ended a run before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CancelledBy {
    /// The connection of the caller who waits for it is gone.
    CallerLeft,
    /// It was asked for by name.
    Request,
}

#[derive(Debug)]
struct State {
    /// Without its texts until it has ended.
    run: Arc<Run>,
    log: EventLog,
    /// How many events the ledger has been given.
    stored: usize,
    has_content: bool,
    has_ended: bool,
}

impl LiveRun {
    pub fn new(run: Run, recorded: RecordedRun, key_id: Uuid, is_background: bool) -> Arc<Self> {
        let id = run.id;
        let state = State {
            run: Arc::new(run),
            log: EventLog::default(),
            stored: 0,
            has_content: false,
            has_ended: false,
        };
        Arc::new(Self {
            id,
            key_id,
            is_background,
            recorded,
            carried: Carried::default(),
            cancel: CancellationToken::new(),
            cancelled_by: OnceLock::new(),
            state: Mutex::new(state),
            told: Notify::new(),
            end: SetOnce::new(),
            storing: tokio::sync::Mutex::new(()),
        })
    }

    /// Ends the run, unless it has ended.
    pub fn cancel(&self, by: CancelledBy) {
        // Whoever comes first is the reason.
        let _ = self.cancelled_by.set(by);
        self.cancel.cancel();
    }

    /// Returns once somebody wants the run to end.
    pub async fn cancelled(&self) -> CancelledBy {
        self.cancel.cancelled().await;
        self.cancelled_by.get().copied().unwrap_or(CancelledBy::Request)
    }

    /// Changes what is known of the run.
    pub fn update(&self, change: impl FnOnce(&mut Run)) {
        change(Arc::make_mut(&mut self.state().run));
    }

    /// Tells an event.
    pub fn tell(&self, event: RunEvent) {
        self.state().add(event);
        self.told.notify_waiters();
    }

    /// There is content, shown or not.
    pub fn show_content(&self) {
        if !std::mem::replace(&mut self.state().has_content, true) {
            self.told.notify_waiters();
        }
    }

    /// Whether there is content, or will be none.
    pub fn is_content_known(&self) -> bool {
        let state = self.state();
        state.has_content || state.has_ended
    }

    /// Tells the end, with the texts.
    pub fn end(&self) {
        let mut state = self.state();
        let run = state.complete();
        state.add(RunEvent::Ended(Arc::clone(&run)));
        state.has_ended = true;
        drop(state);
        self.told.notify_waiters();
        // It ends once.
        let _ = self.end.set(run);
    }

    /// Whether any text has been told.
    pub fn has_text(&self) -> bool {
        !self.state().log.text().is_empty()
    }

    pub fn status(&self) -> RunStatus {
        self.state().run.status
    }

    /// The run as it stands, with its texts so far.
    pub fn snapshot(&self) -> Run {
        self.state().snapshot()
    }

    /// The run with its result, if it has ended.
    pub fn ended(&self) -> Option<Arc<Run>> {
        self.end.get().cloned()
    }

    /// The run as it stands and as it is kept: its texts are in its events, until it has ended.
    pub fn run(&self) -> Arc<Run> {
        Arc::clone(&self.state().run)
    }

    /// The calls that the caller is to answer.
    pub fn calls_for_caller(&self) -> Vec<ToolCall> {
        self.state().log.calls_for_caller()
    }

    /// Waits until the run has ended; returns it with its result.
    pub async fn wait_for_end(&self) -> Arc<Run> {
        Arc::clone(self.end.wait().await)
    }

    /// How many events there are.
    pub fn event_count(&self) -> usize {
        self.state().log.len()
    }

    /// The events that the ledger has not been given. They count as given from now on. The last event is none of
    /// them: the run on record is that event.
    pub fn take_unstored(&self) -> Option<RunEvents> {
        let mut state = self.state();
        let first = state.stored;
        let first_sequence = i32::try_from(first + 1).ok()?;
        let (events, count) = state.log.write(first)?;
        state.stored = first + count;
        Some(RunEvents { run_id: self.id, first_sequence, events })
    }

    /// Reads the events behind the sequence number `after`, as they come.
    pub fn read(self: &Arc<Self>, after: usize) -> LiveReader {
        LiveReader { run: Arc::clone(self), position: after }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, event: RunEvent) {
        self.has_content |= matches!(event, RunEvent::TextDelta(_) | RunEvent::ToolCall { .. });
        self.log.add(event);
    }

    fn snapshot(&self) -> Run {
        let (output, tool_calls) = (Some(self.log.text().to_owned()), self.log.calls_for_caller());
        Run { output, tool_calls, ..Run::clone(&self.run) }
    }

    /// Puts the texts into the run.
    fn complete(&mut self) -> Arc<Run> {
        let run = Arc::make_mut(&mut self.run);
        run.output = Some(self.log.text().to_owned());
        run.tool_calls = self.log.calls_for_caller();
        Arc::clone(&self.run)
    }
}

/// Reads a run's events. It neither holds the run up nor keeps it alive.
#[derive(Debug)]
pub struct LiveReader {
    run: Arc<LiveRun>,
    /// How many events have been read.
    position: usize,
}

impl LiveReader {
    /// The next event and its sequence number; `None` behind the last one.
    pub async fn next(&mut self) -> Option<(usize, RunEvent)> {
        let run = Arc::clone(&self.run);
        loop {
            // From here on whatever is told wakes.
            let more = run.told.notified();
            let (event, has_ended) = {
                let state = run.state();
                (state.log.event(self.position), state.has_ended)
            };
            if let Some(event) = event {
                self.position += 1;
                return Some((self.position, event));
            }
            if has_ended {
                return None;
            }
            more.await;
        }
    }

    /// The next event, if it has been told.
    pub(super) fn next_told(&mut self) -> Option<(usize, RunEvent)> {
        let event = self.run.state().log.event(self.position)?;
        self.position += 1;
        Some((self.position, event))
    }

    /// Waits until there is content or the run has ended.
    pub(super) async fn wait_for_content(&self) {
        loop {
            let more = self.run.told.notified();
            if self.run.is_content_known() {
                return;
            }
            more.await;
        }
    }

    /// The events that have been told, from where this reader is. The end is none of them.
    pub(super) fn read_told(&mut self) -> Vec<RunEvent> {
        let state = self.run.state();
        let told = state.log.len();
        let events = (self.position..told).filter_map(|place| state.log.event(place));
        self.position = told;
        events.filter(|event| !matches!(event, RunEvent::Ended(_))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::{LiveRun, RecordedRun};
    use crate::chat::{ToolCall, Usage};
    use crate::conversation::tests::run;
    use crate::conversation::{RunEvent, RunStatus};

    fn call() -> ToolCall {
        let arguments = serde_json::json!({});
        ToolCall::new("a", "look", arguments)
    }

    fn told() -> Arc<LiveRun> {
        let run = run();
        let recorded = RecordedRun::new(run.agent.clone(), String::new(), Uuid::nil(), None);
        let live = LiveRun::new(run, recorded, Uuid::nil(), false);
        live.tell(RunEvent::TextDelta("Hé".into()));
        live.tell(RunEvent::ToolCall { call: call(), server: None });
        live.tell(RunEvent::TextDelta("llo".into()));
        live
    }

    #[tokio::test]
    async fn every_reader_reads_all_from_where_it_likes() {
        let live = told();
        let (mut early, mut late) = (live.read(0), live.read(2));
        live.update(|run| run.status = RunStatus::Completed);
        live.tell(RunEvent::Usage(Usage::default()));
        live.end();
        let mut names = Vec::new();
        while let Some((sequence, event)) = early.next().await {
            names.push(format!("{sequence} {}", event.name()));
        }
        assert_eq!(
            names,
            ["1 text.delta", "2 tool.call", "3 text.delta", "4 usage", "5 run.completed"]
        );
        let (sequence, event) = late.next().await.expect("is there");
        assert_eq!((sequence, serde_json::json!(event)["text"].as_str()), (3, Some("llo")));
        assert!(live.read(5).next().await.is_none());
    }

    #[tokio::test]
    async fn the_run_tells_its_texts_so_far() {
        let snapshot = told().snapshot();
        assert_eq!(snapshot.output.as_deref(), Some("Héllo"));
        assert_eq!(snapshot.tool_calls, [call()]);
    }

    #[test]
    fn events_are_given_to_the_ledger_once() {
        let live = told();
        let first = live.take_unstored().expect("some");
        assert_eq!(first.first_sequence, 1);
        assert!(first.events.starts_with(r#"["Hé",["tool.call",{"#), "{}", first.events);
        assert!(live.take_unstored().is_none());
        live.tell(RunEvent::TextDelta("!".into()));
        let second = live.take_unstored().expect("one more");
        assert_eq!((second.first_sequence, second.events.as_str()), (4, r#"["!"]"#));
        live.end();
        assert!(live.take_unstored().is_none(), "the run on record is its last event");
    }
}
