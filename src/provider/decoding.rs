//! From the events of a stream to what they tell, by the decoder of its protocol.
//!
//! Most events of a stream are like the one before but for a text. These are not decoded again: what stands around the text
//! is compared, and the text taken out.

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
    /// The last event, if it told a text.
    text_event: Option<TextEvent>,
    is_over: bool,
}

/// An event that told a text and nothing else.
#[derive(Debug)]
struct TextEvent {
    event: SseEvent,
    /// Where in the data the text stands, as it is.
    text: Range<usize>,
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
        if let Some(text) = self.text_event.as_ref().and_then(|last| last.text_of(&event)) {
            if !text.is_empty() {
                told.push_back(ChatEvent::Text(text.to_owned()));
            }
            return Ok(());
        }
        let events = self.decoder.decode(&event)?;
        self.is_over |= self.decoder.is_last(&event);
        self.text_event =
            TextEvent::new(event, &events).filter(|_| !self.decoder.remembers_texts());
        told.extend(events);
        Ok(())
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
        Some(Self { text: start..start + text.len(), event })
    }

    /// The text of an event that is like this one in all else.
    fn text_of<'a>(&self, other: &'a SseEvent) -> Option<&'a str> {
        let (before, after) =
            (&self.event.data[..self.text.start], &self.event.data[self.text.end..]);
        let text = other.data.strip_prefix(before)?.strip_suffix(after)?;
        let stands_for_itself = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        (self.event.event == other.event && text.bytes().all(stands_for_itself)).then_some(text)
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
            let is_known =
                decoding.text_event.as_ref().is_some_and(|last| last.text_of(&event).is_some());
            decoded += usize::from(!is_known);
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
        let (decoded, texts) = texts(&[r#""One""#, r#"" two""#, r#"" é""#, r#""""#, r#"" four""#]);
        assert_eq!(texts, ["One", " two", " é", " four"]);
        // The first names the model, too.
        assert_eq!(decoded, 2);
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
        let (decoded, texts) = texts(&[r#""One""#, r#""a""#, r#""b""#, r#""c""#]);
        assert_eq!(texts, ["One", "a", "b", "c"]);
        assert_eq!(decoded, 3);
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
        let done = r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"message","content":[{"type":"output_text","text":"One two three"}]}}"#;
        let mut decoding = Decoding::new(responses::Responses.decoder());
        let mut told = VecDeque::new();
        for data in [delta("One"), delta(" two"), done.to_owned()] {
            decoding.take(SseEvent { event: String::new(), data }, &mut told).expect("is valid");
        }
        let texts: Vec<ChatEvent> = told.into();
        assert!(
            matches!(texts.as_slice(), [_, _, ChatEvent::Text(rest)] if rest == " three"),
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
        for name in ["text", "other"] {
            let event = SseEvent { event: name.to_owned(), data: r#""x""#.to_owned() };
            decoding.take(event, &mut told).expect("is valid");
        }
        assert_eq!(told.len(), 1);
    }
}
