//! Finding records: those that wait are looked for first, and come before what is written of them.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::journal::{Frames, Place};
use super::record::{
    DecidedFilter, DecidedRequest, DispatchRecord, RunEvents, RunFilter, RunRecord,
};
use super::{Inner, Ledger, LedgerError, store};

impl Ledger {
    pub async fn find_dispatch(&self, id: Uuid) -> Result<Option<DispatchRecord>, LedgerError> {
        let place = self.inner.pending().dispatches.get(&id).copied();
        match self.inner.read_pending(place).await? {
            Some(record) => Ok(Some(record)),
            None => Ok(store::find_dispatch(&self.inner.pool, id).await?),
        }
    }

    /// Requests whose agent was picked for them, newest first, with what was decided. Named agents are left out, and
    /// so are decisions without their input. Fewer than `limit` if their texts are very long.
    pub async fn list_decided_requests(
        &self,
        filter: &DecidedFilter,
        limit: usize,
    ) -> Result<Vec<DecidedRequest>, LedgerError> {
        // Before the rows are read: what is written meanwhile is found twice rather than not at all.
        let places: Vec<Place> = self.inner.pending().dispatches.values().rev().copied().collect();
        let mut requests = BTreeMap::new();
        for place in places {
            let record = self.inner.read_pending::<DispatchRecord>(Some(place)).await?;
            let request = record.and_then(|record| record.decided_request(filter));
            requests.extend(request.map(|request| (request.id, request)));
            if requests.len() == limit {
                break;
            }
        }
        let rows = i64::try_from(limit).unwrap_or(i64::MAX);
        let written = store::list_decided_requests(&self.inner.pool, filter, rows).await?;
        requests.extend(written.into_iter().map(|request| (request.id, request)));
        Ok(requests.into_values().rev().take(limit).collect())
    }

    pub async fn find_run(&self, id: Uuid) -> Result<Option<RunRecord>, LedgerError> {
        let place = self.inner.pending().runs.get(&id).map(|run| run.place);
        match self.inner.read_pending(place).await? {
            Some(record) => Ok(Some(record)),
            None => Ok(store::find_run(&self.inner.pool, id).await?),
        }
    }

    /// The run that a caller has made under an idempotency key.
    pub async fn find_run_of_request(
        &self,
        key_id: Uuid,
        idempotency_key: &str,
    ) -> Result<Option<RunRecord>, LedgerError> {
        let find = || store::find_run_of_request(&self.inner.pool, key_id, idempotency_key);
        let Some(found) = find().await? else { return Ok(None) };
        // It may have ended since it was written, and given the key up.
        let place = self.inner.pending().runs.get(&found.id).map(|run| run.place);
        if let Some(newest) = self.inner.read_pending(place).await? {
            return Ok(Some(newest));
        }
        // And its end may have been written since it was read.
        if found.ended_at.is_some() { Ok(Some(found)) } else { Ok(find().await?) }
    }

    /// Runs, newest first, older than `before`; without their texts.
    pub async fn list_runs(
        &self,
        filter: &RunFilter,
        before: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<RunRecord>, LedgerError> {
        let before = before.unwrap_or(Uuid::max());
        // Before the rows are read: what is written meanwhile is found twice rather than not at all.
        let (fitting, outdated) = {
            let pending = self.inner.pending();
            let older = || pending.runs.range(..before).rev();
            let fitting = older().filter(|(_, run)| run.fits(filter)).take(limit);
            let fitting: Vec<Place> = fitting.map(|(_, run)| run.place).collect();
            let outdated = older().filter(|(_, run)| run.may_have_fitted(filter));
            (fitting, outdated.map(|(id, _)| *id).collect::<Vec<_>>())
        };
        let mut pending = Vec::new();
        for place in fitting {
            pending.extend(self.inner.read_pending::<RunRecord>(Some(place)).await?);
        }
        // Rows that are out of date by now must not make the page short: a short page is the last one.
        let rows = i64::try_from(limit + outdated.len()).unwrap_or(i64::MAX);
        let written = store::list_runs(&self.inner.pool, filter, before, rows).await?;
        let mut runs: BTreeMap<Uuid, RunRecord> =
            written.into_iter().map(|run| (run.id, run)).collect();
        for id in outdated {
            runs.remove(&id);
        }
        runs.extend(pending.into_iter().map(|run| (run.id, run)));
        Ok(runs.into_values().rev().take(limit).collect())
    }

    /// The pieces of a run's events that go beyond the sequence number `after`, in order.
    pub async fn list_run_events(
        &self,
        run_id: Uuid,
        after: i32,
    ) -> Result<Vec<RunEvents>, LedgerError> {
        let places: Vec<Place> = {
            let pending = self.inner.pending();
            pending
                .run_events
                .range((run_id, 0)..=(run_id, i32::MAX))
                .map(|(_, place)| *place)
                .collect()
        };
        let expected = places.len();
        let mut pending: Vec<RunEvents> = Vec::new();
        for place in places {
            pending.extend(self.inner.read_pending(Some(place)).await?);
        }
        // Pieces are written in their order: none that waits is followed by one that is written.
        let is_behind = pending.first().is_some_and(|piece| piece.first_sequence <= after + 1);
        if is_behind && pending.len() == expected {
            return Ok(pending);
        }
        let written = store::list_run_events(&self.inner.pool, run_id, after).await?;
        let pieces: BTreeMap<i32, RunEvents> =
            written.into_iter().chain(pending).map(|piece| (piece.first_sequence, piece)).collect();
        Ok(pieces.into_values().collect())
    }
}

impl Inner {
    /// Reads a record that waits; `None` if it does not any more, and is written.
    ///
    /// # Errors
    /// If the disk refuses it for now: nobody is told what may yet be lost.
    async fn read_pending<T: DeserializeOwned>(
        &self,
        place: Option<Place>,
    ) -> Result<Option<T>, LedgerError> {
        let Some(place) = place else { return Ok(None) };
        if !self.journal.is_written(place.end()).await {
            return Err(LedgerError::NotSafe);
        }
        let Some(bytes) = self.journal.read(place).await? else { return Ok(None) };
        match Frames::of(&bytes).next() {
            Some(frame) => Ok(Some(frame.read()?)),
            None => Ok(None),
        }
    }
}
