//! Languages, frameworks, products and tools by their names. A request that names one which no agent of the roster
//! mentions is hardly for any of them, however near it comes otherwise: a question about one framework means nearly what
//! the same question about another one means.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use foldhash::quality::RandomState;

/// Each line is one technology with the names that stand for it, and those that nobody knows without knowing it. A name of
/// two words has a hyphen between them. One with a capital letter is an everyday word otherwise, and meant only as it
/// stands.
const NAMES: &str = include_str!("technologies.txt");

static KNOWN: LazyLock<Known> = LazyLock::new(|| Known::of(NAMES));

/// What may stand between two sentences.
const SENTENCE_ENDS: [char; 5] = ['.', '!', '?', ':', '\n'];

/// Its line in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Technology(u16);

struct Known {
    by_name: HashMap<&'static str, Technology, RandomState>,
    /// The first words of names that have two.
    beginnings: HashSet<&'static str, RandomState>,
}

impl Known {
    fn of(list: &'static str) -> Self {
        let lines = (0..).map(Technology).zip(list.lines());
        let by_name: HashMap<_, _, _> = lines
            .flat_map(|(line, names)| names.split(' ').map(move |name| (name, line)))
            .collect();
        let beginnings = by_name.keys().filter_map(|name| Some(name.split_once('-')?.0));
        Self { beginnings: beginnings.collect(), by_name }
    }

    fn find(&self, name: &str) -> Option<Technology> {
        self.by_name.get(name).copied()
    }

    fn begins(&self, word: &str) -> bool {
        self.beginnings.contains(word)
    }
}

/// A technology that a text names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mention<'a> {
    pub technology: Technology,
    /// As the text has it.
    pub name: &'a str,
    /// Whether it may be an everyday word, with a capital letter because it begins a sentence.
    pub is_doubtful: bool,
}

/// The technologies that a text names, in their order.
pub(super) fn mentions(text: &str) -> impl Iterator<Item = Mention<'_>> {
    let (mut rest, mut begins_sentence) = (text, true);
    let mut lower = String::new();
    std::iter::from_fn(move || {
        loop {
            let (start, word) = first_word(rest)?;
            begins_sentence |= rest[..start].contains(SENTENCE_ENDS);
            let is_doubtful = std::mem::take(&mut begins_sentence);
            rest = &rest[start..];
            lower.clear();
            lower.extend(word.chars().map(|character| character.to_ascii_lowercase()));
            let of_two = || {
                let second = KNOWN.begins(&lower).then(|| second_word(rest, word))??;
                let name = format!("{lower}-{}", second.to_ascii_lowercase());
                Some((KNOWN.find(&name)?, &rest[..word.len() + 1 + second.len()], false))
            };
            let in_any_case = || Some((KNOWN.find(&lower)?, word, false));
            let as_it_stands = || Some((KNOWN.find(word)?, word, is_doubtful));
            let found = of_two().or_else(in_any_case).or_else(as_it_stands);
            rest = &rest[found.map_or(word, |(_, name, _)| name).len()..];
            if let Some((technology, name, is_doubtful)) = found {
                return Some(Mention { technology, name, is_doubtful });
            }
        }
    })
}

/// The word that is one character behind the first one of a text.
fn second_word<'t>(text: &'t str, first: &str) -> Option<&'t str> {
    let (gap, second) = first_word(&text[first.len()..])?;
    (gap == 1).then_some(second)
}

/// The first word of a text and where it begins. `C++`, `C#` and `Next.js` are words, and a full stop ends one.
fn first_word(text: &str) -> Option<(usize, &str)> {
    let is_of_word = |character: char| character.is_alphanumeric() || "+#.".contains(character);
    let start = text.find(|character: char| character.is_alphanumeric())?;
    // `.NET` begins with its full stop.
    let start = start - usize::from(text[..start].ends_with('.'));
    let length = text[start..].find(|character| !is_of_word(character));
    let word = length.map_or(&text[start..], |length| &text[start..start + length]);
    Some((start, word.trim_end_matches('.')))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{NAMES, mentions};

    fn names(text: &str) -> Vec<&str> {
        mentions(text).map(|mention| mention.name).collect()
    }

    fn certain(text: &str) -> Vec<&str> {
        mentions(text).filter(|mention| !mention.is_doubtful).map(|mention| mention.name).collect()
    }

    #[test]
    fn names_are_found_in_any_case_and_with_their_signs() {
        assert_eq!(names("Port our DJANGO app to Next.js."), ["DJANGO", "Next.js"]);
        assert_eq!(names("C++/C# interop, .NET and (node.js)"), ["C++", "C#", ".NET", "node.js"]);
        assert_eq!(names("no one is djangoing here; reacts"), Vec::<&str>::new());
    }

    #[test]
    fn a_name_of_two_words_is_one_however_they_are_joined() {
        assert_eq!(
            names("react native, React-Native, GitHub Actions, PL/SQL, power. Apps"),
            ["react native", "React-Native", "GitHub Actions", "PL/SQL"]
        );
        assert_eq!(names("React, natively"), ["React"]);
        assert_eq!(names("the last word is react"), ["react"]);
    }

    #[test]
    fn an_everyday_word_is_a_name_only_with_its_capital_letter() {
        assert_eq!(names("let it go, in spring, with rust on it"), Vec::<&str>::new());
        assert_eq!(certain("Our service in Go and Rust"), ["Go", "Rust"]);
        assert_eq!(certain("Go on. Rust spreads!\nSpring comes"), Vec::<&str>::new());
        assert_eq!(names("Go on. Rust spreads!"), ["Go", "Rust"]);
        assert_eq!(certain("Django is slow"), ["Django"]);
    }

    #[test]
    fn names_of_one_technology_are_one() {
        let of = |text| mentions(text).map(|mention| mention.technology).collect::<HashSet<_>>();
        assert_eq!(of("k8s and Kubernetes with kubectl").len(), 1);
        assert_eq!(of("Vue and React").len(), 2);
    }

    #[test]
    fn no_name_stands_twice_and_the_list_is_in_order() {
        let names: Vec<&str> = NAMES.split_whitespace().collect();
        let once: HashSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
        assert_eq!(once.len(), names.len());
        assert!(NAMES.lines().all(|line| !line.is_empty() && line.trim() == line));
        assert!(NAMES.lines().is_sorted_by_key(str::to_lowercase));
        assert!(names.iter().all(|name| name.matches('-').count() <= 1), "of two words at most");
        let mut of_two = names.iter().filter(|name| name.contains('-'));
        assert!(of_two.all(|name| *name == name.to_lowercase()), "found in any case");
    }

    #[test]
    fn any_text_is_read() {
        for text in ["", ".", "..net..", "é.#+", "c++", "-react-", "a.\u{301}b", "next. js."] {
            let _ = names(text);
        }
    }
}
