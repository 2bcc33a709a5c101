//! Errors as OpenAI's clients read them. <https://platform.openai.com/docs/guides/error-codes>

use serde_json::{Value, json};

use crate::http::error::ApiError;
use crate::http::error_code::ErrorCode;

/// The protocol's word for an account without money: its clients tell it from a rate that will be lower in a moment.
const NO_MONEY: &str = "insufficient_quota";

/// The body of an error.
pub(in crate::http::faces) fn error_body(error: &ApiError) -> Value {
    let param = match (error.provider_words(), error.code()) {
        ((_, Some(param)), _) => Some(param.to_owned()),
        (_, ErrorCode::ModelNotFound) => Some("model".to_owned()),
        _ => error.field().map(parameter),
    };
    json!({"error": {
        "message": error.message(),
        "type": kind(error.code()),
        "param": param,
        "code": error_code(error),
    }})
}

fn kind(code: ErrorCode) -> &'static str {
    match code.status().as_u16() {
        429 if code == ErrorCode::BudgetExceeded => NO_MONEY,
        429 => "rate_limit_error",
        403 => "permission_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

/// The protocol's word for what went wrong: its provider's own where there is one.
pub(super) fn error_code(error: &ApiError) -> &str {
    let (code_of_provider, _) = error.provider_words();
    code_of_provider.unwrap_or_else(|| code(error.code()))
}

/// The protocol's word where it has one, else ours.
fn code(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Unauthenticated => "invalid_api_key",
        ErrorCode::ContentFiltered => "content_policy_violation",
        ErrorCode::RateLimited => "rate_limit_exceeded",
        ErrorCode::BudgetExceeded => NO_MONEY,
        code => code.as_str(),
    }
}

/// `messages[0].content` of the pointer `/messages/0/content`.
fn parameter(pointer: &str) -> String {
    let mut parameter = String::new();
    for segment in pointer.split('/').skip(1) {
        if segment.bytes().all(|byte| byte.is_ascii_digit()) && !parameter.is_empty() {
            parameter = format!("{parameter}[{segment}]");
            continue;
        }
        if !parameter.is_empty() {
            parameter.push('.');
        }
        parameter.push_str(&segment.replace("~1", "/").replace("~0", "~"));
    }
    parameter
}

#[cfg(test)]
mod tests {
    use super::parameter;

    #[test]
    fn pointers_become_the_protocols_paths() {
        assert_eq!(parameter("/messages/0/content"), "messages[0].content");
        assert_eq!(parameter("/n"), "n");
        assert_eq!(parameter(""), "");
    }
}
