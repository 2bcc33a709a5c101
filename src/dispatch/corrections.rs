//! What callers said of decisions: an immutable snapshot, bounded, in order of arrival. Pure; what is stored is known
//! to `feedback`, what is learned from it to the stages.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::quality::FixedState;
use uuid::Uuid;

/// Corrections that are kept in mind of one agent, and of nobody. More of them say little that is new, and an agent
/// of many callers should not crowd out the others.
pub const MAX_OF_ONE: usize = 200;

/// Corrections that are kept in mind in all: a hundred agents with as many as they may have.
pub const MAX_IN_ALL: usize = 20_000;

/// Bytes of text that are kept in mind in all. Requests with a pasted file would fill the memory long before they are
/// too many.
pub const MAX_BYTES_IN_ALL: usize = 32 * 1024 * 1024;

/// What a caller said of one decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Correction {
    /// The decision's id. One decision has one correction: a later one replaces the earlier.
    pub id: Uuid,
    /// What was asked for.
    pub text: String,
    /// The right agent; `None`: it belongs to nobody.
    pub agent: Option<String>,
}

/// The newest corrections as of one revision. Those of agents that are gone are among them: an agent may come back.
#[derive(Debug, Default)]
pub struct Corrections {
    /// Grows with everything that is said or forgotten.
    pub revision: i64,
    all: Vec<Arc<Correction>>,
    by_agent: HashMap<String, Vec<Arc<Correction>>>,
    of_nobody: Vec<Arc<Correction>>,
    by_words: CorrectionsByWords,
}

/// The newest correction of each request, by the request's words.
#[derive(Debug, Clone, Default)]
pub struct CorrectionsByWords {
    by_key: Arc<HashMap<u64, Arc<Correction>>>,
}

impl CorrectionsByWords {
    /// The correction of a request of the same words: what is between them, and how they are written, does not count.
    pub fn find(&self, text: &str) -> Option<&Correction> {
        if self.by_key.is_empty() {
            return None;
        }
        self.by_key.get(&key_of_words(text)).map(Arc::as_ref)
    }
}

/// The same for requests of the same words, on every instance.
pub(super) fn key_of_words(text: &str) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    for word in text.split_whitespace() {
        hasher.write(word.to_lowercase().as_bytes());
        hasher.write_u8(b' ');
    }
    hasher.finish()
}

impl Corrections {
    /// Of corrections in order of arrival, the newest.
    pub fn new(
        revision: i64,
        corrections: impl IntoIterator<Item = Correction, IntoIter: DoubleEndedIterator>,
    ) -> Self {
        Self::of_newest(revision, corrections.into_iter().rev().map(Arc::new))
    }

    /// These and what was said since, in order of arrival.
    #[must_use]
    pub fn followed_by(
        &self,
        revision: i64,
        newer: impl IntoIterator<Item = Correction, IntoIter: DoubleEndedIterator>,
    ) -> Self {
        let newer = newer.into_iter().rev().map(Arc::new);
        Self::of_newest(revision, newer.chain(self.all.iter().rev().cloned()))
    }

    fn of_newest(revision: i64, newest_first: impl Iterator<Item = Arc<Correction>>) -> Self {
        let mut corrections = Self { revision, ..Self::default() };
        let (mut decisions, mut by_words, mut bytes) = (HashSet::new(), HashMap::new(), 0);
        for correction in newest_first {
            if !decisions.insert(correction.id) {
                continue;
            }
            let of_one = match &correction.agent {
                Some(agent) => corrections.by_agent.entry(agent.clone()).or_default(),
                None => &mut corrections.of_nobody,
            };
            if of_one.len() == MAX_OF_ONE {
                continue;
            }
            bytes += correction.text.len();
            if corrections.all.len() == MAX_IN_ALL || bytes > MAX_BYTES_IN_ALL {
                break;
            }
            of_one.push(Arc::clone(&correction));
            by_words.entry(key_of_words(&correction.text)).or_insert_with(|| correction.clone());
            corrections.all.push(correction);
        }
        corrections.by_words = CorrectionsByWords { by_key: Arc::new(by_words) };
        corrections.all.reverse();
        corrections.of_nobody.reverse();
        corrections.by_agent.retain(|_, of_one| !of_one.is_empty());
        corrections.by_agent.values_mut().for_each(|of_one| of_one.reverse());
        corrections
    }

    /// Those that say it was this agent's, in order of arrival.
    pub fn of_agent(&self, name: &str) -> &[Arc<Correction>] {
        self.by_agent.get(name).map_or(&[], Vec::as_slice)
    }

    /// Those that say it was nobody's, in order of arrival.
    pub fn of_nobody(&self) -> &[Arc<Correction>] {
        &self.of_nobody
    }

    pub fn by_words(&self) -> &CorrectionsByWords {
        &self.by_words
    }

    /// All of them, in order of arrival.
    pub fn all(&self) -> &[Arc<Correction>] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::{Correction, Corrections, MAX_BYTES_IN_ALL, MAX_IN_ALL, MAX_OF_ONE};

    fn correction(number: usize, agent: Option<&str>) -> Correction {
        Correction {
            id: Uuid::from_u128(number as u128),
            text: number.to_string(),
            agent: agent.map(str::to_owned),
        }
    }

    fn texts(corrections: &[Arc<Correction>]) -> Vec<&str> {
        corrections.iter().map(|correction| correction.text.as_str()).collect()
    }

    #[test]
    fn they_are_found_by_agent_in_order_of_arrival() {
        let first = Corrections::new(2, [correction(1, Some("a")), correction(2, None)]);
        let corrections =
            first.followed_by(4, [correction(3, Some("b")), correction(4, Some("a"))]);
        assert_eq!(corrections.revision, 4);
        assert_eq!(texts(corrections.all()), ["1", "2", "3", "4"]);
        assert_eq!(texts(corrections.of_agent("a")), ["1", "4"]);
        assert_eq!(texts(corrections.of_agent("b")), ["3"]);
        assert_eq!(texts(corrections.of_nobody()), ["2"]);
        assert!(corrections.of_agent("c").is_empty());
        assert_eq!((Corrections::default().revision, Corrections::default().all().len()), (0, 0));
    }

    #[test]
    fn a_later_one_of_the_same_decision_replaces_the_earlier() {
        let first = Corrections::new(2, [correction(1, Some("a")), correction(2, Some("a"))]);
        let corrections = first.followed_by(3, [correction(1, None)]);
        assert_eq!(texts(corrections.all()), ["2", "1"]);
        assert_eq!(texts(corrections.of_agent("a")), ["2"]);
        assert_eq!(texts(corrections.of_nobody()), ["1"]);
        // Reading one twice changes nothing.
        let again = corrections.followed_by(3, [correction(1, None)]);
        assert_eq!(again.all(), corrections.all());
    }

    #[test]
    fn the_newest_of_the_same_words_is_found() {
        let said = |number, text: &str, agent| Correction {
            text: text.to_owned(),
            ..correction(number, agent)
        };
        let corrections = Corrections::new(
            3,
            [said(1, "Review  my diff", Some("a")), said(2, "review my\nDIFF ", None)],
        );
        let found = |text| corrections.by_words().find(text).map(|found| found.id);
        assert_eq!(found("review my diff"), Some(Uuid::from_u128(2)));
        assert_eq!(found("review mydiff"), None);
        assert_eq!(Corrections::default().by_words().find(""), None);
    }

    #[test]
    fn the_oldest_of_an_agent_make_room() {
        let first = Corrections::new(1, [correction(0, Some("b"))]);
        let of_one = (1..=MAX_OF_ONE + 3).map(|number| correction(number, Some("a")));
        let corrections = first.followed_by(2, of_one);
        assert_eq!(corrections.of_agent("a").len(), MAX_OF_ONE);
        assert_eq!(corrections.of_agent("a")[0].text, "4");
        assert_eq!(corrections.of_agent("b").len(), 1);
        assert_eq!(corrections.all().len(), MAX_OF_ONE + 1);
    }

    #[test]
    fn the_oldest_of_all_make_room() {
        let agents = MAX_IN_ALL / MAX_OF_ONE + 1;
        let many = (0..MAX_IN_ALL + 5)
            .map(|number| correction(number, Some(&format!("agent-{}", number % agents))));
        let many = Corrections::new(1, many.collect::<Vec<_>>());
        assert_eq!((many.all().len(), many.all()[0].text.as_str()), (MAX_IN_ALL, "5"));
        let long = |number| Correction {
            text: "x".repeat(MAX_BYTES_IN_ALL / 10),
            ..correction(number, Some("a"))
        };
        let long = Corrections::new(1, (0..12).map(long));
        assert_eq!((long.all().len(), long.all()[0].id), (10, Uuid::from_u128(2)));
    }
}
