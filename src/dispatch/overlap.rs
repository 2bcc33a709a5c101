//! Agents whose descriptions nearly coincide: no request tells the one from the other.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::definition::{AgentName, Diagnostic};
use crate::registry::{Agent, FileReport, Roster};

/// Share of the words of two descriptions that both have, from which on they coincide.
const THRESHOLD_PERCENT: usize = 80;

/// Shorter descriptions have too few words to be compared.
const MIN_WORDS: usize = 4;

/// Every agent whose description nearly coincides with another's, with what there is to say about it.
pub fn find_overlaps(roster: &Roster) -> BTreeMap<AgentName, Diagnostic> {
    let agents: Vec<&Arc<Agent>> = roster.live().collect();
    let described = Described::new(&agents);
    // Two sets that share enough words share one of the rarest of each, so only those are looked up.
    let mut by_word: HashMap<u32, Vec<usize>> = HashMap::new();
    let mut overlaps = BTreeMap::new();
    for (number, words) in described.words.iter().enumerate() {
        if words.len() < MIN_WORDS {
            continue;
        }
        let rarest = &words[..=words.len() - needed(words.len())];
        let mut others: Vec<usize> =
            rarest.iter().filter_map(|word| by_word.get(word)).flatten().copied().collect();
        others.sort_unstable();
        others.dedup();
        let twin = others.into_iter().find(|other| coincide(words, &described.words[*other]));
        if let Some(twin) = twin {
            for (one, other) in [(number, twin), (twin, number)] {
                let name = agents[one].name().clone();
                overlaps.entry(name).or_insert_with(|| diagnostic(agents[other].name()));
            }
        }
        for word in rarest {
            by_word.entry(*word).or_default().push(number);
        }
    }
    overlaps
}

/// Adds what there is to say to the reports of the agents' files.
pub fn add(files: &mut [FileReport], mut overlaps: BTreeMap<AgentName, Diagnostic>) {
    for file in files.iter_mut().filter(|file| file.is_loaded()) {
        let overlap = file.agent.as_deref().and_then(|agent| overlaps.remove(agent));
        if let Some(overlap) = overlap {
            file.add(overlap);
        }
    }
}

/// What there is to say about one agent, as it is or as it would be, among the others.
pub(super) fn find_overlap_of(agent: &Arc<Agent>, roster: &Roster) -> Option<Diagnostic> {
    let others = roster.live().filter(|other| other.name() != agent.name());
    let agents: Vec<&Arc<Agent>> = std::iter::once(agent).chain(others).collect();
    let described = Described::new(&agents);
    let (own, others) = described.words.split_first()?;
    let twin = others.iter().position(|other| own.len() >= MIN_WORDS && coincide(own, other))?;
    Some(diagnostic(agents[twin + 1].name()))
}

fn diagnostic(other: &AgentName) -> Diagnostic {
    Diagnostic::warning(
        "description_overlap",
        1,
        1,
        &format!("the description nearly coincides with that of `{other}`"),
        "say in each what the other is not for, or keep one of the two",
    )
}

/// The words of each description as sorted numbers, the rarest first.
struct Described {
    words: Vec<Vec<u32>>,
}

impl Described {
    fn new(agents: &[&Arc<Agent>]) -> Self {
        let mut counts: HashMap<String, u32> = HashMap::new();
        let texts: Vec<Vec<String>> = agents.iter().map(|agent| distinct_words(agent)).collect();
        for word in texts.iter().flatten() {
            match counts.get_mut(word) {
                Some(count) => *count += 1,
                None => drop(counts.insert(word.clone(), 1)),
            }
        }
        let mut by_rarity: Vec<(u32, &str)> =
            counts.iter().map(|(word, count)| (*count, word.as_str())).collect();
        by_rarity.sort_unstable();
        let ranks: HashMap<&str, u32> =
            by_rarity.iter().zip(0..).map(|((_, word), rank)| (*word, rank)).collect();
        let words = texts.iter().map(|text| {
            let mut words: Vec<u32> = text.iter().map(|word| ranks[word.as_str()]).collect();
            words.sort_unstable();
            words
        });
        Self { words: words.collect() }
    }
}

fn distinct_words(agent: &Agent) -> Vec<String> {
    let mut words: Vec<String> = agent
        .definition
        .summary
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// How many words of so many another description must share at least.
fn needed(count: usize) -> usize {
    (count * THRESHOLD_PERCENT).div_ceil(100)
}

/// Whether two sorted sets share enough of their words.
fn coincide(one: &[u32], other: &[u32]) -> bool {
    // Of all words of both, so many are to be shared that they are the wanted part of those that either has.
    let all = one.len() + other.len();
    let wanted = (all * THRESHOLD_PERCENT).div_ceil(100 + THRESHOLD_PERCENT);
    let (mut at_one, mut at_other, mut shared) = (0, 0, 0);
    // The rarest come first, so two that have little in common are soon known.
    while shared + (one.len() - at_one).min(other.len() - at_other) >= wanted {
        match (one.get(at_one), other.get(at_other)) {
            (Some(left), Some(right)) if left == right => {
                (at_one, at_other, shared) = (at_one + 1, at_other + 1, shared + 1);
            }
            (Some(left), Some(right)) if left < right => at_one += 1,
            (Some(_), Some(_)) => at_other += 1,
            _ => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{find_overlap_of, find_overlaps};
    use crate::definition::{AgentName, Origin, parse};
    use crate::registry::{Agent, Roster};

    fn agent(name: &str, description: &str) -> Arc<Agent> {
        let source = format!("---\nname: {name}\ndescription: {description}\n---\nBe brief.\n");
        let parsed = parse(source.as_bytes(), &Origin::default()).expect("is an agent");
        Arc::new(Agent::unsaved(parsed, String::new(), 1))
    }

    #[test]
    fn twins_are_found_and_others_are_not() {
        let agents = [
            agent("painter", "Use when walls or ceilings have to be painted in a new colour"),
            agent("decorator", "Use when walls or ceilings have to be painted in some new colour"),
            agent("baker", "Use when bread or cake has to be baked for a feast"),
            agent("short", "Use when asked"),
            agent("brief", "Use when asked"),
        ];
        let named = agents.iter().map(|agent| (agent.name().clone(), Arc::clone(agent)));
        let roster = Roster { revision: 1, agents: named.collect() };
        let overlaps = find_overlaps(&roster);
        let found: Vec<&str> = overlaps.keys().map(AgentName::as_str).collect();
        assert_eq!(found, ["decorator", "painter"]);
        assert!(overlaps.values().next().is_some_and(|found| found.message.contains("`painter`")));
        assert!(find_overlap_of(&agents[0], &roster).is_some());
        assert!(find_overlap_of(&agents[2], &roster).is_none());
    }
}
