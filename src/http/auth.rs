//! Who calls: the key of a request, checked against the scope that its path asks for and the limits of the key.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};

use super::error::ApiError;
use super::error_code::ErrorCode;
use super::rate_limits;
use crate::access::{Access, Caller, Scope};
use crate::limits::Limits;

/// What a group of paths asks for.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    pub access: Access,
    pub scope: Scope,
    /// There if requests are counted.
    pub limits: Option<Limits>,
}

/// Lets a request pass whose key has the scope, and tells the handler who calls.
pub(super) async fn check(
    State(guard): State<Guard>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let caller = authenticate(&guard.access, request.headers())?;
    if !caller.allows(guard.scope) {
        let detail = match guard.scope {
            Scope::Admin if caller.permitted_agents().is_some() => {
                "a key that is restricted to agents permits no administration".to_owned()
            }
            scope => format!("the key does not have the scope `{}`", scope.as_str()),
        };
        return Err(ApiError::new(ErrorCode::Forbidden, detail));
    }
    let key_id = caller.key_id();
    request.extensions_mut().insert(caller);
    Ok(match &guard.limits {
        Some(limits) => rate_limits::count(limits, key_id, request, next).await,
        None => next.run(request).await,
    })
}

fn authenticate(access: &Access, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let key = presented_key(headers).ok_or_else(|| {
        ApiError::new(
            ErrorCode::Unauthenticated,
            "send an API key as `Authorization: Bearer …` or `x-api-key: …`",
        )
    })?;
    access.authenticate(key).ok_or_else(|| {
        ApiError::new(ErrorCode::Unauthenticated, "the API key is unknown, revoked or expired")
    })
}

fn presented_key(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = text(value)?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key)
    });
    let key = bearer.or_else(|| text(headers.get("x-api-key")?));
    key.map(str::trim).filter(|key| !key.is_empty())
}

/// A header's value as UTF-8: a key that the operator gives need not be ASCII.
fn text(value: &HeaderValue) -> Option<&str> {
    std::str::from_utf8(value.as_bytes()).ok()
}
