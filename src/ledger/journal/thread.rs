//! The thread that writes a journal's files.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::{SEGMENT_BYTES, Segment, Shared};

/// How long a disk that refuses is left alone.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// A buffer that has grown larger is given back.
const KEPT_BUFFER_BYTES: usize = 1024 * 1024;

pub(super) fn start(shared: Arc<Shared>) -> io::Result<()> {
    std::thread::Builder::new().name("journal".to_owned()).spawn(move || run(&shared))?;
    Ok(())
}

/// Writes until the journal is closed and all of it is written.
fn run(shared: &Shared) {
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        bytes.shrink_to(KEPT_BUFFER_BYTES);
        let mut buffer = shared.buffer();
        while buffer.bytes.is_empty() && !buffer.wants_new_segment && !buffer.is_closed {
            buffer = shared.filled.wait(buffer).unwrap_or_else(PoisonError::into_inner);
        }
        let is_over = buffer.is_closed && buffer.bytes.is_empty();
        let wants_new_segment = std::mem::take(&mut buffer.wants_new_segment);
        std::mem::swap(&mut bytes, &mut buffer.bytes);
        drop(buffer);
        if is_over {
            return;
        }
        insist(shared, || write(shared, &bytes));
        if let Err(error) = turn_over(shared, wants_new_segment) {
            tracing::warn!(%error, "failed to begin another part of the journal: the present one grows");
        }
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
    let position = *shared.written.borrow();
    let segment = shared.segment_at(position).expect("there always is one");
    segment.write(position, bytes)?;
    shared.written.send_replace(position + bytes.len() as u64);
    Ok(())
}

/// Begins a new segment behind one that is long enough, or that is asked to be over.
fn turn_over(shared: &Shared, is_wanted: bool) -> io::Result<()> {
    let end = *shared.written.borrow();
    let length = end - shared.segment_at(end).expect("there always is one").start;
    if length == 0 || (length < SEGMENT_BYTES && !is_wanted) {
        return Ok(());
    }
    let next = Segment::create(&shared.folder.path, end)?;
    shared.segments().insert(end, Arc::new(next));
    shared.remove_segments();
    Ok(())
}
