//! OpenAI's Chat Completions, towards callers. <https://platform.openai.com/docs/api-reference/chat>

mod body;
mod completion;
mod message;
mod voice;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use crate::access::Caller;
use crate::conversation::{Conversations, NewRun};
use crate::http::error::ApiError;
use crate::http::extract::FaceJson;
use crate::http::faces::answer::answer;
use crate::http::state::Settings;
pub use body::CreateChatCompletion;
use voice::ChatVoice;

/// Lets the right agent answer, in the words of OpenAI's Chat Completions.
///
/// `model` is `auto`, which picks; the name of an agent; or a known alias or id of a model, on which whoever fits answers.
/// Fields that are not known here reach a provider that speaks the same protocol.
#[utoipa::path(
    post, path = "/v1/chat/completions", tag = "faces",
    params(("Idempotency-Key" = Option<String>, Header, description = "Requests with this key are one request")),
    request_body = CreateChatCompletion,
    responses(
        (status = 200, description = "The completion, or with `stream: true` its chunks", content(
            (Value = "application/json"),
            (String = "text/event-stream"),
        )),
        (status = 404, description = "There is no such model or agent", body = Value),
        (status = "4XX", description = "`{\"error\": {\"message\", \"type\", \"param\", \"code\"}}`", body = Value),
        (status = "5XX", description = "The same", body = Value),
    )
)]
pub async fn create_chat_completion(
    State(conversations): State<Conversations>,
    State(settings): State<Settings>,
    Extension(caller): Extension<Caller>,
    FaceJson { body, whole, idempotency }: FaceJson<CreateChatCompletion>,
) -> Result<Response, ApiError> {
    let voice = ChatVoice::new(body.wants_usage());
    let addressee = conversations.find_addressee(body.model())?;
    let new = NewRun { idempotency, ..body.read(whole, addressee, &caller)? };
    answer(&conversations, &settings, new, voice).await
}
