//! Server-sent events, as the WHATWG HTML standard defines them, read from a provider piece by piece.
//!
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>

use bytes::{Buf, BytesMut};

use super::ProviderError;

/// Longest line and longest event that is accepted, in bytes.
const MAX_EVENT_BYTES: usize = 8 * 1024 * 1024;

/// One dispatched event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The event's type; empty if the stream did not say.
    pub event: String,
    pub data: String,
}

/// An incremental parser: bytes in, in any pieces; whole events out.
#[derive(Debug, Default)]
pub struct SseParser {
    buffer: BytesMut,
    /// Bytes of `buffer` that are known to hold no line end.
    scanned: usize,
    is_past_bom: bool,
    /// A carriage return ended the last line: a line feed that follows belongs to it.
    skips_line_feed: bool,
    event: String,
    data: String,
    has_data: bool,
    bare: BareJson,
}

/// An object that stands in a stream outside of any event, one line after the other.
///
/// Gemini breaks a stream off with an error of that kind: <https://github.com/vercel/ai/issues/5217>
#[derive(Debug, Default)]
struct BareJson {
    text: String,
    depth: usize,
}

impl SseParser {
    /// Takes the next bytes and appends every event that they complete to `events`.
    ///
    /// # Errors
    /// [`ProviderError::Malformed`] if a line or an event is over 8 MiB.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<SseEvent>) -> Result<(), ProviderError> {
        self.buffer.extend_from_slice(bytes);
        if !self.is_past_bom && !self.pass_bom() {
            return Ok(());
        }
        loop {
            if self.skips_line_feed && !self.buffer.is_empty() {
                if self.buffer[0] == b'\n' {
                    self.buffer.advance(1);
                }
                self.skips_line_feed = false;
            }
            let Some(offset) = memchr::memchr2(b'\n', b'\r', &self.buffer[self.scanned..]) else {
                self.scanned = self.buffer.len();
                return self.check_size();
            };
            let line = self.buffer.split_to(self.scanned + offset);
            self.skips_line_feed = self.buffer[0] == b'\r';
            self.buffer.advance(1);
            self.scanned = 0;
            // Nearly all lines are valid, which is found out faster than what of one is not.
            match std::str::from_utf8(&line) {
                Ok(line) => self.take_line(line, events),
                Err(_) => self.take_line(&String::from_utf8_lossy(&line), events),
            }
            self.check_size()?;
        }
    }

    /// True once it is decided whether the stream begins with a byte order mark.
    fn pass_bom(&mut self) -> bool {
        const BOM: &[u8] = b"\xef\xbb\xbf";
        if self.buffer.len() < BOM.len() && BOM.starts_with(&self.buffer) {
            return false;
        }
        if self.buffer.starts_with(BOM) {
            self.buffer.advance(BOM.len());
        }
        self.is_past_bom = true;
        true
    }

    fn take_line(&mut self, line: &str, events: &mut Vec<SseEvent>) {
        if line.is_empty() {
            self.bare = BareJson::default();
            let event = std::mem::take(&mut self.event);
            let data = std::mem::take(&mut self.data);
            if std::mem::take(&mut self.has_data) {
                events.push(SseEvent { event, data });
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.has_data = true;
                self.data.push_str(value);
            }
            // Comments, `id` and `retry` are of no use here.
            "" | "id" | "retry" => {}
            _ => events.extend(self.bare.take_line(line)),
        }
    }

    fn check_size(&self) -> Result<(), ProviderError> {
        let longest = self.buffer.len().max(self.data.len()).max(self.bare.text.len());
        if longest > MAX_EVENT_BYTES {
            return Err(ProviderError::Malformed(format!(
                "an event of its stream is over {MAX_EVENT_BYTES} bytes"
            )));
        }
        Ok(())
    }
}

impl BareJson {
    /// Takes a line that is no field; the object is an event of its own once its last brace is closed.
    fn take_line(&mut self, line: &str) -> Option<SseEvent> {
        if self.text.is_empty() && !line.starts_with('{') {
            return None;
        }
        self.text.push_str(line);
        for byte in line.bytes() {
            match byte {
                b'{' => self.depth += 1,
                b'}' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        let data = (self.depth == 0).then(|| std::mem::take(&mut self.text))?;
        Some(SseEvent { event: String::new(), data })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{SseEvent, SseParser};

    fn parse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<SseEvent> {
        let (mut parser, mut events) = (SseParser::default(), Vec::new());
        for piece in pieces {
            parser.push(piece, &mut events).expect("within bounds");
        }
        events
    }

    fn event(event: &str, data: &str) -> SseEvent {
        SseEvent { event: event.into(), data: data.into() }
    }

    #[test]
    fn every_line_end_comments_and_odd_fields_are_read() {
        let text = "\u{feff}: hi\r\nevent: a\rdata: 1\ndata:2\r\n\r\nfoo: x\ndata\n\nevent: lost\n\ndata: {\"é\":1}\n\ndata: cut";
        assert_eq!(
            parse([text.as_bytes()]),
            [event("a", "1\n2"), event("", ""), event("", "{\"é\":1}")]
        );
    }

    #[test]
    fn an_object_outside_of_any_event_is_one() {
        let text = "data: 1\n\n{\r\n  \"error\": {\r\n    \"code\": 503\r\n  }\r\n}\r\n{\"a\":1}\n{\n\"cut\"\n\ndata: 2\n\n";
        let bare = event("", "{  \"error\": {    \"code\": 503  }}");
        assert_eq!(
            parse([text.as_bytes()]),
            [event("", "1"), bare, event("", "{\"a\":1}"), event("", "2")]
        );
    }

    #[test]
    fn an_endless_line_is_refused() {
        let (mut parser, mut events) = (SseParser::default(), Vec::new());
        let piece = vec![b'x'; 1024 * 1024];
        let refused = (0..10).any(|_| parser.push(&piece, &mut events).is_err());
        assert!(refused && events.is_empty());
    }

    proptest! {
        #[test]
        fn the_pieces_make_no_difference(
            text in "(\u{feff})?((event|data|id|:|\\{|\\})?:? ?[aé\u{1F600}]{0,3}(\r\n|\r|\n)){0,12}",
            cuts in proptest::collection::vec(0_usize..120, 0..8),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            prop_assert_eq!(parse(pieces), parse([bytes]));
        }
    }
}
