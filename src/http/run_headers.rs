//! What every answer of a run says about it: natively and on the faces.

use std::convert::Infallible;

use axum::response::{IntoResponseParts, ResponseParts};
use http::{HeaderName, HeaderValue};
use uuid::Uuid;

use super::roster_revision::ROSTER_REVISION;
use crate::conversation::{Run, RunStatus};

pub(super) static AGENT: HeaderName = HeaderName::from_static("x-rolecall-agent");
pub(super) static RUN_ID: HeaderName = HeaderName::from_static("x-rolecall-run");
pub(super) static MODEL: HeaderName = HeaderName::from_static("x-rolecall-model");
/// How many requests to providers it took.
pub(super) static REQUESTS: HeaderName = HeaderName::from_static("x-rolecall-attempts");
static REVISION: HeaderName = HeaderName::from_static("x-rolecall-revision");
pub(super) static DISPATCH: HeaderName = HeaderName::from_static("x-rolecall-dispatch");

/// Whether a run has ended without an answer that a stream could begin with.
pub(super) fn is_refusal(run: &Run) -> bool {
    let is_empty = run.output.as_ref().is_none_or(String::is_empty) && run.tool_calls.is_empty();
    run.status.is_end() && run.status != RunStatus::Completed && is_empty
}

/// Which agent, revision and model answer, and how many requests that takes.
pub(super) struct RunHeaders([(&'static HeaderName, Option<HeaderValue>); 7]);

/// Other headers of an answer: its type and length, the request's id, what is left of the limits.
const OTHERS: usize = 10;

/// What is said of a run. Without a roster's revision, the present one is named.
pub(super) fn run_headers(run: &Run, roster_revision: Option<i64>) -> RunHeaders {
    let text = |text: &str| HeaderValue::from_str(text).ok();
    let id = |id: Uuid| text(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    RunHeaders([
        (&AGENT, text(&run.agent.name)),
        (&REVISION, Some(run.agent.revision.into())),
        (&DISPATCH, id(run.dispatch_id)),
        (&RUN_ID, id(run.id)),
        (&MODEL, text(&run.model.resolved)),
        (&REQUESTS, Some(run.request_count().into())),
        (&ROSTER_REVISION, roster_revision.map(HeaderValue::from)),
    ])
}

impl IntoResponseParts for RunHeaders {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        let headers = parts.headers_mut();
        // At once, so that the map is not made anew again and again.
        headers.reserve(self.0.len() + OTHERS);
        for (name, value) in self.0 {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        Ok(parts)
    }
}
