//! Gives memory back to the system after many runs at once.
//!
//! glibc keeps what was freed between what is in use, for ever: a burst that has passed would count as memory of the
//! process until its end. Other allocators do not need this and were measured not to be better.

use std::time::Duration;

use crate::conversation::Conversations;
use crate::telemetry::process;

/// How often it is looked whether there is anything to give back.
const INTERVAL: Duration = Duration::from_secs(5);

/// Growth that is not worth the work: this part of the memory, and this much besides.
const TOLERATED_PART: u64 = 16;
const TOLERATED_BYTES: u64 = 2 * 1024 * 1024;

/// Looks after the memory of the process, without end.
pub(super) async fn give_back(conversations: Conversations) {
    let mut interval = tokio::time::interval(INTERVAL);
    // What the process holds when there is nothing to give back.
    let Some(mut needed_bytes) = resident_bytes() else { return };
    let mut most_runs = 0;
    loop {
        interval.tick().await;
        let runs = conversations.count_live();
        most_runs = most_runs.max(runs);
        let bytes = resident_bytes().unwrap_or(0);
        let tolerated = needed_bytes + needed_bytes / TOLERATED_PART + TOLERATED_BYTES;
        // What many runs need now they should not have to ask for again.
        if bytes <= tolerated || runs > most_runs / 2 {
            continue;
        }
        // The allocator's locks are held meanwhile.
        if tokio::task::spawn_blocking(trim).await.is_err() {
            return;
        }
        let left = resident_bytes().unwrap_or(bytes);
        // What is left may be in use for a moment only: it has to be found again and again to be believed.
        needed_bytes = left.min(needed_bytes.midpoint(left));
        most_runs = runs;
        tracing::debug!(before.bytes = bytes, after.bytes = left, "memory given back");
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    #[expect(unsafe_code, reason = "the standard library has no name for it")]
    // SAFETY: it takes no pointer, and may be called by any thread at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

/// `None` where the system does not tell, or where there is nothing to be done about it.
fn resident_bytes() -> Option<u64> {
    if cfg!(not(all(target_os = "linux", target_env = "gnu"))) {
        return None;
    }
    process::resident_bytes()
}
