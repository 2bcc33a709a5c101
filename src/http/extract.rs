//! Extractors whose rejections are problem documents.

use std::fmt;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use bytestring::ByteString;
use http::request::Parts;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use sha2::{Digest, Sha256};

use super::error::ApiError;
use super::error_code::ErrorCode;
use super::state::AppState;
use crate::chat::{WrittenFields, written_fields};
use crate::conversation::Idempotency;

/// A JSON body. Unknown fields are refused by the types themselves.
pub struct ApiJson<T>(pub T);

impl<T: DeserializeOwned> FromRequest<AppState> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        check_json(request.headers())?;
        read_json(&as_text(read_body(request, state).await?)?).map(Self)
    }
}

/// A JSON body of a request that may say that it is the same as an earlier one.
pub struct IdempotentJson<T> {
    pub body: T,
    pub idempotency: Option<Idempotency>,
}

const IDEMPOTENCY_KEY: &str = "idempotency-key";

const MAX_IDEMPOTENCY_KEY_LENGTH: usize = 255;

impl<T: DeserializeOwned> FromRequest<AppState> for IdempotentJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let (text, idempotency) = read_idempotent(request, state).await?;
        Ok(Self { body: read_json(&text)?, idempotency })
    }
}

/// The same of a face: what is understood of the body, and all of it.
pub struct FaceJson<T> {
    pub body: T,
    pub whole: WrittenFields,
    pub idempotency: Option<Idempotency>,
}

impl<T: DeserializeOwned> FromRequest<AppState> for FaceJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let (text, idempotency) = read_idempotent(request, state).await?;
        Ok(Self { body: read_json(&text)?, whole: written_fields(&text), idempotency })
    }
}

async fn read_idempotent(
    request: Request,
    state: &AppState,
) -> Result<(ByteString, Option<Idempotency>), ApiError> {
    check_json(request.headers())?;
    let key = read_idempotency_key(request.headers())?;
    let bytes = read_body(request, state).await?;
    let idempotency =
        key.map(|key| Idempotency { key, request_sha256: Sha256::digest(&bytes).into() });
    Ok((as_text(bytes)?, idempotency))
}

fn read_idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| {
        (1..=MAX_IDEMPOTENCY_KEY_LENGTH).contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_graphic())
    });
    key.map(|key| Some(key.to_owned())).ok_or_else(|| {
        let detail = format!(
            "`Idempotency-Key` must be 1 to {MAX_IDEMPOTENCY_KEY_LENGTH} visible ASCII characters"
        );
        ApiError::new(ErrorCode::InvalidRequest, detail)
    })
}

fn read_json<T: DeserializeOwned>(body: &str) -> Result<T, ApiError> {
    // A list would be taken for an object's fields in their order.
    if body.trim_start().starts_with('[') {
        return Err(ApiError::invalid_field("", "invalid type: a list, expected an object"));
    }
    serde_json::from_str(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => unusable_value::<T>(body, &error),
        _ => invalid_json(error),
    })
}

/// Says where the value stands that cannot be used. To keep track of that costs time, so a body is read again for it.
fn unusable_value<T: DeserializeOwned>(body: &str, error: &serde_json::Error) -> ApiError {
    let mut deserializer = serde_json::Deserializer::from_str(body);
    let pointer = match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(error) => json_pointer(error.path()),
        Ok(_) => String::new(),
    };
    ApiError::invalid_field(pointer, without_values(&error.to_string()))
}

/// No body says as little as an empty object.
fn as_text(body: Bytes) -> Result<ByteString, ApiError> {
    if body.is_empty() { Ok("{}".into()) } else { body.try_into().map_err(invalid_json) }
}

fn invalid_json(error: impl fmt::Display) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, format!("the body is not valid JSON: {error}"))
}

/// The bytes of a body.
pub struct ApiBytes(pub Bytes);

impl FromRequest<AppState> for ApiBytes {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        read_body(request, state).await.map(Self)
    }
}

/// The parameters of a query. Unknown ones are refused by the types themselves.
pub struct ApiQuery<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        if let Some(query) = parts.uri.query() {
            check_nul(query)?;
        }
        let query = Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|Query(value)| Self(value))
            .map_err(|rejection| ApiError::new(ErrorCode::InvalidRequest, rejection.body_text()))
    }
}

/// No parameters: `?dry_run=true` is not to be passed over by what does not know it.
pub struct NoQuery;

impl<S: Send + Sync> FromRequestParts<S> for NoQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        match query.split(['&', '=']).find(|name| !name.is_empty()) {
            Some(name) => Err(ApiError::new(
                ErrorCode::InvalidRequest,
                format!("there is no parameter `{name}` here"),
            )),
            None => Ok(Self),
        }
    }
}

/// The parameters of a path.
pub struct ApiPath<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for ApiPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        check_nul(parts.uri.path())?;
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(value)| Self(value))
            .map_err(|rejection| ApiError::new(ErrorCode::InvalidRequest, rejection.body_text()))
    }
}

/// PostgreSQL has no text that holds it, so nothing that is looked for does.
fn check_nul(of_uri: &str) -> Result<(), ApiError> {
    if of_uri.contains("%00") {
        let detail = "an address holds no NUL character (`%00`)";
        return Err(ApiError::new(ErrorCode::InvalidRequest, detail));
    }
    Ok(())
}

async fn read_body(request: Request, state: &AppState) -> Result<Bytes, ApiError> {
    let patience = state.settings.request_timeout;
    let reading = Bytes::from_request(request, state);
    let Ok(read) = tokio::time::timeout(patience, reading).await else {
        let detail = format!("the body is not there after {} ms", patience.as_millis());
        return Err(ApiError::new(ErrorCode::RequestTimeout, detail));
    };
    read.map_err(|rejection| match rejection.status().as_u16() {
        413 => ApiError::new(
            ErrorCode::PayloadTooLarge,
            "the body is over the limit (`limits.body_bytes`)",
        ),
        _ => ApiError::new(ErrorCode::InvalidRequest, rejection.body_text()),
    })
}

/// A body without a content type is taken for JSON: `curl` users forget it.
fn check_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    if essence == "application/json" || essence.ends_with("+json") {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::UnsupportedMediaType,
        format!("send JSON with `Content-Type: application/json`, not `{essence}`"),
    ))
}

/// What serde says of a value that it cannot use, in words of JSON and without the value: a text in the wrong place may be a
/// secret, or a prompt.
pub fn without_values(message: &str) -> String {
    let message = match (message.find("string \""), message.rfind("\", expected")) {
        (Some(start), Some(end)) if start < end => {
            format!("{}a text{}", &message[..start], &message[end + 1..])
        }
        _ => message.to_owned(),
    };
    let Some((before, expected)) = message.rsplit_once("expected ") else { return message };
    let Some(expected) = in_words_of_json(expected) else { return message };
    format!(
        "{}expected {expected}",
        before.replace("invalid type: sequence", "invalid type: a list")
    )
}

/// What is expected by the name of a type of ours, in JSON's words.
fn in_words_of_json(expected: &str) -> Option<String> {
    let (name, rest) = expected.split_at(expected.find(" at line ").unwrap_or(expected.len()));
    let word = match name {
        "a string" => "a text",
        "a boolean" => "true or false",
        "a map" => "an object",
        "a sequence" => "a list",
        "f64" | "f32" => "a number",
        "a nonzero u64" | "a nonzero u32" => "a whole number of 1 or more",
        "usize" | "u64" | "u32" | "u16" | "u8" | "i64" | "i32" => "a whole number",
        name if name.starts_with("struct ") => "an object",
        _ => return None,
    };
    Some(format!("{word}{rest}"))
}

fn json_pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        let part = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { .. } | Segment::Unknown => continue,
        };
        pointer.push('/');
        pointer.push_str(&part);
    }
    pointer
}
