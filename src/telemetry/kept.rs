//! Handles of metrics, kept by the values of their labels.
//!
//! The recorder finds a handle by a key of owned texts, which takes a dozen allocations each time. Labels are few, so that
//! what is kept is bounded as the recorder itself is.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use ::metrics::{Counter, Histogram};
use foldhash::quality::FixedState;

/// The handles of one metric, or of several with the same labels.
pub(super) struct Kept<H> {
    /// By the hash of the values. Those that share one follow each other.
    handles: RwLock<HashMap<u64, Vec<Entry<H>>, FixedState>>,
}

struct Entry<H> {
    values: Box<[String]>,
    handle: H,
}

impl<H: Clone> Kept<H> {
    pub const fn new() -> Self {
        Self { handles: RwLock::new(HashMap::with_hasher(FixedState::with_seed(0))) }
    }

    /// The handle with these values of its labels; `make` makes it when it is asked for first.
    pub fn get<const N: usize>(&self, values: [&str; N], make: impl FnOnce([String; N]) -> H) -> H {
        let hash = FixedState::with_seed(0).hash_one(values);
        let handles = self.handles.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = find(handles.get(&hash), &values) {
            return handle.clone();
        }
        drop(handles);
        let handle = make(values.map(str::to_owned));
        let entry = Entry { values: values.map(str::to_owned).into(), handle: handle.clone() };
        let mut handles = self.handles.write().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have been first, with a handle of the same figure.
        if find(handles.get(&hash), &values).is_none() {
            handles.entry(hash).or_default().push(entry);
        }
        handle
    }
}

impl Kept<(Counter, Histogram)> {
    /// Counts one of what has these labels, and how long it took.
    pub fn count<const N: usize>(
        &self,
        values: [&str; N],
        took: Duration,
        make: impl FnOnce([String; N]) -> (Counter, Histogram),
    ) {
        let (count, duration) = self.get(values, make);
        count.increment(1);
        duration.record(took);
    }
}

fn find<'a, H>(entries: Option<&'a Vec<Entry<H>>>, values: &[&str]) -> Option<&'a H> {
    let entry = entries?.iter().find(|entry| entry.values.iter().eq(values));
    entry.map(|entry| &entry.handle)
}

#[cfg(test)]
mod tests {
    use super::Kept;

    #[test]
    fn each_combination_of_values_has_one_handle() {
        let kept = Kept::new();
        let get = |values: [&str; 2], made: usize| kept.get(values, |_| made);
        assert_eq!(get(["a", "bc"], 1), 1);
        assert_eq!(get(["ab", "c"], 2), 2, "values are told apart");
        assert_eq!(get(["a", "bc"], 3), 1, "it is kept");
    }
}
