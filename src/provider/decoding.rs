//! From the events of a stream to what they tell, by the decoder of its protocol.
//!
//! Most events of a stream are like the one before but for a text. These are not decoded, once one of them has shown where the
//! text stands: what is around it is compared, and the text taken out.

use std::collections::VecDeque;
use std::ops::Range;

use memchr::{memchr, memmem};

use super::dialect::Decoder;
use super::{ProviderError, SseEvent};
use crate::chat::ChatEvent;

/// A stream that is being decoded.
#[derive(Debug)]
pub(super) struct Decoding {
    decoder: Box<dyn Decoder>,
    /// The last event that was decoded, if it told a text.
    text_event: Option<TextEvent>,
    is_over: bool,
}

/// An event that told a text and nothing else.
#[derive(Debug)]
struct TextEvent {
    event: SseEvent,
    /// Where in the data the text seems to stand, as it is.
    text: Range<usize>,
    /// Whether an event with another text in that place has told that one.
    is_proven: bool,
}

impl Decoding {
    pub fn new(decoder: Box<dyn Decoder>) -> Self {
        Self { decoder, text_event: None, is_over: false }
    }

    /// Appends what an event tells.
    pub fn take(
        &mut self,
        event: SseEvent,
        told: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if let Some(text) = self.known_text(&event) {
            if !text.is_empty() {
                told.push_back(ChatEvent::Text(text.to_owned()));
            }
            return Ok(());
        }
        let events = self.decoder.decode(&event)?;
        self.is_over |= self.decoder.is_last(&event);
        self.text_event = match self.text_event.take() {
            Some(last) if last.is_confirmed_by(&event, &events) => {
                Some(TextEvent { is_proven: true, ..last })
            }
            _ if self.decoder.remembers_texts() => None,
            _ => TextEvent::new(event, &events),
        };
        told.extend(events);
        Ok(())
    }

    /// What an event tells that need not be decoded.
    fn known_text<'a>(&self, event: &'a SseEvent) -> Option<&'a str> {
        self.text_event.as_ref().filter(|last| last.is_proven)?.text_of(event)
    }

    /// Whether a tool call is being written.
    pub fn has_open_call(&self) -> bool {
        self.decoder.has_open_call()
    }

    /// Whether the protocol's last event has come.
    pub fn is_over(&self) -> bool {
        self.is_over
    }
}

impl TextEvent {
    /// `None` if the event told something else, or if its text is not found in it once and as it is: where nothing is
    /// escaped, that is the text's place.
    fn new(event: SseEvent, told: &[ChatEvent]) -> Option<Self> {
        let [ChatEvent::Text(text)] = told else { return None };
        let data = event.data.as_bytes();
        if memchr(b'\\', data).is_some() {
            return None;
        }
        let is_whole = |start: &usize| {
            let end = start + text.len();
            data[..*start].ends_with(b"\"") && data[end..].starts_with(b"\"")
        };
        let mut places = memmem::find_iter(data, text).filter(is_whole);
        let (start, None) = (places.next()?, places.next()) else { return None };
        Some(Self { text: start..start + text.len(), event, is_proven: false })
    }

    /// Whether another event has the text that it tells in the same place. Behind a proof it may be escaped there.
    fn is_confirmed_by(&self, other: &SseEvent, told: &[ChatEvent]) -> bool {
        let ([ChatEvent::Text(text)], Some(written)) = (told, self.written_in(other)) else {
            return false;
        };
        self.is_proven || (text == written && *text != self.event.data[self.text.clone()])
    }

    /// The text of an event that is like this one in all else, if it stands there as it is.
    fn text_of<'a>(&self, other: &'a SseEvent) -> Option<&'a str> {
        let stands_for_itself = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        self.written_in(other).filter(|written| written.bytes().all(stands_for_itself))
    }

    /// What another event has in place of the text; `None` if it differs elsewhere.
    fn written_in<'a>(&self, other: &'a SseEvent) -> Option<&'a str> {
        let (before, after) =
            (&self.event.data[..self.text.start], &self.event.data[self.text.end..]);
        let written = other.data.strip_prefix(before)?.strip_suffix(after)?;
        (self.event.event == other.event).then_some(written)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::Decoding;
    use crate::chat::ChatEvent;
    use crate::provider::dialect::{Decoder, Dialect};
    use crate::provider::{ProviderError, SseEvent, openai, responses};

    /// How many events are decoded, and what all of them tell.
    fn told(events: &[&str]) -> (usize, Vec<ChatEvent>) {
        let mut decoding = Decoding::new(openai::OpenAi.decoder());
        let (mut told, mut decoded) = (VecDeque::new(), 0);
        for data in events {
            let event = SseEvent { event: String::new(), data: (*data).to_owned() };
            decoded += usize::from(decoding.known_text(&event).is_none());
            decoding.take(event, &mut told).expect("is valid");
        }
        (decoded, told.into())
    }

    fn chunk(content: &str) -> String {
        format!(r#"{{"id":"a","model":"m","choices":[{{"delta":{{"content":{content}}}}}]}}"#)
    }

    /// The texts of chunks with these contents, and how many of them were decoded.
    fn texts(contents: &[&str]) -> (usize, Vec<String>) {
        let chunks: Vec<String> = contents.iter().map(|content| chunk(content)).collect();
        let (decoded, told) = told(&chunks.iter().map(String::as_str).collect::<Vec<_>>());
        let texts = told.into_iter().filter_map(|event| match event {
            ChatEvent::Text(text) => Some(text),
            _ => None,
        });
        (decoded, texts.collect())
    }

    #[test]
    fn what_differs_in_its_text_alone_is_not_decoded_again() {
        let (decoded, texts) = texts(&[
            r#""One""#, r#"" two""#, r#"" é""#, r#""""#, r#"" four""#, r#""\n\"five\"""#,
            r#"" six""#,
        ]);
        assert_eq!(texts, ["One", " two", " é", " four", "\n\"five\"", " six"]);
        // The first names the model, too; the next two show where the text stands; one is escaped.
        assert_eq!(decoded, 4);
    }

    #[test]
    fn what_does_not_stand_as_it_is_is_decoded() {
        let contents = [
            r#""One""#,
            r#"" two""#,
            r#""\n\"three\" \u00e9""#,
            "null",
            r#"[{"type":"text","text":"four"}]"#,
            r#""five""#,
        ];
        let (decoded, texts) = texts(&contents);
        assert_eq!(texts, ["One", " two", "\n\"three\" é", "four", "five"]);
        assert_eq!(decoded, contents.len());
    }

    #[test]
    fn a_text_that_another_field_has_as_well_is_not_mistaken_for_it() {
        let (decoded, texts) =
            texts(&[r#""One""#, r#""a""#, r#""b""#, r#""b""#, r#""c""#, r#""d""#]);
        assert_eq!(texts, ["One", "a", "b", "b", "c", "d"]);
        assert_eq!(decoded, 5);
    }

    #[test]
    fn another_field_that_has_what_parts_of_a_text_add_up_to_is_not_mistaken_for_it() {
        let chunk = |id| {
            let parts = r#"[{"type":"text","text":"a"},{"type":"text","text":"b"}]"#;
            format!(r#"{{"id":"{id}","model":"m","choices":[{{"delta":{{"content":{parts}}}}}]}}"#)
        };
        let chunks = ["ab", "ab", "cd", "ef", "gh"].map(chunk);
        let (decoded, told) = told(&chunks.each_ref().map(String::as_str));
        assert_eq!(decoded, chunks.len());
        let is_whole = |event: &ChatEvent| matches!(event, ChatEvent::Text(text) if text == "ab");
        assert_eq!(told.iter().filter(|event| is_whole(event)).count(), chunks.len());
    }

    #[test]
    fn what_stands_between_is_told() {
        let finish = r#"{"id":"a","model":"m","choices":[{"delta":{},"finish_reason":"stop"}]}"#;
        let (one, two) = (chunk(r#""One""#), chunk(r#""two""#));
        let (decoded, told) = told(&[&one, &two, finish, &two]);
        assert_eq!(decoded, 4);
        assert!(matches!(told.as_slice(), [.., ChatEvent::Finished(_), ChatEvent::Text(_)]));
    }

    #[test]
    fn a_decoder_that_remembers_texts_is_told_all() {
        let delta = |text| {
            format!(
                r#"{{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"{text}"}}"#
            )
        };
        let done = r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"message","content":[{"type":"output_text","text":"One two three four"}]}}"#;
        let mut decoding = Decoding::new(responses::Responses.decoder());
        let mut told = VecDeque::new();
        for data in [delta("One"), delta(" two"), delta(" three"), done.to_owned()] {
            decoding.take(SseEvent { event: String::new(), data }, &mut told).expect("is valid");
        }
        let texts: Vec<ChatEvent> = told.into();
        assert!(
            matches!(texts.as_slice(), [_, _, _, ChatEvent::Text(rest)] if rest == " four"),
            "{texts:?}"
        );
    }

    /// Counts as decoded what an event of another name would be mistaken for.
    #[derive(Debug)]
    struct ByName;

    impl Decoder for ByName {
        fn decode(&mut self, event: &SseEvent) -> Result<Vec<ChatEvent>, ProviderError> {
            let text = event.data.trim_matches('"').to_owned();
            Ok(if event.event == "text" { vec![ChatEvent::Text(text)] } else { Vec::new() })
        }

        fn remembers_texts(&self) -> bool {
            false
        }

        fn is_last(&self, _: &SseEvent) -> bool {
            false
        }
    }

    #[test]
    fn an_event_of_another_name_is_another_one() {
        let mut decoding = Decoding::new(Box::new(ByName));
        let mut told = VecDeque::new();
        for (name, data) in [("text", "x"), ("text", "y"), ("other", "z"), ("text", "v")] {
            let event = SseEvent { event: name.to_owned(), data: format!(r#""{data}""#) };
            decoding.take(event, &mut told).expect("is valid");
        }
        assert_eq!(told.len(), 3);
    }
}
