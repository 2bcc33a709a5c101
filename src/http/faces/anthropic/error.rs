//! Errors as Anthropic's clients read them. <https://docs.claude.com/en/api/errors>

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::http::error::ApiError;
use crate::http::error_code::ErrorCode;

/// By these words clients notice that a conversation has to be shortened: the protocol has no code for it.
const TOO_LONG: &str = "prompt is too long";

/// An error before a stream has its request's id; one inside has not.
pub(in crate::http::faces) fn error_body(error: &ApiError, request_id: Option<&str>) -> Value {
    let mut body = json!({
        "type": "error",
        "error": {"type": kind(error.code()), "message": message(error)},
    });
    if let Some(request_id) = request_id {
        body["request_id"] = json!(request_id);
    }
    body
}

fn kind(code: ErrorCode) -> &'static str {
    match code.status().as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

fn message(error: &ApiError) -> Cow<'_, str> {
    let message = error.message();
    if error.code() == ErrorCode::ContextLengthExceeded && !message.contains(TOO_LONG) {
        return Cow::Owned(format!("{TOO_LONG}: {message}"));
    }
    match error.field().filter(|pointer| !pointer.is_empty()) {
        Some(pointer) => Cow::Owned(format!("{}: {message}", pointer[1..].replace('/', "."))),
        None => Cow::Borrowed(message),
    }
}
