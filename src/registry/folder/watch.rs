//! Notices that something in the agents folder may have changed. What has changed is for a scan to find.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use super::places::Places;

/// How long the folder must be quiet before it is looked at: files are written in several steps.
const QUIET: Duration = Duration::from_millis(200);

/// How long a folder that does not become quiet is waited for.
const LONGEST_UNREST: Duration = Duration::from_millis(500);

/// How often the places are looked up again if they change while watches are put on them.
const MAX_ATTEMPTS: usize = 5;

#[derive(Debug)]
pub(super) struct FolderWatch {
    root: PathBuf,
    changed: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
    is_known_to_fail: bool,
}

impl FolderWatch {
    pub fn new(root: PathBuf) -> Self {
        Self { root, changed: Arc::default(), watcher: None, is_known_to_fail: false }
    }

    /// Watches the folder as it is now, whatever was watched before. A scan after it misses nothing.
    pub async fn arm(&mut self) {
        let (root, changed) = (self.root.clone(), Arc::clone(&self.changed));
        let before = self.watcher.take();
        let armed = tokio::task::spawn_blocking(move || {
            drop(before);
            arm(&root, &changed)
        });
        // A watcher panics if it cannot have a thread.
        let Armed { watcher, failure } = armed.await.unwrap_or_else(|panic| Armed {
            failure: Some(notify::Error::generic(&panic.to_string())),
            ..Armed::default()
        });
        self.watcher = watcher;
        if let Some(error) = failure.as_ref().filter(|_| !self.is_known_to_fail) {
            tracing::warn!(
                folder = %self.root.display(),
                %error,
                "the agents folder cannot be watched, so changes are found by a look from time to time; if a \
                 limit is reached, raise fs.inotify.max_user_watches or fs.inotify.max_user_instances"
            );
        }
        self.is_known_to_fail = failure.is_some();
    }

    /// Waits until something has changed and the folder is quiet again, or until `patience` is over.
    pub async fn wait(&self, patience: Duration) {
        if timeout(patience, self.changed.notified()).await.is_err() {
            return;
        }
        let deadline = Instant::now() + LONGEST_UNREST;
        while Instant::now() < deadline {
            let quiet = deadline.min(Instant::now() + QUIET);
            if timeout_at(quiet, self.changed.notified()).await.is_err() {
                return;
            }
        }
    }
}

/// A watcher, if one can be had, and why it does not see everything.
#[derive(Default)]
struct Armed {
    watcher: Option<RecommendedWatcher>,
    failure: Option<notify::Error>,
}

fn arm(root: &Path, changed: &Arc<Notify>) -> Armed {
    let mut attempts = 0;
    loop {
        let places = Arc::new(Places::of(root));
        let armed = watch(&places, changed);
        attempts += 1;
        // A folder that has come before its parent was watched has no watch yet.
        if attempts == MAX_ATTEMPTS || Places::of(root) == *places {
            return armed;
        }
    }
}

fn watch(places: &Arc<Places>, changed: &Arc<Notify>) -> Armed {
    let (relevant, changed) = (Arc::clone(places), Arc::clone(changed));
    let handler = move |event: notify::Result<Event>| {
        if event.map_or(true, |event| is_change(&event, &relevant)) {
            changed.notify_one();
        }
    };
    let mut watcher = match notify::recommended_watcher(handler) {
        Ok(watcher) => watcher,
        Err(error) => return Armed { failure: Some(error), ..Armed::default() },
    };
    let mut failure = None;
    for folder in places.to_watch() {
        match watcher.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => {}
            // The folder that held it tells of it.
            Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => {}
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Armed { watcher: Some(watcher), failure }
}

/// Reading is no change: a scan would lead to the next one. An event without a path says that some were lost.
fn is_change(event: &Event, places: &Places) -> bool {
    let is_written = match event.kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    };
    is_written && (event.paths.is_empty() || event.paths.iter().any(|path| places.concern(path)))
}
