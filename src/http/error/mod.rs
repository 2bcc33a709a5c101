//! Errors as they are answered: `application/problem+json` (RFC 9457) with a stable code.
//!
//! Which error of a component has which code is known to `of_component.rs` alone.

mod of_component;

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::error_code::ErrorCode;
use super::run_headers;
use crate::definition::Diagnostic;
use crate::dispatch::{Outcome, Ranked};
use crate::provider::Attempt;
use crate::telemetry::causes;

/// What the `type` of a problem begins with. It names the problem and need not be fetched.
const TYPE_PREFIX: &str = "urn:rolecall:errors/";

/// When to try again if nothing better is known.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// An error on its way to the caller.
#[derive(Debug)]
pub struct ApiError {
    /// Boxed: results that carry an error should not be larger for it.
    problem: Box<Details>,
}

#[derive(Debug)]
struct Details {
    code: ErrorCode,
    detail: String,
    errors: Vec<FieldError>,
    /// Further members of the problem document.
    extra: Map<String, Value>,
    retry_after: Option<Duration>,
    /// Whether the caller's client need not try again at once: the service has done so, or only an operator can help.
    is_final: bool,
    /// The provider's own words about the caller's request.
    provider_message: Option<String>,
    /// Its own words for what is wrong with it, and for the field that is, if it speaks a protocol of OpenAI's.
    provider_code: Option<String>,
    provider_param: Option<String>,
    /// For the log alone.
    cause: Option<Cause>,
}

/// A bad field of a request.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the field.
    pub pointer: String,
    pub detail: String,
}

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    /// A stable word for programs.
    pub code: String,
    pub request_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    #[serde(flatten)]
    #[schema(value_type = ProblemMembers)]
    pub extra: Map<String, Value>,
}

/// What some problems say besides. `of_component.rs` knows which.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the members that a map holds")]
pub struct ProblemMembers {
    /// Of `no_matching_agent`: the decision, which is on record.
    #[schema(nullable = false)]
    dispatch_id: Option<Uuid>,
    #[schema(nullable = false)]
    outcome: Option<Outcome>,
    /// Who came nearest.
    #[schema(nullable = false)]
    ranked: Option<Vec<Ranked>>,
    /// Of a run that has failed, or that is in the way.
    #[schema(nullable = false)]
    run_id: Option<Uuid>,
    /// Its requests to providers.
    #[schema(nullable = false)]
    attempts: Option<Vec<Attempt>>,
    /// Of `invalid_definition`: what is wrong with the file.
    #[schema(nullable = false)]
    diagnostics: Option<Vec<Diagnostic>>,
    /// Of `revision_mismatch`: null if the agent has none.
    live_revision: Option<i32>,
}

/// What the request log finds on a response: the problem, whose request id it knows.
#[derive(Clone)]
pub(super) struct Problem(pub Arc<ApiError>);

type Cause = Box<dyn std::error::Error + Send + Sync>;

impl ApiError {
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        let problem = Details {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            extra: Map::new(),
            retry_after: None,
            is_final: false,
            provider_message: None,
            provider_code: None,
            provider_param: None,
            cause: None,
        };
        Self { problem: Box::new(problem) }
    }

    /// A request with one bad field.
    pub fn invalid_field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let mut error = Self::new(ErrorCode::InvalidRequest, detail.clone());
        error.problem.errors.push(FieldError { pointer: pointer.into(), detail });
        error
    }

    /// The same problem of a field that lies in another one.
    #[must_use]
    pub fn within(mut self, pointer: &str) -> Self {
        for error in &mut self.problem.errors {
            error.pointer.insert_str(0, pointer);
        }
        self
    }

    /// The same problem where fields have other names.
    #[must_use]
    pub(super) fn renamed(mut self, from: &str, to: &str) -> Self {
        for error in &mut self.problem.errors {
            if let Some(rest) = error.pointer.strip_prefix(from) {
                error.pointer = format!("{to}{rest}");
            }
        }
        self
    }

    pub(super) fn at(mut self, pointer: String) -> Self {
        let detail = self.problem.detail.clone();
        self.problem.errors.push(FieldError { pointer, detail });
        self
    }

    pub fn code(&self) -> ErrorCode {
        self.problem.code
    }

    /// What clients of a provider's protocol are told: its own words where there are any, by which some recognise what
    /// went wrong.
    pub(super) fn message(&self) -> &str {
        self.problem.provider_message.as_deref().unwrap_or(&self.problem.detail)
    }

    /// What a provider calls it that speaks OpenAI's protocols, and the field that is to blame.
    pub(super) fn provider_words(&self) -> (Option<&str>, Option<&str>) {
        (self.problem.provider_code.as_deref(), self.problem.provider_param.as_deref())
    }

    /// The first bad field, as a JSON pointer.
    pub(super) fn field(&self) -> Option<&str> {
        self.problem.errors.first().map(|error| error.pointer.as_str())
    }

    /// The causes, outermost first, for the log.
    pub(super) fn causes(&self) -> Option<String> {
        self.problem.cause.as_deref().map(|cause| causes(cause))
    }

    pub(super) fn body(&self, request_id: String) -> ProblemBody {
        ProblemBody {
            kind: format!("{TYPE_PREFIX}{}", self.problem.code.as_str()),
            title: self.problem.code.title().to_owned(),
            status: self.problem.code.status().as_u16(),
            detail: self.problem.detail.clone(),
            code: self.problem.code.as_str().to_owned(),
            request_id,
            errors: self.problem.errors.clone(),
            extra: self.problem.extra.clone(),
        }
    }

    fn with(mut self, member: &str, value: Value) -> Self {
        self.problem.extra.insert(member.to_owned(), value);
        self
    }

    fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        self.problem.cause = Some(cause.into());
        self
    }

    /// The database does not answer, or refuses: our own trouble either way.
    fn database(error: sqlx::Error) -> Self {
        let is_out_of_reach = matches!(
            error,
            sqlx::Error::Io(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::Tls(_)
                | sqlx::Error::WorkerCrashed
        );
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        let api_error = if is_out_of_reach || code.is_some_and(|code| is_refused_for_now(&code)) {
            Self::new(ErrorCode::Unavailable, "the database cannot be reached at the moment")
        } else {
            Self::new(ErrorCode::Internal, "the service failed to handle the request")
        };
        api_error.caused_by(error)
    }
}

/// Whether PostgreSQL refuses because of how it stands, and not because of what it is asked: connections, passwords,
/// databases that are not there, transactions that others were in the way of, resources, operators, timeouts; servers that
/// can only be read, and locks.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn is_refused_for_now(code: &str) -> bool {
    let is_of = |class: &str| code.starts_with(class);
    ["08", "28", "3D", "40", "53", "57"].into_iter().any(is_of) || matches!(code, "25006" | "55P03")
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.problem.code.status().into_response();
        let headers = response.headers_mut();
        match self.problem.code.status().as_u16() {
            401 => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            429 | 503 => {
                let retry_after = self.problem.retry_after.unwrap_or(DEFAULT_RETRY_AFTER);
                // Up to the next second: who comes before its end comes too early.
                let seconds = retry_after.as_millis().div_ceil(1_000).max(1);
                let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
                headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            _ => {}
        }
        // Bodies in other protocols have no place for it.
        if let Some(id) = self.problem.extra.get("dispatch_id").and_then(Value::as_str)
            && let Ok(id) = HeaderValue::from_str(id)
        {
            headers.insert(&run_headers::DISPATCH, id);
        }
        // The official SDKs heed it; else each of their three requests would be three of ours.
        if self.problem.is_final && self.problem.code.is_worth_another_try() {
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        // The body is written where the request's id is known: see `request_log`.
        response.extensions_mut().insert(Problem(Arc::new(self)));
        response
    }
}
