//! A run as server-sent events: each with a sequence number, the last one the run's end.

use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use http::{HeaderName, HeaderValue};

use super::state::Settings;
use crate::conversation::{NumberedEvent, RunFollower, RunHandle};

/// Tells nginx and its kin not to gather events before they pass them on.
pub(super) const NO_BUFFERING: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// Streams a run to its end. The run is cancelled when the caller leaves, which drops the stream.
pub(super) fn stream_run(handle: RunHandle, settings: &Settings) -> Response {
    let events = stream::unfold(handle, |mut handle| async move {
        let (sequence, event) = handle.next().await?;
        Some((event.numbered(sequence), handle))
    });
    respond(events, settings)
}

/// Streams the events of a run that does not depend on who reads them.
pub(super) fn follow_run(follower: RunFollower, settings: &Settings) -> Response {
    let events = stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((event, follower))
    });
    respond(events, settings)
}

fn respond(
    events: impl Stream<Item = NumberedEvent> + Send + 'static,
    settings: &Settings,
) -> Response {
    use futures_util::StreamExt;
    let frames = events.map(|NumberedEvent { sequence, name, data }| {
        let frame = Event::default().id(sequence.to_string()).event(name).data(data);
        Ok::<_, Infallible>(frame)
    });
    let keep_alive = KeepAlive::new().interval(settings.keep_alive_interval).text("keep-alive");
    ([NO_BUFFERING], Sse::new(frames).keep_alive(keep_alive)).into_response()
}
