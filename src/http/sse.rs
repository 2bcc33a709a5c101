//! Server-sent events towards callers: their frames, the stream of them that is never silent for long, and a run as
//! frames of the native protocol.
//!
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>

use std::convert::Infallible;
use std::fmt::Write;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderName, HeaderValue, header};
use tokio::time::Instant;

use super::state::Settings;
use crate::conversation::{NumberedEvent, RunFollower, RunHandle};
use crate::provider::SilenceTimer;

const EVENT_STREAM: (HeaderName, HeaderValue) =
    (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
const NO_CACHE: (HeaderName, HeaderValue) =
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
/// Tells nginx and its kin not to gather events before they pass them on.
const NO_BUFFERING: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// A frame as it is sent. A stream is little else, so that each is written once and copied no more.
#[derive(Debug)]
pub(super) struct SseFrame(Vec<u8>);

impl SseFrame {
    /// An event of that name, or of none if that is empty.
    pub fn new(name: &str, data: &str) -> Self {
        let mut frame = String::with_capacity(name.len() + data.len() + 24);
        write_event(&mut frame, name, data);
        Self(frame.into_bytes())
    }

    /// An event of the native protocol. Its data is JSON, which has no line breaks but between its words, and is told on one
    /// line for those who read lines.
    pub fn numbered(sequence: usize, name: &str, data: &str) -> Self {
        let mut frame = String::with_capacity(name.len() + data.len() + 48);
        let _ = write!(frame, "id: {sequence}\nevent: {name}\ndata:");
        for line in data.split(['\n', '\r']) {
            frame.push(' ');
            frame.push_str(line);
        }
        frame.push_str("\n\n");
        Self(frame.into_bytes())
    }

    /// What clients pass over.
    pub fn comment(text: &str) -> Self {
        Self(format!(": {text}\n\n").into_bytes())
    }

    /// An event without a name, whose data `write` writes as one line of about so many bytes.
    pub fn of_line(bytes: usize, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut frame = Vec::with_capacity(bytes + 16);
        frame.extend_from_slice(b"data: ");
        write(&mut frame);
        frame.extend_from_slice(b"\n\n");
        Self(frame)
    }
}

/// Data of several lines has a field for each.
fn write_event(frame: &mut String, name: &str, data: &str) {
    if !name.is_empty() {
        let _ = writeln!(frame, "event: {name}");
    }
    for line in data.split(['\n', '\r']) {
        frame.push_str("data: ");
        frame.push_str(line);
        frame.push('\n');
    }
    frame.push('\n');
}

/// The answer that streams these frames, and `silence` whenever there is none for the interval of the settings.
pub(super) fn respond(
    frames: impl Stream<Item = SseFrame> + Send + 'static,
    silence: SseFrame,
    settings: &Settings,
) -> Response {
    let interval = settings.keep_alive_interval;
    let last = Instant::now();
    let timer = SilenceTimer::new(last + interval);
    let (frames, silence) = (frames.boxed(), silence.0.into());
    let stream = Lively { frames, silence, interval, last, timer };
    ([EVENT_STREAM, NO_CACHE, NO_BUFFERING], Body::from_stream(stream)).into_response()
}

/// Frames with signs of life between them.
struct Lively {
    frames: stream::BoxStream<'static, SseFrame>,
    silence: Bytes,
    interval: Duration,
    /// When anything was said.
    last: Instant,
    timer: SilenceTimer,
}

impl Stream for Lively {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(frame) = self.frames.poll_next_unpin(context) {
            self.last = Instant::now();
            return Poll::Ready(frame.map(|frame| Ok(frame.0.into())));
        }
        let deadline = self.last + self.interval;
        ready!(self.timer.poll_passed(deadline, context));
        self.last = Instant::now();
        Poll::Ready(Some(Ok(self.silence.clone())))
    }
}

/// Streams a run to its end. The run is cancelled when the caller leaves, which drops the stream.
pub(super) fn stream_run(handle: RunHandle, settings: &Settings) -> Response {
    let events = stream::unfold(handle, |mut handle| async move {
        let (sequence, event) = handle.next().await?;
        Some((event.numbered(sequence), handle))
    });
    respond_with_events(events, settings)
}

/// Streams the events of a run that does not depend on who reads them.
pub(super) fn follow_run(follower: RunFollower, settings: &Settings) -> Response {
    let events = stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((event, follower))
    });
    respond_with_events(events, settings)
}

fn respond_with_events(
    events: impl Stream<Item = NumberedEvent> + Send + 'static,
    settings: &Settings,
) -> Response {
    let frames = events
        .map(|NumberedEvent { sequence, name, data }| SseFrame::numbered(sequence, &name, &data));
    respond(frames, SseFrame::comment("keep-alive"), settings)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::{StreamExt, stream};
    use tokio::time::{Instant, sleep};

    use super::{Lively, SilenceTimer, SseFrame};

    fn text(frame: SseFrame) -> String {
        String::from_utf8(frame.0).expect("is text")
    }

    #[test]
    fn frames_are_written_by_the_standard() {
        assert_eq!(text(SseFrame::new("", "{}")), "data: {}\n\n");
        assert_eq!(
            text(SseFrame::new("ping", "1\n\r2")),
            "event: ping\ndata: 1\ndata: \ndata: 2\n\n"
        );
        assert_eq!(text(SseFrame::numbered(7, "usage", "{}")), "id: 7\nevent: usage\ndata: {}\n\n");
        let two_lines = text(SseFrame::numbered(7, "tool.call", "{\n\"a\":1}"));
        assert_eq!(two_lines, "id: 7\nevent: tool.call\ndata: { \"a\":1}\n\n");
        assert_eq!(text(SseFrame::comment("keep-alive")), ": keep-alive\n\n");
        assert_eq!(text(SseFrame::of_line(2, |line| line.extend(b"[1]"))), "data: [1]\n\n");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_told_an_interval_after_the_last_frame() {
        let second = Duration::from_secs(1);
        let frames = stream::unfold(0, move |count: u32| async move {
            sleep([7, 25, 100][count as usize] * second).await;
            (count < 2).then(|| (SseFrame::new("", &count.to_string()), count + 1))
        });
        let began = Instant::now();
        let stream = Lively {
            frames: frames.boxed(),
            silence: ": \n\n".into(),
            interval: 10 * second,
            last: began,
            timer: SilenceTimer::new(began + 10 * second),
        };
        let told = stream.map(move |frame| (began.elapsed().as_secs(), frame.expect("is sent")));
        let told: Vec<(u64, axum::body::Bytes)> = told.take(5).collect().await;
        let frames = [
            (7, "data: 0\n\n"),
            (17, ": \n\n"),
            (27, ": \n\n"),
            (32, "data: 1\n\n"),
            (42, ": \n\n"),
        ];
        assert_eq!(told, frames.map(|(at, text)| (at, text.into())));
    }
}
