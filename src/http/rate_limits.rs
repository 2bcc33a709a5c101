//! Requests by the minute, and the headers that tell a caller what is left: in the words of each protocol.
//!
//! Every `POST` of the data plane counts, so that no path can be forgotten; only to end a run is free.

use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{SecondsFormat, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use uuid::Uuid;

use super::error::ApiError;
use super::faces::Face;
use crate::limits::{Limits, Standing};

const FREE: &[&str] = &["/v1/runs/{id}/cancel", "/v1/responses/{id}/cancel"];

/// Counts a request of a caller, and says on every answer what is left.
pub(super) async fn count(limits: &Limits, key_id: Uuid, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    if request.method() != Method::POST || FREE.contains(&path) {
        return next.run(request).await;
    }
    let face = Face::of(path, request.headers());
    let mut response = match limits.take_request(key_id) {
        Ok(()) => next.run(request).await,
        Err(refusal) => ApiError::from(refusal).into_response(),
    };
    // Behind the handler: a run has reserved its tokens.
    let standings = limits.standings(key_id);
    let of = [("requests", standings.requests), ("tokens", standings.tokens)];
    for (what, standing) in of {
        if let Some(standing) = standing {
            tell(response.headers_mut(), face, what, standing);
        }
    }
    response
}

fn tell(headers: &mut HeaderMap, face: Option<Face>, what: &str, standing: Standing) {
    let Standing { limit, remaining, full_in } = standing;
    let is_anthropic = face == Some(Face::Anthropic);
    let reset = if is_anthropic {
        let full_at = Utc::now() + full_in;
        full_at.to_rfc3339_opts(SecondsFormat::Secs, true)
    } else {
        in_words(full_in)
    };
    let told =
        [("limit", limit.to_string()), ("remaining", remaining.to_string()), ("reset", reset)];
    for (name, value) in told {
        // <https://docs.claude.com/en/api/rate-limits>, <https://platform.openai.com/docs/guides/rate-limits>
        let name = if is_anthropic {
            format!("anthropic-ratelimit-{what}-{name}")
        } else {
            format!("x-ratelimit-{name}-{what}")
        };
        let header = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
        if let Some((name, value)) = header {
            headers.insert(name, value);
        }
    }
}

/// As OpenAI writes it: `1m30s`, `12s`, `350ms`.
fn in_words(duration: Duration) -> String {
    let milliseconds = duration.as_nanos().div_ceil(1_000_000);
    let (seconds, rest) = (milliseconds / 1_000, milliseconds % 1_000);
    match (seconds / 60, seconds % 60) {
        (0, 0) => format!("{rest}ms"),
        (minutes, seconds) => {
            let minutes = if minutes > 0 { format!("{minutes}m") } else { String::new() };
            let fraction = if rest > 0 { format!(".{rest:03}") } else { String::new() };
            format!("{minutes}{seconds}{fraction}s")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::in_words;

    #[test]
    fn durations_are_written_as_openai_writes_them() {
        let words = |milliseconds| in_words(Duration::from_millis(milliseconds));
        assert_eq!(words(0), "0ms");
        assert_eq!(words(350), "350ms");
        assert_eq!(words(12_000), "12s");
        assert_eq!(words(12_050), "12.050s");
        assert_eq!(words(90_000), "1m30s");
        assert_eq!(words(360_000), "6m0s");
    }
}
