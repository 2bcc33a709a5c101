//! Remembers which words of an answer were told. The API tells them up to three times: in deltas, with the end of
//! their item, and with the end of the response. Compatible servers leave out any of these.

/// What stands between two items, and between two parts of thinking, that would run into each other.
pub(super) const BREAK: &str = "\n\n";

/// The words of one kind, text or thinking. Items of a kind come one after the other.
#[derive(Debug, Default)]
pub(super) struct Told {
    words: String,
    /// Where the words of the current item begin.
    item_start: usize,
    /// The part of the current item that was told last.
    part: u64,
}

impl Told {
    /// Whether a delta begins another part of the current item.
    pub fn begins_part(&self, part: u64, delta: &str) -> bool {
        !delta.is_empty() && self.is_in_item() && part != self.part
    }

    /// Whether words of the current item were told.
    pub fn is_in_item(&self) -> bool {
        self.words.len() > self.item_start
    }

    /// Takes a delta; returns what to tell.
    pub fn add(&mut self, part: u64, delta: &str) -> Option<String> {
        if delta.is_empty() {
            return None;
        }
        let is_first_of_item = !self.is_in_item();
        let is_behind_another =
            if is_first_of_item { self.item_start > 0 } else { part != self.part };
        self.part = part;
        let told = if is_behind_another { [BREAK, delta].concat() } else { delta.to_owned() };
        self.words.push_str(&told);
        Some(told)
    }

    /// Takes all words of an item; returns those that were not told. An item that does not repeat what was told
    /// tells nothing: better that a word is missing than that an answer is there twice.
    pub fn complete(&mut self, whole: &str) -> Option<String> {
        let break_before = if self.item_start > 0 && !whole.is_empty() { BREAK } else { "" };
        let whole = [break_before, whole].concat();
        let told = &self.words[self.item_start..];
        if told.starts_with(&whole) {
            self.item_start += whole.len();
            return None;
        }
        let rest = whole.strip_prefix(told)?.to_owned();
        self.words.push_str(&rest);
        self.item_start = self.words.len();
        Some(rest)
    }

    /// The next words are those of another item.
    pub fn end_item(&mut self) {
        self.item_start = self.words.len();
    }

    /// The items are about to be repeated from the first on.
    pub fn rewind(&mut self) {
        self.item_start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::Told;

    /// Tells an answer of two items; returns what was told of it.
    fn tell(deltas: [&[&str]; 2], has_item_ends: bool, items: [&str; 2]) -> String {
        let (mut told, mut heard) = (Told::default(), String::new());
        for (deltas, whole) in deltas.iter().zip(items) {
            heard.extend(deltas.iter().filter_map(|delta| told.add(0, delta)));
            if has_item_ends {
                heard.extend(told.complete(whole));
                told.end_item();
            }
        }
        told.rewind();
        heard.extend(items.iter().filter_map(|whole| told.complete(whole)));
        heard
    }

    #[test]
    fn every_word_is_told_once() {
        let items = ["One.", "Two."];
        for deltas in [[&["On", "e."][..], &["Two."]], [&[], &["Tw"]], [&["One."], &[]], [&[], &[]]]
        {
            assert_eq!(tell(deltas, true, items), "One.\n\nTwo.", "{deltas:?}");
        }
        assert_eq!(tell([&["O"], &[]], false, items), "One.\n\nTwo.");
        assert_eq!(tell([&[], &[]], false, items), "One.\n\nTwo.");
    }

    #[test]
    fn empty_items_leave_no_gap() {
        assert_eq!(tell([&[], &["Two."]], true, ["", "Two."]), "Two.");
        assert_eq!(tell([&["One."], &[]], true, ["One.", ""]), "One.");
    }

    #[test]
    fn an_item_that_was_told_in_other_words_is_not_told_again() {
        assert_eq!(tell([&["One. "], &["Two."]], true, ["one", "Two."]), "One. \n\nTwo.");
    }

    #[test]
    fn parts_of_an_item_stand_apart() {
        let mut told = Told::default();
        let heard = [(0, "A"), (0, "b"), (1, "C")].map(|(part, delta)| told.add(part, delta));
        assert_eq!(heard.into_iter().flatten().collect::<String>(), "Ab\n\nC");
        assert_eq!(told.complete("Ab\n\nC\n\nD"), Some("\n\nD".to_owned()));
    }
}
