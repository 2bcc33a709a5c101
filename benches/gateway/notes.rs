//! What has to be known to read the figures.

const NOTES: &str = "
- The service asks providers for streams always, also where the caller gets one piece (ADR 8). The proxy passes the
  caller's wish on, so that its provider answers in one piece there.
- CPU is user and system time of all threads of one process, as the kernel accounts it.
- Instructions are shown where `perf` counts them, user and kernel; many virtual machines do not let it.
- Paced streams have a chunk a millisecond, so that each is read and written by itself, as those of models are.
- The proxy does nothing but pass bytes on: no key, no limits, no record, no agent.";

pub(crate) fn print() {
    println!("{NOTES}");
}
