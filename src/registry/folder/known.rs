//! What is known of files beforehand, so that those that have not changed are not parsed again, or not even read.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::definition::{AgentName, Diagnostic};

/// What bytes at a place were found to be.
#[derive(Debug, Clone)]
pub(in crate::registry) struct KnownOutcome {
    pub sha256: String,
    pub agent: AgentName,
    pub diagnostics: Arc<[Diagnostic]>,
}

/// What is known, by place.
#[derive(Debug, Default)]
pub struct KnownOutcomes {
    by_place: HashMap<String, KnownOutcome>,
    stamps: HashMap<String, Stamp>,
}

impl KnownOutcomes {
    pub(in crate::registry) fn new(
        by_place: HashMap<String, KnownOutcome>,
        stamps: HashMap<String, Stamp>,
    ) -> Self {
        Self { by_place, stamps }
    }

    /// What these bytes are known to be.
    pub(super) fn find(&self, place: &str, sha256: &str) -> Option<&KnownOutcome> {
        self.by_place.get(place).filter(|known| known.sha256 == sha256)
    }

    /// What a file is known to be that nobody has written to since it was read.
    pub(super) fn find_untouched(&self, path: &str, metadata: &Metadata) -> Option<&KnownOutcome> {
        let stamp = self.stamps.get(path)?;
        (*stamp == Stamp::of(metadata)).then(|| self.by_place.get(path)).flatten()
    }
}

/// What of a file's metadata changes with every write to it, and cannot be set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registry) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// File systems count time in steps of up to two seconds.
const COARSEST_CLOCK: Duration = Duration::from_secs(2);

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// The stamp of a file that is about to be read. `None` if it was written to so lately that another write might
    /// leave it as it is.
    pub(super) fn before_reading(metadata: &Metadata) -> Option<Self> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let changed = Duration::from_secs(u64::try_from(metadata.ctime()).ok()?);
        (now.checked_sub(changed)? > COARSEST_CLOCK).then(|| Self::of(metadata))
    }
}
