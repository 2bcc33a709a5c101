//! How what is in the buffer comes into the files: by whoever waits for it, or by a thread.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::{Buffer, SEGMENT_BYTES, Segment, Shared};

/// How long a disk that refuses is left alone.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// A disk that takes longer for a write is one for the thread: it writes to memory otherwise.
const QUICK: Duration = Duration::from_millis(5);

/// A buffer that has grown larger is given back.
const KEPT_BUFFER_BYTES: usize = 1024 * 1024;

pub(super) fn start(shared: Arc<Shared>) -> io::Result<()> {
    std::thread::Builder::new().name("journal".to_owned()).spawn(move || run(&shared))?;
    Ok(())
}

impl Shared {
    /// Has what is in the buffer written: at once if the disk is quick and the present segment is not long enough.
    pub(super) fn hurry(&self) {
        let mut buffer = self.buffer();
        if buffer.bytes.is_empty() {
            return;
        }
        buffer.is_wanted = true;
        if buffer.is_writing {
            // Whoever writes looks again.
            return;
        }
        let is_for_thread = self.is_slow.load(Ordering::Relaxed)
            || buffer.wants_new_segment
            || buffer.is_closed
            || self.segment_length() >= SEGMENT_BYTES;
        if is_for_thread {
            drop(buffer);
            self.filled.notify_one();
            return;
        }
        let mut bytes = begin(&mut buffer, Vec::new());
        drop(buffer);
        let result = write(self, &bytes);
        let mut buffer = self.buffer();
        buffer.is_writing = false;
        match result {
            Ok(()) if buffer.bytes.is_empty() => buffer.bytes = emptied(bytes),
            Ok(()) => {}
            // The thread tries again, and tells of it.
            Err(_) => {
                bytes.append(&mut buffer.bytes);
                buffer.bytes = bytes;
                buffer.is_wanted = true;
            }
        }
        let is_anything_left = buffer.has_work();
        drop(buffer);
        if is_anything_left {
            self.filled.notify_one();
        }
    }

    fn segment_length(&self) -> u64 {
        let end = *self.written.borrow();
        end - self.segment_at(end).expect("there always is one").start
    }
}

impl Buffer {
    fn has_work(&self) -> bool {
        self.is_wanted || self.wants_new_segment || self.is_closed
    }
}

/// Takes out what is to be written.
fn begin(buffer: &mut Buffer, spare: Vec<u8>) -> Vec<u8> {
    (buffer.is_wanted, buffer.is_writing) = (false, true);
    std::mem::replace(&mut buffer.bytes, spare)
}

fn emptied(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.clear();
    bytes.shrink_to(KEPT_BUFFER_BYTES);
    bytes
}

/// Writes what others leave, until the journal is closed and all of it is written.
fn run(shared: &Shared) {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = shared.buffer();
        while buffer.is_writing || !buffer.has_work() {
            buffer = shared.filled.wait(buffer).unwrap_or_else(PoisonError::into_inner);
        }
        if buffer.is_closed && buffer.bytes.is_empty() {
            return;
        }
        let wants_new_segment = std::mem::take(&mut buffer.wants_new_segment);
        bytes = begin(&mut buffer, emptied(bytes));
        drop(buffer);
        insist(shared, || write(shared, &bytes));
        if let Err(error) = turn_over(shared, wants_new_segment) {
            tracing::warn!(%error, "failed to begin another part of the journal: the present one grows");
        }
        shared.buffer().is_writing = false;
    }
}

/// Does it again until it succeeds, or nobody wants it any more.
fn insist(shared: &Shared, action: impl Fn() -> io::Result<()>) {
    while let Err(error) = action() {
        if !shared.is_failing.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the journal cannot be written: nothing new is taken until it can");
            // Whoever need not wait for it learns of it.
            shared.written.send_modify(|_| {});
        }
        if shared.buffer().is_closed {
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "the thread is the journal's own")]
        std::thread::sleep(RETRY_PAUSE);
    }
    if shared.is_failing.swap(false, Ordering::Relaxed) {
        tracing::info!("the journal can be written again");
    }
}

fn write(shared: &Shared, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let began = Instant::now();
    let position = *shared.written.borrow();
    let segment = shared.segment_at(position).expect("there always is one");
    segment.write(position, bytes)?;
    shared.is_slow.store(began.elapsed() > QUICK, Ordering::Relaxed);
    shared.written.send_replace(position + bytes.len() as u64);
    Ok(())
}

/// Begins a new segment behind one that is long enough, or that is asked to be over.
fn turn_over(shared: &Shared, is_wanted: bool) -> io::Result<()> {
    let length = shared.segment_length();
    if length == 0 || (length < SEGMENT_BYTES && !is_wanted) {
        return Ok(());
    }
    let end = *shared.written.borrow();
    let next = Segment::create(&shared.folder.path, end)?;
    shared.segments().insert(end, Arc::new(next));
    shared.remove_segments();
    Ok(())
}
