//! A journal of records on disk: what is in it outlives the process. It is also the queue of what PostgreSQL has not
//! taken yet, so that this need not be held in memory.
//!
//! Records are written once somebody waits for one of them, together with all that have come meanwhile. Whoever waits
//! writes them, which costs no change of threads; where the disk was not quick the last time, a thread of the journal's own
//! does. So a disk that hangs holds up those who wait for it, and one thread besides.

mod folder;
mod frame;
mod segment;
#[cfg(test)]
mod tests;
mod writing;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use uuid::Uuid;

#[cfg(test)]
pub(in crate::ledger) use folder::FORMAT;
pub use folder::Folder;
pub use frame::{Frame, Frames, Kind, Label};
pub use segment::Segment;

/// As much is written although nobody waits for it.
const WAITING_BYTES: usize = 256 * 1024;

/// A segment that has become this long is followed by another one.
const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub position: u64,
    pub length: usize,
}

impl Place {
    pub fn end(self) -> u64 {
        self.position + self.length as u64
    }
}

/// The journal of this instance.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: Folder,
    limit_bytes: u64,
    buffer: Mutex<Buffer>,
    /// Wakes the thread.
    filled: Condvar,
    /// Up to where all is in the files.
    written: watch::Sender<u64>,
    /// By where they begin; there always is one.
    segments: Mutex<BTreeMap<u64, Arc<Segment>>>,
    synced: AtomicU64,
    /// Up to where nothing is needed.
    let_go: AtomicU64,
    /// Whether the disk refuses what is written.
    is_failing: AtomicBool,
    /// Whether the disk took its time for the last write.
    is_slow: AtomicBool,
}

/// What is on its way to the files.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "any of them may be, whatever the others are")]
struct Buffer {
    bytes: Vec<u8>,
    /// Where in the journal the next record will stand.
    end: u64,
    /// Whether anybody waits for it.
    is_wanted: bool,
    /// Whether what was in it before is being written.
    is_writing: bool,
    wants_new_segment: bool,
    is_closed: bool,
}

impl Journal {
    /// Begins the journal of an instance in a folder of its own below `root`.
    pub fn create(root: &Path, instance_id: Uuid, limit_bytes: u64) -> io::Result<Self> {
        let folder = Folder::create(root, instance_id)?;
        let first = Arc::new(Segment::create(&folder.path, 0)?);
        let shared = Arc::new(Shared {
            folder,
            limit_bytes,
            buffer: Mutex::default(),
            filled: Condvar::new(),
            written: watch::Sender::new(0),
            segments: Mutex::new(BTreeMap::from([(0, first)])),
            synced: AtomicU64::new(0),
            let_go: AtomicU64::new(0),
            is_failing: AtomicBool::new(false),
            is_slow: AtomicBool::new(false),
        });
        writing::start(Arc::clone(&shared))?;
        Ok(Self { shared })
    }

    /// Puts a frame behind the others. It goes to the files with those that somebody waits for, or that are many.
    pub fn append(&self, frame: &[u8]) -> Place {
        let mut buffer = self.shared.buffer();
        let place = Place { position: buffer.end, length: frame.len() };
        buffer.bytes.extend_from_slice(frame);
        buffer.end = place.end();
        if buffer.bytes.len() >= WAITING_BYTES {
            // For the thread: whoever appends waits for nothing, and may hold what others want.
            buffer.is_wanted = true;
            self.shared.filled.notify_one();
        }
        place
    }

    /// Waits until the files hold all up to this position.
    pub async fn written(&self, position: u64) {
        self.shared.hurry();
        let mut written = self.shared.written.subscribe();
        // The sender is ours: it is not dropped meanwhile.
        let _ = written.wait_for(|written| *written >= position).await;
    }

    /// The same, unless the disk refuses meanwhile: false then.
    pub async fn is_written(&self, position: u64) -> bool {
        self.shared.hurry();
        let mut written = self.shared.written.subscribe();
        let is_over = |written: &u64| *written >= position || self.is_failing();
        written.wait_for(is_over).await.is_ok_and(|written| *written >= position)
    }

    /// Up to where the files hold all.
    pub fn written_end(&self) -> u64 {
        *self.shared.written.borrow()
    }

    /// Where the next record will stand.
    pub fn end(&self) -> u64 {
        self.shared.buffer().end
    }

    /// Reads whole records from a position on, about as many bytes as given, and one record at least if there is one.
    pub async fn read_from(&self, position: u64, about: usize) -> io::Result<Vec<u8>> {
        let written = self.written_end();
        let end = self.shared.end_of_segment(position).unwrap_or(written).min(written);
        let left = usize::try_from(end - position).map_err(io::Error::other)?;
        let mut length = left.min(about);
        loop {
            let bytes = self.read(Place { position, length }).await?.unwrap_or_default();
            if length == left || Frames::of(&bytes).next().is_some() {
                return Ok(bytes);
            }
            length = left.min(length * 2);
        }
    }

    /// Reads what is in the files; `None` if it has been let go.
    pub async fn read(&self, place: Place) -> io::Result<Option<Vec<u8>>> {
        let Some(segment) = self.shared.segment_at(place.position) else { return Ok(None) };
        tokio::task::spawn_blocking(move || segment.read(place.position, place.length))
            .await
            .map_err(io::Error::other)?
            .map(Some)
    }

    /// What stands before this position is not needed any more.
    pub fn let_go(&self, position: u64) {
        self.shared.let_go.store(position, Ordering::Release);
        self.shared.remove_segments();
        if !self.has_room() {
            // What is left of it may be in the present segment.
            self.turn_over();
        }
    }

    /// Begins a new segment if there is anything in the present one, so that this can be let go.
    pub fn turn_over(&self) {
        self.shared.buffer().wants_new_segment = true;
        self.shared.filled.notify_one();
    }

    /// Sees to it that what is in the files outlives the machine's power.
    pub async fn sync(&self) {
        let shared = Arc::clone(&self.shared);
        let synced = tokio::task::spawn_blocking(move || shared.sync()).await;
        if let Ok(Err(error)) = synced {
            tracing::warn!(%error, "failed to sync the journal");
        }
    }

    /// How much of the disk it has.
    pub fn size_bytes(&self) -> u64 {
        let start = self.shared.segments().keys().next().copied().unwrap_or(0);
        self.end() - start
    }

    /// How much of the disk it may have.
    pub fn limit_bytes(&self) -> u64 {
        self.shared.limit_bytes
    }

    /// Whether there is room for what would be new.
    pub fn has_room(&self) -> bool {
        !self.is_failing() && self.size_bytes() < self.shared.limit_bytes
    }

    /// Whether the disk refuses what is written.
    pub fn is_failing(&self) -> bool {
        self.shared.is_failing.load(Ordering::Relaxed)
    }

    /// Removes all of it.
    pub fn remove(&self) -> io::Result<()> {
        self.shared.folder.remove()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.buffer().is_closed = true;
        self.shared.filled.notify_one();
    }
}

impl Shared {
    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn segments(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Segment>>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn segment_at(&self, position: u64) -> Option<Arc<Segment>> {
        self.segments().range(..=position).next_back().map(|(_, segment)| Arc::clone(segment))
    }

    /// Where the segment of a position ends, if another one follows.
    fn end_of_segment(&self, position: u64) -> Option<u64> {
        self.segments().range(position + 1..).next().map(|(start, _)| *start)
    }

    /// Removes the segments of which nothing is needed, but for the last.
    fn remove_segments(&self) {
        let position = self.let_go.load(Ordering::Acquire);
        let mut segments = self.segments();
        while let Some(next) = segments.keys().nth(1).copied()
            && next <= position
            && let Some((_, segment)) = segments.pop_first()
        {
            if let Err(error) = segment.remove() {
                tracing::warn!(%error, "failed to remove a part of the journal");
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        let (written, synced) = (*self.written.borrow(), self.synced.load(Ordering::Acquire));
        if written == synced {
            return Ok(());
        }
        let first = self.segment_at(synced).map_or(0, |segment| segment.start);
        let segments: Vec<_> = self.segments().range(first..).map(|(_, one)| one.clone()).collect();
        for segment in segments {
            segment.sync()?;
        }
        // The names of new segments.
        std::fs::File::open(&self.folder.path)?.sync_all()?;
        self.synced.store(written, Ordering::Release);
        Ok(())
    }
}
