//! Anthropic's Messages, towards callers. <https://docs.claude.com/en/api/messages>

mod body;
mod error;
mod frames;
mod message;
mod models;
mod voice;

use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use http::HeaderMap;
use serde_json::{Value, json};

pub use body::CreateMessage;
pub(super) use error::error_body;
pub use models::ModelPage;
pub(super) use models::{model, model_list};

use super::answer::answer;
use crate::access::Caller;
use crate::conversation::{Conversations, NewRun};
use crate::http::error::ApiError;
use crate::http::extract::FaceJson;
use crate::http::state::Settings;
use voice::MessageVoice;

/// Lets the right agent answer, in the words of Anthropic's Messages.
///
/// `model` is `auto`, which picks; the name of an agent; or a known alias or id of a model, on which whoever fits answers.
/// Fields that are not known here, and `anthropic-beta`, reach a provider that speaks the same protocol.
#[utoipa::path(
    post, path = "/v1/messages", tag = "faces",
    request_body = CreateMessage,
    params(
        ("anthropic-beta" = Option<String>, Header, description = "Passed on to a provider of the same protocol"),
        ("Idempotency-Key" = Option<String>, Header, description = "Requests with this key are one request"),
    ),
    responses(
        (status = 200, description = "The message, or with `stream: true` its events", content(
            (Value = "application/json"),
            (String = "text/event-stream"),
        )),
        (status = 404, description = "There is no such model or agent", body = Value),
        (status = "4XX", description = "`{\"type\": \"error\", \"error\": {\"type\", \"message\"}, \"request_id\"}`", body = Value),
        (status = "5XX", description = "The same", body = Value),
    )
)]
pub async fn create_message(
    State(conversations): State<Conversations>,
    State(settings): State<Settings>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    FaceJson { body, whole, idempotency }: FaceJson<CreateMessage>,
) -> Result<Response, ApiError> {
    body.check_max_tokens()?;
    let voice = MessageVoice::new(body.wants_thinking());
    let addressee = conversations.find_addressee(body.model())?;
    let new = NewRun { idempotency, ..body.read(whole, &headers, addressee, &caller)? };
    answer(&conversations, &settings, new, voice).await
}

/// Roughly how many tokens the prompt of a message has, the agent's instructions included. No model is asked.
#[utoipa::path(
    post, path = "/v1/messages/count_tokens", tag = "faces",
    request_body = CreateMessage,
    responses(
        (status = 200, description = "`{\"input_tokens\": n}`", body = Value),
        (status = 404, description = "There is no such model or agent", body = Value),
        (status = "4XX", description = "As of `POST /v1/messages`", body = Value),
    )
)]
pub async fn count_message_tokens(
    State(conversations): State<Conversations>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    FaceJson { body, whole, .. }: FaceJson<CreateMessage>,
) -> Result<Json<Value>, ApiError> {
    let addressee = conversations.find_addressee(body.model())?;
    let preview = conversations.preview(body.read(whole, &headers, addressee, &caller)?).await?;
    Ok(Json(json!({"input_tokens": preview.estimated_tokens})))
}
