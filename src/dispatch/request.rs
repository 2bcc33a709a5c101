//! What is asked of the dispatcher.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::Settings;
use super::judge::{Judging, MAX_SHORTLIST};
use super::sticky::Sticky;

/// Candidates that are ranked if the caller does not say how many.
pub const DEFAULT_TOP_K: usize = 5;

/// How many bytes of a request are read to pick an agent, and kept of it, so that time and room stay bounded.
pub(super) const MAX_INPUT_BYTES: usize = 20_000;

/// The part of a request that is read: of a longer one its beginning and its end, for what is wanted stands before or
/// behind what was pasted.
pub(super) fn part_that_is_read(input: &str) -> Cow<'_, str> {
    if input.len() <= MAX_INPUT_BYTES {
        return Cow::Borrowed(input);
    }
    let half = (MAX_INPUT_BYTES - 1) / 2;
    let begins = &input[..input.floor_char_boundary(half)];
    let ends = &input[input.ceil_char_boundary(input.len() - half)..];
    Cow::Owned([begins, ends].join("\n"))
}

/// A request for an agent.
#[derive(Debug, Clone, Default)]
pub struct DispatchRequest {
    /// What is asked for, in the caller's words.
    pub input: String,
    /// The agent, if the caller knows it.
    pub agent: Option<String>,
    pub candidates: Candidates,
    /// The only agents that the caller's key permits; `None` means all.
    pub permitted: Option<Vec<String>>,
    pub top_k: Option<usize>,
    pub judging: Judging,
    /// Whether the default agent stands in where none fits, whatever `on_none` says.
    pub falls_to_default: bool,
    /// Whether the conversation goes on after an answer. `input` is what it began with.
    pub is_under_way: bool,
    /// What was asked behind the first answers, in order: the agent is picked on the first of them that is anybody's if
    /// the beginning is nobody's, as a greeting is.
    pub later: VecDeque<String>,
    /// The agent that waits for results of tools which the request brings, if nothing is stored of the conversation.
    pub waiting_agent: Option<String>,
    /// The stored conversation that the request belongs to.
    pub sticky: Option<Sticky>,
    /// Agents that are not picked because they lack a tool server. The dispatcher fills it.
    pub unfit: Arc<HashSet<String>>,
}

impl DispatchRequest {
    /// The agent that has the stored conversation, and that conversation.
    pub(super) fn holder(&self) -> Option<(&Sticky, &str)> {
        let sticky = self.sticky.as_ref()?;
        Some((sticky, sticky.agent.as_deref()?))
    }

    /// How many candidates the decision names.
    pub(super) fn top_k(&self) -> usize {
        self.top_k.unwrap_or(DEFAULT_TOP_K)
    }

    /// How many candidates are ranked, so that the judge has its shortlist.
    pub(super) fn ranked_count(&self, settings: &Settings) -> usize {
        let has_judge = settings.judge.is_some() && self.judging != Judging::Never;
        if has_judge { self.top_k().max(MAX_SHORTLIST) } else { self.top_k() }
    }
}

/// Narrows the roster. An empty list narrows nothing.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    pub names: Vec<String>,
    /// An agent with any of them stays.
    pub labels: Vec<String>,
    pub exclude: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::{MAX_INPUT_BYTES, part_that_is_read};

    #[test]
    fn of_a_long_request_its_beginning_and_its_end_are_read() {
        assert_eq!(part_that_is_read("Review my diff"), "Review my diff");
        let log = "ä".repeat(MAX_INPUT_BYTES);
        for request in [format!("Why? {log}"), format!("{log} Why?")] {
            let read = part_that_is_read(&request);
            assert!(read.len() <= MAX_INPUT_BYTES && read.contains("Why?"));
            assert_eq!(part_that_is_read(&read), read);
        }
    }
}
