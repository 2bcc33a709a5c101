//! One answer of a provider as a sequence of chat events, under its clocks.

use std::collections::VecDeque;

use super::dialect::Decoder;
use super::transport::Answer;
use super::{Clocks, ProviderError, SseParser};
use crate::chat::ChatEvent;

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
    decoder: Box<dyn Decoder>,
    clocks: Clocks,
    has_content: bool,
}

impl ChatStream {
    /// An answer that is there already.
    pub(super) fn ready(events: Vec<ChatEvent>) -> Self {
        Self { ready: events.into(), source: None, is_finished: false }
    }

    pub(super) fn following(answer: Answer, decoder: Box<dyn Decoder>, clocks: Clocks) -> Self {
        let source =
            Source { answer, parser: SseParser::default(), decoder, clocks, has_content: false };
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
            let events = match &mut self.source {
                Some(source) => source.next_events().await,
                None => Ok(None),
            };
            match events {
                Ok(Some(events)) => self.ready.extend(events),
                // Nothing after the finish reason can spoil the answer.
                Ok(None) | Err(_) if self.is_finished => return Ok(None),
                Ok(None) => return Err(ProviderError::Truncated),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Source {
    async fn next_events(&mut self) -> Result<Option<Vec<ChatEvent>>, ProviderError> {
        let (phase, limit) = if self.has_content {
            ("between two pieces of its answer", self.clocks.idle)
        } else {
            ("before its first token", self.clocks.first_token)
        };
        let piece = tokio::time::timeout(limit, self.answer.next_piece())
            .await
            .map_err(|_| ProviderError::Silent { phase, limit })??;
        let Some(piece) = piece else { return Ok(None) };
        let (mut frames, mut events) = (Vec::new(), Vec::new());
        self.parser.push(&piece, &mut frames)?;
        for frame in &frames {
            events.extend(self.decoder.decode(frame)?);
        }
        self.has_content |= events.iter().any(ChatEvent::is_content);
        Ok(Some(events))
    }
}
