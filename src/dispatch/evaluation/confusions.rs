//! Which agents are taken for which others, and whose descriptions come near each other.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Exchange;
use super::figures::digits;
use crate::dispatch::Index;
use crate::dispatch::embedding::Embedding;
use crate::dispatch::fit::MAX_AGENTS;

/// Entries of each list.
const MAX_ENTRIES: usize = 50;

const MAX_EXAMPLES: usize = 3;

/// Descriptions that are this alike are about the same things.
const NEAR_FROM: f32 = 0.8;

/// An agent that was picked for requests of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Confusion {
    /// Null if the requests belong to nobody.
    pub expected: Option<String>,
    /// Null if none was picked.
    pub picked: Option<String>,
    pub count: usize,
    /// Some of the requests.
    pub examples: Vec<String>,
}

/// Two agents that are hard to tell apart.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Overlap {
    #[schema(min_items = 2, max_items = 2)]
    pub agents: Vec<String>,
    /// The cosine of their descriptions; null if one of them has none.
    pub similarity: Option<f64>,
    /// How many cases of the one were given to the other.
    pub confused: usize,
}

/// The most frequent first.
pub(super) fn confusions(exchanges: &[Exchange]) -> Vec<Confusion> {
    let mut found: BTreeMap<(Option<&str>, Option<&str>), Confusion> = BTreeMap::new();
    for Exchange { case, answer, .. } in exchanges {
        if answer.is_right(case) {
            continue;
        }
        let (expected, picked) = (case.agent.as_deref(), answer.picked());
        let confusion = found.entry((expected, picked)).or_insert_with(|| Confusion {
            expected: expected.map(str::to_owned),
            picked: picked.map(str::to_owned),
            count: 0,
            examples: Vec::new(),
        });
        confusion.count += 1;
        if confusion.examples.len() < MAX_EXAMPLES {
            confusion.examples.push(case.input.clone());
        }
    }
    let mut confusions: Vec<Confusion> = found.into_values().collect();
    confusions.sort_by_key(|confusion| std::cmp::Reverse(confusion.count));
    confusions.truncate(MAX_ENTRIES);
    confusions
}

/// The most confused first, then the nearest.
pub(super) fn overlaps(index: &Index, exchanges: &[Exchange]) -> Vec<Overlap> {
    let descriptions: Vec<(&str, Option<&Embedding>)> = index
        .documents
        .iter()
        .map(|document| (document.agent.name().as_str(), document.content.description.as_deref()))
        .collect();
    let places: HashMap<&str, usize> =
        descriptions.iter().enumerate().map(|(place, (name, _))| (*name, place)).collect();
    let similarity =
        |one: usize, other: usize| Some(descriptions[one].1?.cosine(descriptions[other].1?));
    // Each pair in order of place.
    let mut pairs: BTreeMap<(usize, usize), (Option<f32>, usize)> = BTreeMap::new();
    for Exchange { case, answer, .. } in exchanges {
        let place = |name: Option<&str>| places.get(name?).copied();
        // By rank alone: a pair stays hard to tell apart if its requests are also taken for nobody's.
        let (right, first) = (place(case.agent.as_deref()), place(answer.first.as_deref()));
        if let (Some(right), Some(first)) = (right, first)
            && right != first
        {
            let (one, other) = (right.min(first), right.max(first));
            let (_, confused) =
                pairs.entry((one, other)).or_insert_with(|| (similarity(one, other), 0));
            *confused += 1;
        }
    }
    // The pairs of a large roster are too many to be compared.
    if descriptions.len() <= MAX_AGENTS {
        for one in 0..descriptions.len() {
            for other in one + 1..descriptions.len() {
                if let Some(near) = similarity(one, other).filter(|near| *near >= NEAR_FROM) {
                    pairs.entry((one, other)).or_insert((Some(near), 0));
                }
            }
        }
    }
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    pairs.sort_by(|(_, (one_near, one)), (_, (other_near, other))| {
        let near = |near: &Option<f32>| near.unwrap_or(-1.0);
        other.cmp(one).then_with(|| near(other_near).total_cmp(&near(one_near)))
    });
    pairs.truncate(MAX_ENTRIES);
    let overlap =
        |((one, other), (similarity, confused)): ((usize, usize), (Option<f32>, usize))| Overlap {
            agents: [one, other].map(|place: usize| descriptions[place].0.to_owned()).into(),
            similarity: similarity.map(|similarity| digits(f64::from(similarity.min(1.0)))),
            confused,
        };
    pairs.into_iter().map(overlap).collect()
}
