//! A run as server-sent events: each with a sequence number, the last one the run's end.

use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};

use super::state::Settings;
use crate::conversation::{RunEvent, RunHandle, RunStatus};

/// Streams a run to its end. The run is cancelled when the caller leaves, which drops the stream.
pub(super) fn stream_run(handle: RunHandle, settings: &Settings) -> Response {
    let events = stream::unfold((handle, 0_u64), |(mut handle, sequence)| async move {
        loop {
            let event = handle.next().await?;
            if let Some((name, data)) = encode(event) {
                let sequence = sequence + 1;
                let event =
                    Event::default().id(sequence.to_string()).event(name).data(data.to_string());
                return Some((Ok::<_, Infallible>(event), (handle, sequence)));
            }
        }
    });
    let keep_alive = KeepAlive::new().interval(settings.keep_alive_interval).text("keep-alive");
    Sse::new(events).keep_alive(keep_alive).into_response()
}

/// Thinking is a sign of life, which the keep-alive gives; the served model is in the headers and in the end.
fn encode(event: RunEvent) -> Option<(&'static str, Value)> {
    Some(match event {
        RunEvent::Started { id } => ("run.started", json!({"id": id})),
        RunEvent::AgentSelected { agent, dispatch_id, outcome, confidence } => (
            "agent.selected",
            json!({
                "agent": agent,
                "dispatch_id": dispatch_id,
                "outcome": outcome,
                "confidence": confidence,
            }),
        ),
        RunEvent::TextDelta(text) => ("text.delta", json!({"text": text})),
        RunEvent::Thinking | RunEvent::ModelServed(_) => return None,
        RunEvent::ToolCall(call) => (
            "tool.call",
            json!({"id": call.id, "name": call.name, "arguments": call.arguments, "server": null}),
        ),
        RunEvent::Usage(usage) => ("usage", json!(usage)),
        RunEvent::Ended(run) => {
            let name = match run.status {
                RunStatus::Completed => "run.completed",
                RunStatus::Cancelled => "run.cancelled",
                RunStatus::Truncated => "run.truncated",
                _ => "run.failed",
            };
            (name, json!(run))
        }
    })
}
