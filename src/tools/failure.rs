//! What went wrong with a server, in words that operators and models may read: no body of an answer, no URL, no header.

use std::error::Error;

use rmcp::ServiceError;
use rmcp::model::ErrorData;
use rmcp::service::ClientInitializeError;
use rmcp::transport::streamable_http_client::{
    AuthRequiredError, HttpStatusError, InsufficientScopeError, StreamableHttpError,
};

/// A server's own words are cut.
const WORDS_CHARS: usize = 300;

/// Why a connection could not be made.
pub(super) fn of_start(error: &ClientInitializeError) -> String {
    match error {
        ClientInitializeError::TransportError { error, .. } => of_transport(error.error.as_ref()),
        ClientInitializeError::ConnectionClosed(_) => {
            "the server ended the connection before it answered".to_owned()
        }
        ClientInitializeError::JsonRpcError(error) => {
            format!("the server refuses the connection: {}", words_of(error))
        }
        ClientInitializeError::NoCompatibleProtocolVersion { .. } => {
            "the server speaks no version of the protocol that is spoken here".to_owned()
        }
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => of_start(fallback),
        _ => "the server's first answer is not the protocol's".to_owned(),
    }
}

/// Why a request came to nothing.
pub(super) fn of_request(error: &ServiceError) -> String {
    match error {
        ServiceError::McpError(error) => format!("the server refuses: {}", words_of(error)),
        ServiceError::TransportSend(error) => of_transport(error.error.as_ref()),
        ServiceError::TransportClosed => "the server ended before it answered".to_owned(),
        ServiceError::Cancelled { .. } => "the server cancelled the request".to_owned(),
        ServiceError::Timeout { .. } => "the server did not answer in time".to_owned(),
        _ => "the server's answer is not the protocol's".to_owned(),
    }
}

/// Whether the connection is to blame, and not the request.
pub(super) fn is_of_connection(error: &ServiceError) -> bool {
    matches!(error, ServiceError::TransportSend(_) | ServiceError::TransportClosed)
}

fn words_of(error: &ErrorData) -> String {
    let words: String = error.message.chars().take(WORDS_CHARS).collect();
    format!("{words} (code {})", error.code.0)
}

/// Looks through an error and its causes for what an operator can act on.
fn of_transport(error: &(dyn Error + 'static)) -> String {
    let mut cause = Some(error);
    let mut text = None;
    while let Some(current) = cause {
        text = of_cause(current).or(text);
        cause = current.source();
    }
    text.unwrap_or_else(|| "the server cannot be reached".to_owned())
}

fn of_cause(error: &(dyn Error + 'static)) -> Option<String> {
    let is_auth = error.is::<AuthRequiredError>() || error.is::<InsufficientScopeError>();
    if is_auth {
        return Some(needs_authorization());
    }
    if let Some(error) = error.downcast_ref::<HttpStatusError>() {
        return Some(of_status(error.status));
    }
    if let Some(error) = error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        return of_http(error);
    }
    if let Some(error) = error.downcast_ref::<reqwest::Error>() {
        return match error.status() {
            Some(status) => Some(of_status(status.as_u16())),
            None if error.is_timeout() => Some("the server does not answer".to_owned()),
            None if error.is_connect() => Some("the server cannot be reached".to_owned()),
            None => Some("the connection to the server broke".to_owned()),
        };
    }
    let error = error.downcast_ref::<std::io::Error>()?;
    Some(format!("the server cannot be reached: {}", error.kind()))
}

fn of_http(error: &StreamableHttpError<reqwest::Error>) -> Option<String> {
    match error {
        StreamableHttpError::HttpStatus(error) => Some(of_status(error.status)),
        StreamableHttpError::AuthRequired(_) | StreamableHttpError::InsufficientScope(_) => {
            Some(needs_authorization())
        }
        // Other statuses are told in a text that goes on with the body.
        StreamableHttpError::UnexpectedServerResponse(text) => {
            let status = text.strip_prefix("HTTP ").and_then(|rest| rest.get(..3));
            let status = status.and_then(|status| status.parse().ok());
            Some(
                status.map_or_else(
                    || "the server's answer is not the protocol's".to_owned(),
                    of_status,
                ),
            )
        }
        StreamableHttpError::UnexpectedContentType(_)
        | StreamableHttpError::Deserialize(_)
        | StreamableHttpError::MissingSessionIdInResponse => {
            Some("the server's answer is not the protocol's".to_owned())
        }
        StreamableHttpError::ResponseBodyTooLarge { max_size } => {
            Some(format!("the server's answer is longer than {max_size} bytes"))
        }
        StreamableHttpError::UnexpectedEndOfStream | StreamableHttpError::Sse(_) => {
            Some("the server's answer broke off".to_owned())
        }
        StreamableHttpError::SessionExpired => {
            Some("the server has forgotten the session".to_owned())
        }
        _ => None,
    }
}

fn needs_authorization() -> String {
    "the server asks for authorization: give it a header in `mcp_servers`".to_owned()
}

fn of_status(status: u16) -> String {
    match status {
        401 | 403 => needs_authorization(),
        300..=399 => format!("the server answers with status {status}: redirects are not followed"),
        429 => "the server answers with status 429: too many requests".to_owned(),
        _ => format!("the server answers with status {status}"),
    }
}
