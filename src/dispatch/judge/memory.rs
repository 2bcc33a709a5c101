//! What the judge has said of the beginnings of conversations, so that their later messages stay with it.
//!
//! A caller who sends the whole conversation each time has no id that the agent could be kept under: its beginning
//! stands for it. The memory is this process's own, and bounded.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::mem;
use std::sync::{Mutex, PoisonError};

use foldhash::quality::RandomState;

use crate::dispatch::{Candidates, DispatchRequest};

/// What the judge said. Agents are remembered by name: a later revision goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Agent(String),
    NoAgent,
}

/// Half of the beginnings that are remembered at most.
const GENERATION: usize = 5_000;

/// Verdicts by beginning. What is not asked for while a generation fills is forgotten with the one before.
#[derive(Debug, Default)]
pub(super) struct Memory {
    hasher: RandomState,
    verdicts: Mutex<Verdicts>,
}

#[derive(Debug, Default)]
struct Verdicts {
    young: HashMap<u64, Said>,
    old: HashMap<u64, Said>,
}

impl Memory {
    pub fn keep(&self, request: &DispatchRequest, said: Said) {
        let beginning = self.beginning(request);
        self.with(|verdicts| verdicts.insert(beginning, said));
    }

    pub fn find(&self, request: &DispatchRequest) -> Option<Said> {
        let beginning = self.beginning(request);
        self.with(|verdicts| {
            if let Some(found) = verdicts.young.get(&beginning) {
                return Some(found.clone());
            }
            let found = verdicts.old.remove(&beginning)?;
            verdicts.insert(beginning, found.clone());
            Some(found)
        })
    }

    /// The request, and who might have answered it.
    fn beginning(&self, request: &DispatchRequest) -> u64 {
        let Candidates { names, labels, exclude } = &request.candidates;
        self.hasher.hash_one((&request.input, names, labels, exclude, &request.permitted))
    }

    fn with<T>(&self, access: impl FnOnce(&mut Verdicts) -> T) -> T {
        access(&mut self.verdicts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Verdicts {
    fn insert(&mut self, beginning: u64, said: Said) {
        if self.young.len() >= GENERATION && !self.young.contains_key(&beginning) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(beginning, said);
    }
}

#[cfg(test)]
mod tests {
    use super::{GENERATION, Memory, Said};
    use crate::dispatch::DispatchRequest;

    fn request(input: &str) -> DispatchRequest {
        DispatchRequest { input: input.to_string(), ..DispatchRequest::default() }
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_forgotten() {
        let memory = Memory::default();
        let said = Said::Agent("a".to_owned());
        memory.keep(&request("asked for"), said.clone());
        memory.keep(&request("left alone"), Said::NoAgent);
        assert_eq!(memory.find(&request("left alone")), Some(Said::NoAgent));
        for number in 0..GENERATION * 3 {
            memory.keep(&request(&number.to_string()), Said::NoAgent);
            if number % (GENERATION / 2) == 0 {
                assert_eq!(memory.find(&request("asked for")), Some(said.clone()));
            }
        }
        assert_eq!(memory.find(&request("left alone")), None);
        memory.with(|verdicts| {
            assert!(verdicts.young.len() + verdicts.old.len() <= 2 * GENERATION);
        });
    }
}
