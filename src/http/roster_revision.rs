//! Which roster answers: every response of the data and admin planes says its revision.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::registry::Registry;

pub(super) static ROSTER_REVISION: HeaderName =
    HeaderName::from_static("x-rolecall-roster-revision");

/// Whether an answer at this path says which roster has answered.
pub(super) fn is_told_at(path: &str) -> bool {
    path.starts_with("/v1/") || path.starts_with("/admin/v1/")
}

/// Names the roster in memory, unless the handler has named the one that it used.
pub(super) fn tell(headers: &mut HeaderMap, registry: &Registry) {
    let revision = || HeaderValue::from(registry.roster().revision);
    headers.entry(&ROSTER_REVISION).or_insert_with(revision);
}
