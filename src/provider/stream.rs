//! One answer of a provider as a sequence of chat events, under its clocks.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::decoding::Decoding;
use super::dialect::Decoder;
use super::silence::SilenceTimer;
use super::transport::Answer;
use super::{Clocks, ProviderError, SseEvent, SseParser};
use crate::chat::ChatEvent;

/// How long the end of a body is waited for behind the protocol's last event.
const LINGER: Duration = Duration::from_millis(20);

/// How long anything more is waited for behind the finish reason.
const TRAIL: Duration = Duration::from_secs(5);

/// An answer under way. Dropping it closes the provider's connection.
#[derive(Debug)]
pub struct ChatStream {
    ready: VecDeque<ChatEvent>,
    source: Option<Source>,
    is_finished: bool,
}

#[derive(Debug)]
struct Source {
    answer: Answer,
    parser: SseParser,
    /// Room for what the parser finds.
    frames: Vec<SseEvent>,
    decoding: Decoding,
    clocks: Clocks,
    timer: SilenceTimer,
    /// When the headers had arrived.
    started: Instant,
    has_content: bool,
    is_finished: bool,
    /// What ends the answer once the events before it are taken.
    error: Option<ProviderError>,
}

impl ChatStream {
    /// An answer that is there already.
    pub(super) fn ready(events: Vec<ChatEvent>) -> Self {
        Self { ready: events.into(), source: None, is_finished: false }
    }

    pub(super) fn following(answer: Answer, decoder: Box<dyn Decoder>, clocks: Clocks) -> Self {
        let started = Instant::now();
        let source = Source {
            answer,
            parser: SseParser::default(),
            frames: Vec::new(),
            decoding: Decoding::new(decoder),
            timer: SilenceTimer::new(started + clocks.first_token),
            clocks,
            started,
            has_content: false,
            is_finished: false,
            error: None,
        };
        Self { ready: VecDeque::new(), source: Some(source), is_finished: false }
    }

    /// The next event; `None` after a whole answer.
    ///
    /// # Errors
    /// [`ProviderError::Truncated`] if the answer ends without a finish reason.
    pub async fn next(&mut self) -> Result<Option<ChatEvent>, ProviderError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.is_finished |= matches!(event, ChatEvent::Finished(_));
                return Ok(Some(event));
            }
            let goes_on = match &mut self.source {
                Some(source) => source.read_events(&mut self.ready).await,
                None => Ok(false),
            };
            match goes_on {
                Ok(true) => {}
                Ok(false) if self.is_finished => return Ok(None),
                // No trouble of the connection behind the finish reason spoils the answer. An error that the provider
                // itself reports does: Gemini says `STOP` before it says that it was overloaded.
                Err(error) if self.is_finished && !error.is_reported() => return Ok(None),
                Ok(false) => return Err(ProviderError::Truncated),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Source {
    /// Reads the events of the next piece; `false` at the end. What was decoded before an error comes before it.
    async fn read_events(
        &mut self,
        ready: &mut VecDeque<ChatEvent>,
    ) -> Result<bool, ProviderError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if self.decoding.is_over() {
            // The end of the body usually comes along, and a connection that was read to its end is used again.
            let _ = tokio::time::timeout(LINGER, self.answer.next_piece()).await;
            return Ok(false);
        }
        let piece = self.next_piece().await?;
        let Some(piece) = piece else { return Ok(false) };
        self.error = self.decode(&piece, ready).err();
        self.has_content |= self.is_finished || self.decoding.has_open_call();
        Ok(true)
    }

    async fn next_piece(&mut self) -> Result<Option<Bytes>, ProviderError> {
        let (phase, limit, deadline) = if self.has_content {
            let limit = if self.is_finished { TRAIL } else { self.clocks.idle };
            ("between two pieces of its answer", limit, Instant::now() + limit)
        } else {
            // Pings do not count: this clock runs from the headers to the first content.
            let limit = self.clocks.first_token;
            ("before its first token", limit, self.started + limit)
        };
        let piece = self.timer.bound(deadline, self.answer.next_piece()).await;
        piece.ok_or(ProviderError::Silent { phase, limit })?
    }

    fn decode(
        &mut self,
        piece: &[u8],
        ready: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let parsed = self.parser.push(piece, &mut self.frames);
        let before = ready.len();
        let decoding = &mut self.decoding;
        let decoded = self.frames.drain(..).try_for_each(|frame| decoding.take(frame, ready));
        for event in ready.range(before..) {
            self.is_finished |= matches!(event, ChatEvent::Finished(_));
            self.has_content |= event.is_content();
        }
        decoded.and(parsed)
    }
}
