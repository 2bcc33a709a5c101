//! Runs: making one, streamed or not, in the background or not.

mod body;
mod events;
mod records;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{StatusCode, header};

pub use body::CreateRun;
pub use events::{__path_get_run_events, get_run_events};
pub use records::{
    __path_cancel_run, __path_get_run, __path_list_runs, cancel_run, get_run, list_runs,
};

use crate::access::Caller;
use crate::conversation::{Conversations, Run, RunHandle, RunStatus, StartedRun};
use crate::http::error::{ApiError, ProblemBody};
use crate::http::extract::IdempotentJson;
use crate::http::run_headers::{is_refusal, run_headers};
use crate::http::sse;
use crate::http::state::Settings;

/// Picks an agent, unless one is named, and lets it answer.
///
/// With `stream: true` the answer is a stream of events, each with a sequence `id`: `run.started`,
/// `agent.selected`, `text.delta`, `tool.call`, `tool.result`, `usage`, and one of `run.completed`, `run.failed`,
/// `run.cancelled`, `run.truncated`, whose data is the run. Tools of the operator's servers are executed; calls of the
/// caller's own are handed back. With `background: true` the run goes on when the
/// caller leaves; without `stream` it is answered at once, as it has begun.
#[utoipa::path(
    post, path = "/v1/runs", tag = "runs",
    request_body = CreateRun,
    params(("Idempotency-Key" = Option<String>, Header, description = "Requests with this key are one request")),
    responses(
        (status = 200, description = "The run", content(
            (Run = "application/json"),
            (String = "text/event-stream"),
        )),
        (status = 202, description = "The run has begun in the background", body = Run),
        (status = 409, description = "The run of this `Idempotency-Key` is still under way", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "No agent fits, or the `Idempotency-Key` was used for another request", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "There is no such agent, model or conversation", body = ProblemBody, content_type = "application/problem+json"),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn create_run(
    State(conversations): State<Conversations>,
    State(settings): State<Settings>,
    Extension(caller): Extension<Caller>,
    IdempotentJson { body, idempotency }: IdempotentJson<CreateRun>,
) -> Result<Response, ApiError> {
    let (is_streaming, is_background) = (body.stream, body.background);
    let mut handle = match conversations.start_run(body.read(&caller, idempotency)?).await? {
        StartedRun::New(handle) => handle,
        StartedRun::Repeated(run) => {
            return Ok(repeat(&conversations, &settings, *run, is_streaming));
        }
    };
    if is_streaming {
        return Ok(stream(handle, &settings).await);
    }
    let roster_revision = Some(handle.roster_revision);
    if is_background {
        let run = handle.run();
        let location = [(header::LOCATION, format!("/v1/runs/{}", run.id))];
        let headers = run_headers(&run, roster_revision);
        return Ok((StatusCode::ACCEPTED, headers, location, Json(run)).into_response());
    }
    let run = handle.wait_for_end().await;
    let headers = run_headers(&run, roster_revision);
    Ok(match run.status {
        RunStatus::Completed => (headers, Json(run)).into_response(),
        _ => (headers, ApiError::of_run(&run)).into_response(),
    })
}

/// The status waits for the first content, so that a failure before it has its own.
async fn stream(mut handle: RunHandle, settings: &Settings) -> Response {
    let ended = handle.wait_for_content(settings.hold).await;
    let run = ended.as_deref().cloned().unwrap_or_else(|| handle.run());
    let headers = run_headers(&run, Some(handle.roster_revision));
    if is_refusal(&run) {
        return (headers, ApiError::of_run(&run)).into_response();
    }
    (headers, sse::stream_run(handle, settings)).into_response()
}

/// Answers as the run was answered that the same request has made before.
fn repeat(
    conversations: &Conversations,
    settings: &Settings,
    run: Run,
    is_streaming: bool,
) -> Response {
    let headers = run_headers(&run, None);
    match run.status {
        _ if is_streaming && !is_refusal(&run) => {
            (headers, sse::follow_run(conversations.follow_run(run.id, 0), settings))
                .into_response()
        }
        RunStatus::Completed => (headers, Json(run)).into_response(),
        _ => (headers, ApiError::of_run(&run)).into_response(),
    }
}
