//! What every answer of a run says about it: natively and on the faces.

use http::{HeaderMap, HeaderName, HeaderValue};

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
    let values = [
        ("x-rolecall-agent", Some(run.agent.name.clone())),
        ("x-rolecall-revision", Some(run.agent.revision.to_string())),
        ("x-rolecall-dispatch", Some(run.dispatch_id.to_string())),
        ("x-rolecall-run", Some(run.id.to_string())),
        ("x-rolecall-model", Some(run.model.resolved.clone())),
        ("x-rolecall-attempts", Some(run.request_count().to_string())),
        (ROSTER_REVISION, roster_revision.map(|revision| revision.to_string())),
    ];
    let mut headers = HeaderMap::with_capacity(values.len());
    for (name, value) in values {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
}
