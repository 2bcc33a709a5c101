//! A change of an agent as requests ask for it: of which one, by whom, on which condition.

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};

use super::agents::{not_found, refuse_slash};
use crate::access::Caller;
use crate::definition::AgentName;
use crate::http::error::ApiError;
use crate::http::error_code::ErrorCode;
use crate::http::extract::{ApiPath, NoQuery};
use crate::http::state::AppState;
use crate::registry::{Change, Precondition};

/// What the requests have in common that change an agent without a file: its name in the path, a condition in the headers,
/// and no query.
pub struct AgentChange {
    caller: Caller,
    name: String,
    headers: HeaderMap,
}

impl FromRequestParts<AppState> for AgentChange {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let ApiPath(name) = ApiPath::from_request_parts(parts, state).await?;
        let NoQuery = NoQuery::from_request_parts(parts, state).await?;
        let caller = parts.extensions.get().cloned().expect("who has no key comes no further");
        Ok(Self { caller, name, headers: parts.headers.clone() })
    }
}

impl AgentChange {
    /// Behind the body, whose faults are told first.
    pub(super) fn read(&self) -> Result<(AgentName, Change), ApiError> {
        let change = read_change(&self.caller, &self.headers)?;
        Ok((known_name(&self.name)?, change))
    }
}

/// A name in a path that may be an agent's.
pub(super) fn known_name(name: &str) -> Result<AgentName, ApiError> {
    refuse_slash(name)?;
    AgentName::parse(name).ok_or_else(|| not_found(name))
}

/// A change that a caller asks for, on the condition in the headers.
pub(super) fn read_change(caller: &Caller, headers: &HeaderMap) -> Result<Change, ApiError> {
    Ok(Change { author: caller.author(), precondition: precondition(headers)? })
}

fn precondition(headers: &HeaderMap) -> Result<Precondition, ApiError> {
    let text = |name| {
        headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default().trim())
    };
    if let Some(etag) = text(header::IF_MATCH) {
        if etag == "*" {
            return Ok(Precondition::Present);
        }
        let revision = etag.trim_start_matches("W/").trim_matches('"').parse();
        return revision.map(Precondition::LiveRevision).map_err(|_| {
            ApiError::new(
                ErrorCode::InvalidRequest,
                "`If-Match` must be the ETag of a revision, such as \"3\"",
            )
        });
    }
    match text(header::IF_NONE_MATCH) {
        None => Ok(Precondition::None),
        Some("*") => Ok(Precondition::Absent),
        Some(_) => Err(ApiError::new(
            ErrorCode::InvalidRequest,
            "`If-None-Match` is understood as `*` only: create, and do not overwrite",
        )),
    }
}
