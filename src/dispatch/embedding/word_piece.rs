//! Text into word pieces, as BERT's uncased models cut it: `unbelievable!` is `un`, `##bel`, `##ie`, `##vable`, `!`.
//!
//! The rows of the table are those of a model's vocabulary, so the text has to be cut as that model cuts it: lower
//! case, without accents, punctuation apart, then the longest piece that the vocabulary has, again and again.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::RandomState;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// A piece a line; the number of the line is the piece's.
pub(super) const VOCABULARY: &str = include_str!("vocabulary.txt");

/// Marks a piece that goes on with a word.
const GOES_ON: &str = "##";

/// A longer word, in characters, is not cut at all: it is no word.
const MAX_WORD_LENGTH: usize = 100;

static PIECES: LazyLock<Pieces> = LazyLock::new(Pieces::new);

struct Pieces {
    beginning: HashMap<&'static str, u32, RandomState>,
    going_on: HashMap<&'static str, u32, RandomState>,
}

impl Pieces {
    fn new() -> Self {
        let (mut beginning, mut going_on) = (HashMap::default(), HashMap::default());
        for (piece, number) in VOCABULARY.lines().zip(0..) {
            match piece.strip_prefix(GOES_ON) {
                Some(rest) if !rest.is_empty() => going_on.insert(rest, number),
                _ => beginning.insert(piece, number),
            };
        }
        Self { beginning, going_on }
    }
}

/// The numbers of a text's pieces. A word that cannot be cut whole has none.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = u32> {
    let mut words = Words { characters: normalized(text), held: None };
    std::iter::from_fn(move || words.next()).flat_map(|word| cut(&word))
}

/// Lower case without accents and control characters.
fn normalized(text: &str) -> impl Iterator<Item = char> {
    text.chars()
        .filter(|character| !is_control(*character))
        .nfd()
        .filter(|character| {
            !is_combining_mark(*character)
                || character.general_category() != GeneralCategory::NonspacingMark
        })
        .flat_map(char::to_lowercase)
}

/// Cuts at white space; punctuation and ideographs are words of their own.
struct Words<I> {
    characters: I,
    /// A word of one character that ended the one before it.
    held: Option<char>,
}

impl<I: Iterator<Item = char>> Words<I> {
    fn next(&mut self) -> Option<String> {
        if let Some(held) = self.held.take() {
            return Some(held.to_string());
        }
        let mut word = String::new();
        for character in self.characters.by_ref() {
            if character.is_whitespace() {
                if !word.is_empty() {
                    return Some(word);
                }
            } else if is_punctuation(character) || is_ideograph(character) {
                if word.is_empty() {
                    return Some(character.to_string());
                }
                self.held = Some(character);
                return Some(word);
            } else {
                word.push(character);
            }
        }
        (!word.is_empty()).then_some(word)
    }
}

fn cut(word: &str) -> Vec<u32> {
    let mut pieces = Vec::new();
    if word.chars().count() > MAX_WORD_LENGTH {
        return pieces;
    }
    let mut rest = word;
    while !rest.is_empty() {
        let known = if pieces.is_empty() { &PIECES.beginning } else { &PIECES.going_on };
        let mut ends = rest.char_indices().map(|(at, character)| at + character.len_utf8()).rev();
        let Some((end, piece)) = ends.find_map(|end| Some((end, *known.get(&rest[..end])?))) else {
            return Vec::new();
        };
        pieces.push(piece);
        rest = &rest[end..];
    }
    pieces
}

fn is_control(character: char) -> bool {
    if matches!(character, '\t' | '\n' | '\r') {
        return false;
    }
    matches!(character, '\0' | '\u{fffd}')
        || character.general_category_group() == GeneralCategoryGroup::Other
}

fn is_punctuation(character: char) -> bool {
    character.is_ascii_punctuation()
        || character.general_category_group() == GeneralCategoryGroup::Punctuation
}

fn is_ideograph(character: char) -> bool {
    matches!(
        u32::from(character),
        0x4E00..=0x9FFF
            | 0x3400..=0x4DBF
            | 0x20000..=0x2A6DF
            | 0x2A700..=0x2B73F
            | 0x2B740..=0x2B81F
            | 0x2B920..=0x2CEAF
            | 0xF900..=0xFAFF
            | 0x2F800..=0x2FA1F
    )
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use tokenizers::models::wordpiece::WordPiece;
    use tokenizers::normalizers::BertNormalizer;
    use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
    use tokenizers::{NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

    use super::{VOCABULARY, pieces};

    /// The tokenizer that the model itself is used with.
    static REFERENCE: LazyLock<Tokenizer> = LazyLock::new(|| {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/dispatch/embedding/vocabulary.txt");
        let model = WordPiece::from_file(file).unk_token("[UNK]".to_owned()).build();
        let mut tokenizer = Tokenizer::new(model.expect("the vocabulary is read"));
        let normalizer = BertNormalizer::new(true, true, Some(true), true);
        tokenizer
            .with_normalizer(Some(NormalizerWrapper::BertNormalizer(normalizer)))
            .expect("no token is added")
            .with_pre_tokenizer(Some(PreTokenizerWrapper::BertPreTokenizer(BertPreTokenizer)));
        tokenizer
    });

    /// Without the mark for words that cannot be cut, which have no pieces here.
    fn expected(text: &str) -> Vec<u32> {
        let unknown = VOCABULARY.lines().zip(0..).find(|(piece, _)| *piece == "[UNK]");
        let (_, unknown) = unknown.expect("the vocabulary has the mark");
        let encoding = REFERENCE.encode(text, false).expect("any text is encoded");
        encoding.get_ids().iter().copied().filter(|piece| *piece != unknown).collect()
    }

    fn check(text: &str) {
        assert_eq!(pieces(text).collect::<Vec<_>>(), expected(text), "{text:?}");
    }

    #[test]
    fn pieces_are_those_of_the_reference() {
        for text in [
            "",
            "I need an API route for user login with JWT",
            "unbelievable!Next.js, snake_case; don't — “quoted” (naïve café) ÅNGSTRÖM",
            "tabs\tand\nlines\r\u{0}\u{fffd}\u{200b}joined",
            "深層学習 と 機械学習, 한국어, עִבְרִית, हिन्दी",
            "İstanbul ẞ ß ŉ ﬁ ² Ⅳ ½ 🙂 e\u{301}\u{489}",
            "[CLS] ## ##ing [UNK]",
            &"x".repeat(100),
            &"x".repeat(101),
        ] {
            check(text);
        }
    }

    /// Scripts that have not grown for long: the reference knows an older Unicode.
    const TEXT: &str = "([ -~\\t\\n]|[\\u{a0}-\\u{233}\\u{300}-\\u{34e}\\u{391}-\\u{3a1}\\u{400}-\\u{45f}\\u{5d0}-\\u{5ea}\
                        \\u{2010}-\\u{2027}\\u{3041}-\\u{3096}\\u{4e00}-\\u{9fa5}\\u{ac00}-\\u{d7a3}]){0,60}";

    proptest! {
        #[test]
        fn any_text_is_cut_as_the_reference_cuts_it(text in TEXT) {
            check(&text);
        }
    }
}
