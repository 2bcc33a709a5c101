//! Text into terms: words in lower case, stemmed, without those that say nothing of a task.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::quality::RandomState;
use rust_stemmers::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation;

use super::embedding::salience;

/// Words that carry no task: articles, pronouns, auxiliaries, politeness, and talk about the agents themselves.
const STOP_WORDS: &[&str] = &[
    "a", "about", "after", "again", "agent", "ai", "all", "also", "always", "am", "an", "and",
    "any", "are", "as", "asks", "assistant", "at", "be", "because", "been", "before", "being",
    "between", "both", "but", "by", "can", "cannot", "come", "could", "did", "do", "does", "doing",
    "don", "done", "each", "either", "etc", "every", "few", "for", "from", "get", "gets",
    "getting", "give", "go", "goes", "going", "got", "had", "has", "have", "having", "he", "hello",
    "help", "helps", "her", "here", "hey", "hi", "him", "his", "how", "i", "if", "in", "into",
    "is", "it", "its", "just", "kind", "know", "let", "like", "ll", "lot", "m", "make", "makes",
    "many", "may", "me", "might", "more", "most", "much", "must", "my", "need", "needs", "never",
    "no", "not", "now", "of", "off", "ok", "on", "once", "one", "only", "or", "other", "our",
    "out", "over", "own", "please", "put", "re", "s", "same", "say", "see", "she", "should", "so",
    "some", "something", "still", "such", "t", "take", "tell", "than", "thank", "thanks", "that",
    "the", "their", "them", "then", "there", "these", "they", "thing", "things", "this", "those",
    "to", "too", "under", "until", "up", "us", "use", "used", "user", "uses", "using", "ve",
    "very", "want", "wants", "was", "way", "we", "well", "were", "what", "when", "where",
    "whether", "which", "while", "who", "why", "will", "with", "without", "would", "yes", "you",
    "your",
];

/// The salience of a word that counts 1.
const USUAL_SALIENCE: f32 = 1.3;

/// How much more a salient word counts than one that says little.
const EMPHASIS: f32 = 1.5;

/// The weights of the emptiest and of the most telling words.
const LEAST_WEIGHT: f32 = 0.1;
const MOST_WEIGHT: f32 = 1.5;

/// A word of a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Term {
    pub stem: Arc<str>,
    /// As it was written, in lower case.
    pub word: Arc<str>,
    /// How much it says, whatever the roster: 1 for an ordinary word.
    pub weight: f32,
}

/// Cuts texts into terms.
pub(super) struct Analyzer {
    stemmer: Stemmer,
    /// Stems that were met before: agents share most of their words, and each is kept once.
    stems: HashSet<Arc<str>>,
    /// Words that were met before.
    words: HashMap<String, Option<Term>, RandomState>,
}

impl Analyzer {
    pub fn new() -> Self {
        Self {
            stemmer: Stemmer::create(Algorithm::English),
            stems: HashSet::new(),
            words: HashMap::default(),
        }
    }

    pub fn terms(&mut self, text: &str) -> Vec<Term> {
        let mut terms = Vec::new();
        let mut words = text.unicode_word_indices().peekable();
        let mut paired_to = 0;
        while let Some((start, word)) = words.next() {
            if is_written_without_spaces(word) {
                let end = start + word.len();
                let next = words
                    .peek()
                    .filter(|(next, word)| *next == end && is_written_without_spaces(word));
                let with_next = next.map_or(end, |(next, word)| next + word.len());
                // The last of several stands in a pair already.
                if with_next > end || start >= paired_to {
                    self.push_unspaced(&text[start..with_next], &mut terms);
                }
                paired_to = with_next;
                continue;
            }
            // `Next.js` and `snake_case` are one word to Unicode: both the whole and its parts count.
            let parts: Vec<&str> = word
                .split(['.', '_', '\'', '’', ':'])
                .flat_map(split_camel_case)
                .filter(|part| !part.is_empty())
                .collect();
            if parts.len() > 1 && !word.contains(['\'', '’']) {
                let whole: String = parts.concat();
                self.push(&whole, &mut terms);
            }
            // Of `don't` and `what's` only the first part says something.
            let said =
                if word.contains(['\'', '’']) { &parts[..parts.len().min(1)] } else { &parts };
            for part in said {
                self.push(part, &mut terms);
            }
        }
        terms
    }

    /// Of scripts without spaces each two characters that stand together are a term: one alone says little, and where words
    /// begin would take a dictionary to know. Hiragana without another character is grammar for the most part.
    fn push_unspaced(&mut self, characters: &str, terms: &mut Vec<Term>) {
        if !characters.chars().all(is_hiragana) {
            self.push(characters, terms);
        }
    }

    fn push(&mut self, word: &str, terms: &mut Vec<Term>) {
        let word = word.to_lowercase();
        if let Some(known) = self.words.get(&word) {
            terms.extend(known.clone());
            return;
        }
        let term = self.term(&word);
        terms.extend(term.clone());
        self.words.insert(word, term);
    }

    /// `None` if the word says nothing.
    fn term(&mut self, word: &str) -> Option<Term> {
        if STOP_WORDS.binary_search(&word).is_ok() || word.chars().all(char::is_numeric) {
            return None;
        }
        let stem = self.stemmer.stem(word);
        let usual = salience(word).map_or(1.0, |salience| salience / USUAL_SALIENCE);
        let weight = usual.powf(EMPHASIS).clamp(LEAST_WEIGHT, MOST_WEIGHT);
        let stem = self.stems.get(&*stem).cloned().unwrap_or_else(|| {
            let stem: Arc<str> = Arc::from(stem);
            self.stems.insert(Arc::clone(&stem));
            stem
        });
        Some(Term { stem, word: Arc::from(word), weight })
    }
}

/// Whether it is a character of Chinese or Japanese, which Unicode takes for a word each.
fn is_written_without_spaces(word: &str) -> bool {
    let mut characters = word.chars();
    let (first, rest) = (characters.next(), characters.next());
    rest.is_none()
        && first.is_some_and(|character| is_hiragana(character) || is_ideograph(character))
}

fn is_hiragana(character: char) -> bool {
    ('\u{3041}'..='\u{309f}').contains(&character)
}

fn is_ideograph(character: char) -> bool {
    matches!(character, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

/// `routeHandler` is `route` and `Handler`; `JWT` and `GraphQL` stay mostly whole.
fn split_camel_case(word: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let characters: Vec<(usize, char)> = word.char_indices().collect();
    for pair in characters.windows(2) {
        let ((_, before), (position, after)) = (pair[0], pair[1]);
        if before.is_lowercase() && after.is_uppercase() {
            parts.push(&word[start..position]);
            start = position;
        }
    }
    parts.push(&word[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::{Analyzer, STOP_WORDS};

    fn stems(text: &str) -> Vec<String> {
        Analyzer::new().terms(text).into_iter().map(|term| term.stem.to_string()).collect()
    }

    #[test]
    fn words_are_stemmed_and_empty_ones_dropped() {
        assert_eq!(stems("Please don't create the API routes!"), ["creat", "api", "rout"]);
        assert_eq!(
            stems("Next.js snake_case routeHandler"),
            ["nextj", "next", "js", "snakecas", "snake", "case", "routehandl", "rout", "handler"]
        );
        assert_eq!(stems("nextjs"), ["nextj"]);
        assert!(stems("what is it? 42").is_empty());
    }

    #[test]
    fn of_scripts_without_spaces_two_characters_are_a_term() {
        assert_eq!(stems("数据库设计"), ["数据", "据库", "库设", "设计"]);
        assert_eq!(stems("請求書を送ってください"), ["請求", "求書", "書を", "を送", "送っ"]);
        assert_eq!(stems("テストを書く API 本"), ["テスト", "を書", "書く", "api", "本"]);
        assert!(stems("これはなんですか").is_empty());
    }

    #[test]
    fn the_list_is_sorted() {
        assert!(STOP_WORDS.is_sorted());
    }
}
