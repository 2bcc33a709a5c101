//! Which roster answers: every response of the data and admin planes says its revision.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderValue;

use crate::registry::Registry;

pub(super) const ROSTER_REVISION: &str = "x-rolecall-roster-revision";

/// Names the roster in memory, unless the handler has named the one that it used.
pub(super) async fn name_roster(
    State(registry): State<Registry>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let is_plane = path.starts_with("/v1/") || path.starts_with("/admin/v1/");
    let mut response = next.run(request).await;
    if is_plane {
        let revision = HeaderValue::from(registry.roster().revision);
        response.headers_mut().entry(ROSTER_REVISION).or_insert(revision);
    }
    response
}
