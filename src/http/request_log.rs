//! Around every request: its id, the roster that answers, its line in the log, and the body of its problem if it has one.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, header};
use uuid::Uuid;

use super::error::{ApiError, Problem};
use super::error_code::ErrorCode;
use super::faces::Face;
use super::roster_revision;
use super::run_headers::{AGENT, MODEL, REQUESTS, RUN_ID};
use crate::registry::Registry;
use crate::telemetry::{metrics, traces};

/// The header that carries a request's id, in and out.
pub(super) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const MAX_REQUEST_ID_LENGTH: usize = 128;

pub(super) async fn log_request(
    State(registry): State<Registry>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    // The pattern of the path, not the path: what callers put into it stays out of the log.
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "(none)".to_owned(), |path| path.as_str().to_owned());
    let face = Face::of(&path, request.headers());
    let names_roster = roster_revision::is_told_at(request.uri().path());
    let trace = traces::of_caller(request.headers());
    let mut response = trace.around(next.run(request)).await;
    let problem = response.extensions_mut().remove::<Problem>();
    if let Some(Problem(error)) = &problem {
        response = with_body(response, error, &id, face);
    }
    if names_roster {
        roster_revision::tell(response.headers_mut(), &registry);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        if let Some(name) = face.and_then(Face::request_id_header) {
            response.headers_mut().insert(name, value.clone());
        }
        response.headers_mut().insert(&REQUEST_ID, value);
    }
    metrics::request_answered(&path, &method, response.status(), started.elapsed());
    let status = response.status().as_u16();
    let elapsed_ms = started.elapsed().as_millis();
    let code = problem.as_ref().map(|problem| problem.0.code().as_str());
    let cause = problem.as_ref().and_then(|problem| problem.0.causes());
    let header = |name| response.headers().get(name)?.to_str().ok().map(tracing::field::display);
    let (run, agent) = (header(&RUN_ID), header(&AGENT));
    let (model, requests) = (header(&MODEL), header(&REQUESTS));
    // Probes come every few seconds, and a service that is starting is no failure.
    let is_probe = matches!(path.as_str(), "/livez" | "/readyz");
    if is_probe {
        tracing::debug!(request.id = %id, %method, path, status, elapsed_ms, "probe");
    } else if status >= 500 {
        tracing::error!(
            request.id = %id, %method, path, status, elapsed_ms, code, cause, run.id = run, agent.name = agent,
            run.model = model, run.requests = requests,
            "request failed"
        );
    } else {
        tracing::info!(
            request.id = %id, %method, path, status, elapsed_ms, code, run.id = run, agent.name = agent,
            run.model = model, run.requests = requests,
            "request"
        );
    }
    response
}

/// The answer to a handler that panicked.
pub(super) fn panicked(_panic: Box<dyn std::any::Any + Send>) -> Response {
    ApiError::new(ErrorCode::Internal, "the service failed to handle the request").into_response()
}

fn with_body(mut response: Response, error: &ApiError, id: &str, face: Option<Face>) -> Response {
    let (body, content_type) = match face {
        Some(face) => (serde_json::to_vec(&face.error_body(error, id)), "application/json"),
        None => (serde_json::to_vec(&error.body(id.to_owned())), "application/problem+json"),
    };
    let body = body.unwrap_or_default();
    *response.body_mut() = body.into();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The caller's own id if it is harmless, else a new one.
fn request_id(request: &Request) -> String {
    request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| !id.is_empty() && id.len() <= MAX_REQUEST_ID_LENGTH)
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_graphic()))
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}
