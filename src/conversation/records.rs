//! Runs on record: written while they go on, found again when they are asked for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::value::RawValue;
use sqlx::types::Json;
use uuid::Uuid;

use super::event::{CallsForCaller, EventOnRecord, NumberedEvent, RunEvent};
use super::idempotency::Idempotency;
use super::live_run::LiveRun;
use super::{Conversations, Run, charges};
use crate::chat::Money;
use crate::dispatch::AgentRef;
use crate::ledger::{LedgerError, RunEvents, RunFilter, RunRecord, json_text};

/// What a run's record holds besides the run.
#[derive(Debug)]
pub(super) struct RecordedRun {
    pub agent: AgentRef,
    pub agent_sha256: String,
    pub dispatch_id: Uuid,
    pub idempotency: Option<Idempotency>,
    /// Known once the run is settled.
    spent_nano_usd: OnceLock<i64>,
    /// Whether the key stays with a run that has ended.
    keeps_idempotency_key: AtomicBool,
    /// Whether the ledger knows of it. Held while it is told, so that what it is told last is the last state.
    is_noted: Mutex<bool>,
}

/// A run that was found, with the key that made it.
#[derive(Debug, Clone)]
pub struct FoundRun {
    pub run: Run,
    pub key_id: Uuid,
}

impl RecordedRun {
    pub fn new(
        agent: AgentRef,
        agent_sha256: String,
        dispatch_id: Uuid,
        idempotency: Option<Idempotency>,
    ) -> Self {
        Self {
            agent,
            agent_sha256,
            dispatch_id,
            idempotency,
            spent_nano_usd: OnceLock::new(),
            keeps_idempotency_key: AtomicBool::new(false),
            is_noted: Mutex::new(false),
        }
    }

    /// Says what the run has cost its key, retries that were cut included.
    pub fn set_spent(&self, spent: Money) {
        let nanos = i64::try_from(spent.nanos()).unwrap_or(i64::MAX);
        // A run is settled once.
        let _ = self.spent_nano_usd.set(nanos);
    }

    /// Leaves the key with the run when it ends.
    pub fn keep_idempotency_key(&self) {
        self.keeps_idempotency_key.store(true, Ordering::Relaxed);
    }

    fn is_noted(&self) -> MutexGuard<'_, bool> {
        self.is_noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Conversations {
    /// A run as it goes on record.
    pub(super) fn record(&self, live: &LiveRun) -> RunRecord {
        let mut run = live.run();
        if !self.inner.settings.stores_content {
            forget_contents(Arc::make_mut(&mut run));
        }
        let recorded = &live.recorded;
        let has_ended = run.status.is_end();
        let idempotency = recorded.idempotency.as_ref();
        let keeps_key = !has_ended || recorded.keeps_idempotency_key.load(Ordering::Relaxed);
        let kept = idempotency.filter(|_| keeps_key);
        RunRecord {
            id: run.id,
            key_id: live.key_id,
            instance_id: self.inner.ledger.instance_id(),
            dispatch_id: recorded.dispatch_id,
            conversation_id: run.conversation_id,
            agent_name: run.agent.name.clone(),
            agent_revision: run.agent.revision,
            agent_sha256: recorded.agent_sha256.clone(),
            status: run.status.as_str().into(),
            created_at: run.created_at,
            ended_at: run.ended_at,
            idempotency_key: kept.map(|idempotency| idempotency.key.clone()),
            request_sha256: idempotency.map(|idempotency| idempotency.request_sha256.to_vec()),
            // The last event is the run itself, which is told behind this record.
            event_count: has_ended
                .then(|| i32::try_from(live.event_count() + 1).unwrap_or(i32::MAX)),
            charges: has_ended
                .then(|| Json(charges::of_run(&run).into_iter().map(Into::into).collect())),
            spent_nano_usd: recorded.spent_nano_usd.get().copied(),
            record: json_text(&*run),
        }
    }

    /// Puts a run on record as it stands.
    pub(super) fn note(&self, live: &LiveRun) {
        let mut is_noted = live.recorded.is_noted();
        *is_noted = true;
        self.inner.ledger.note_run(&self.record(live));
    }

    /// The same, if it is not on record yet.
    pub(super) fn note_if_new(&self, live: &LiveRun) {
        let mut is_noted = live.recorded.is_noted();
        if !std::mem::replace(&mut is_noted, true) {
            self.inner.ledger.note_run(&self.record(live));
        }
    }

    /// A run as it stands, wherever it is.
    pub async fn find_run(&self, id: Uuid) -> Result<Option<FoundRun>, LedgerError> {
        if let Some(live) = self.find_live(id) {
            return Ok(Some(FoundRun { run: live.snapshot(), key_id: live.key_id }));
        }
        match self.inner.ledger.find_run(id).await? {
            Some(record) => Ok(self.with_texts(&record).await?),
            None => Ok(None),
        }
    }

    /// The events of a run so far: of a record those that faces tell. The end is none of them.
    pub async fn list_run_events(&self, id: Uuid) -> Result<Vec<RunEvent>, LedgerError> {
        if let Some(live) = self.find_live(id) {
            return Ok(live.read(0).read_told());
        }
        let pieces = self.inner.ledger.list_run_events(id, 0).await?;
        let events = pieces.iter().flat_map(|piece| events_behind(piece, 0));
        Ok(events.filter_map(|event| RunEvent::read(&event)).collect())
    }

    /// The key that made a run.
    pub async fn find_owner(&self, id: Uuid) -> Result<Option<Uuid>, LedgerError> {
        match self.find_live(id) {
            Some(live) => Ok(Some(live.key_id)),
            None => Ok(self.inner.ledger.find_run(id).await?.map(|record| record.key_id)),
        }
    }

    /// Runs, newest first, older than `before`; without their texts.
    pub async fn list_runs(
        &self,
        filter: &RunFilter,
        before: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<Run>, LedgerError> {
        for live in self.list_live() {
            self.note_if_new(&live);
        }
        let records = self.inner.ledger.list_runs(filter, before, limit).await?;
        Ok(records.iter().filter_map(|record| read_run(&record.record)).collect())
    }

    /// Hands the ledger what has happened in the background since the last time, for other instances to tell.
    pub async fn store_progress(&self) {
        for live in self.list_live().into_iter().filter(|live| live.is_background) {
            self.store_events(&live).await;
        }
    }

    pub(super) async fn store_events(&self, live: &LiveRun) {
        if !self.inner.settings.stores_content {
            return;
        }
        let _storing = live.storing.lock().await;
        if let Some(events) = live.take_unstored() {
            self.inner.ledger.note_run_events(&events);
        }
    }

    pub(super) async fn with_texts(
        &self,
        record: &RunRecord,
    ) -> Result<Option<FoundRun>, LedgerError> {
        let Some(mut run) = read_run(&record.record) else { return Ok(None) };
        if run.output.is_none() {
            let pieces = self.inner.ledger.list_run_events(record.id, 0).await?;
            let events: Vec<&RawValue> = pieces.iter().flat_map(read_events).collect();
            let has_events = !events.is_empty();
            let (mut output, mut calls) = (String::new(), CallsForCaller::default());
            for event in events.into_iter().filter_map(EventOnRecord::read) {
                match event {
                    EventOnRecord::Text(text) => output.push_str(&text),
                    EventOnRecord::Other(name, data) => calls.add_on_record(&name, data),
                }
            }
            run.output = has_events.then_some(output);
            run.tool_calls.extend(calls.finish());
        }
        Ok(Some(FoundRun { run, key_id: record.key_id }))
    }
}

/// The events of a piece behind the sequence number `after`, in the words of the native protocol.
pub(super) fn events_behind(piece: &RunEvents, after: usize) -> Vec<NumberedEvent> {
    let first = usize::try_from(piece.first_sequence).unwrap_or(1);
    let numbered = read_events(piece).into_iter().zip(first..);
    numbered
        .filter(|(_, sequence)| *sequence > after)
        .filter_map(|(event, sequence)| Some(EventOnRecord::read(event)?.numbered(sequence)))
        .collect()
}

fn read_run(record: &str) -> Option<Run> {
    match serde_json::from_str(record) {
        Ok(run) => Some(run),
        Err(error) => {
            tracing::error!(%error, "a run on record cannot be read");
            None
        }
    }
}

fn read_events(piece: &RunEvents) -> Vec<&RawValue> {
    serde_json::from_str(&piece.events).unwrap_or_default()
}

/// Takes out of a run what may quote the request or the answer, where neither is kept.
fn forget_contents(run: &mut Run) {
    if let Some(failure) = &mut run.error {
        failure.provider_message = None;
    }
    run.asked_as_response = None;
    for call in run.turns.iter_mut().flat_map(|turn| &mut turn.tool_calls) {
        call.arguments = None;
    }
}
