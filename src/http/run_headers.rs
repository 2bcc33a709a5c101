//! What every answer of a run says about it: natively and on the faces.

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use super::roster_revision::ROSTER_REVISION;
use crate::conversation::{Run, RunStatus};

/// Whether a run has ended without an answer that a stream could begin with.
pub(super) fn is_refusal(run: &Run) -> bool {
    let is_empty = run.output.as_ref().is_none_or(String::is_empty) && run.tool_calls.is_empty();
    run.status.is_end() && run.status != RunStatus::Completed && is_empty
}

/// Which agent, revision and model answer, and how many requests that takes. Without a roster's revision, the
/// present one is named.
pub(super) fn run_headers(run: &Run, roster_revision: Option<i64>) -> HeaderMap {
    let text = |text: &str| HeaderValue::from_str(text).ok();
    let id = |id: Uuid| text(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    let values = [
        ("x-rolecall-agent", text(&run.agent.name)),
        ("x-rolecall-revision", Some(run.agent.revision.into())),
        ("x-rolecall-dispatch", id(run.dispatch_id)),
        ("x-rolecall-run", id(run.id)),
        ("x-rolecall-model", text(&run.model.resolved)),
        ("x-rolecall-attempts", Some(run.request_count().into())),
        (ROSTER_REVISION, roster_revision.map(HeaderValue::from)),
    ];
    let mut headers = HeaderMap::with_capacity(values.len());
    for (name, value) in values {
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
}
