//! Following the agents folder: what changes there is live soon after, without anybody asking.

use std::time::{Duration, Instant};

use super::super::sync::{SyncOptions, SyncReport};
use super::super::{Registry, RegistryError};
use super::content::FolderContent;
use super::watch::FolderWatch;
use crate::audit::Author;
use crate::db::in_time;
use crate::telemetry::causes;

/// How often the folder is looked at though nothing was noticed: not every file system tells of changes, and what
/// links point to elsewhere is not watched.
const RESCAN_INTERVAL: Duration = Duration::from_secs(30);

/// A sync that takes longer has lost its database: thousands of agents take seconds.
const LONGEST_SYNC: Duration = Duration::from_mins(5);

/// How soon a failure, of the database most likely, is made up for.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

impl Registry {
    /// Takes over whatever changes in the agents folder, for ever.
    pub async fn follow_folder(&self) {
        let mut watch = FolderWatch::new(self.inner.settings.agents_dir.clone());
        let mut is_known_to_fail = false;
        loop {
            let started = Instant::now();
            watch.arm().await;
            let taken_over = self.take_over_folder("agents folder");
            let taken_over = in_time(LONGEST_SYNC, taken_over).await;
            if let Err(error) = &taken_over
                && !is_known_to_fail
            {
                tracing::warn!(
                    error = causes(error),
                    "failed to take over the agents folder; it is tried again"
                );
            }
            is_known_to_fail = taken_over.is_err();
            // However large and busy the folder, half of the time at most goes into reading it.
            tokio::time::sleep(started.elapsed().min(RETRY_INTERVAL)).await;
            watch.wait(if is_known_to_fail { RETRY_INTERVAL } else { RESCAN_INTERVAL }).await;
        }
    }

    /// Syncs, without pruning, if the agents folder holds something else than this process last found there. What
    /// is live does not matter: an instance whose folder is older does not undo what another has taken over.
    pub async fn take_over_folder(
        &self,
        author: &str,
    ) -> Result<Option<SyncReport>, RegistryError> {
        let mut last_seen = self.inner.last_seen.lock().await;
        // A folder that is being replaced is away for a moment.
        let agents_dir = &self.inner.settings.agents_dir;
        if last_seen.is_some() && matches!(tokio::fs::try_exists(agents_dir).await, Ok(false)) {
            return Ok(None);
        }
        let started = Instant::now();
        let files = self.scan_changed(last_seen.as_ref()).await?;
        let content = FolderContent::of(&files);
        tracing::debug!(
            files = files.len(),
            elapsed_ms = started.elapsed().as_millis(),
            "agents folder read"
        );
        if last_seen.as_ref().is_some_and(|before| before.is_same(&content)) {
            *last_seen = Some(content);
            return Ok(None);
        }
        let options =
            SyncOptions { is_dry_run: false, prunes: false, author: Author::without_key(author) };
        let report = self.apply(files, &options).await?;
        log_quarantined(&report, &last_seen.take().unwrap_or_default(), &content);
        *last_seen = Some(content);
        Ok(Some(report))
    }
}

/// One line for each file that has gone bad, or that is bad in another way.
fn log_quarantined(report: &SyncReport, before: &FolderContent, now: &FolderContent) {
    for file in report.quarantined().filter(|file| !now.is_same_at(&file.path, before)) {
        let cause = file.diagnostics.first().map(|first| first.message.as_str());
        tracing::warn!(file = %file.path, cause, "file quarantined");
    }
}
