//! OpenAI's Responses, towards callers. <https://platform.openai.com/docs/api-reference/responses>

mod body;
mod content;
mod frames;
mod input;
mod input_items;
mod item;
mod item_id;
mod output;
mod plain;
mod reference;
mod response;
mod stored;
mod voice;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

pub use body::CreateResponse;
pub use input_items::{__path_list_response_input_items, list_response_input_items};
pub use stored::{
    __path_cancel_response, __path_delete_response, __path_get_response, cancel_response,
    delete_response, get_response,
};

use crate::access::Caller;
use crate::chat::WrittenFields;
use crate::conversation::{Conversations, NewRun, StartedRun};
use crate::http::error::ApiError;
use crate::http::extract::FaceJson;
use crate::http::faces::answer::answer;
use crate::http::run_headers::run_headers;
use crate::http::state::Settings;
use response::{Repeated, response};
use voice::ResponseVoice;

/// Lets the right agent answer, in the words of OpenAI's Responses.
///
/// `model` is `auto`, which picks; the name of an agent; or a known alias or id of a model, on which whoever fits answers.
/// Fields that are not known here reach a provider that speaks the same protocol. A response is stored unless `store` is
/// false; the next one can then follow it by `previous_response_id`, and keeps its agent.
#[utoipa::path(
    post, path = "/v1/responses", tag = "faces",
    params(("Idempotency-Key" = Option<String>, Header, description = "Requests with this key are one request")),
    request_body = CreateResponse,
    responses(
        (status = 200, description = "The response, or with `stream: true` its events", content(
            (Value = "application/json"),
            (String = "text/event-stream"),
        )),
        (status = 404, description = "There is no such model or agent", body = Value),
        (status = "4XX", description = "`{\"error\": {\"message\", \"type\", \"param\", \"code\"}}`", body = Value),
        (status = "5XX", description = "The same", body = Value),
    )
)]
pub async fn create_response(
    State(conversations): State<Conversations>,
    State(settings): State<Settings>,
    Extension(caller): Extension<Caller>,
    FaceJson { body, whole, idempotency }: FaceJson<CreateResponse>,
) -> Result<Response, ApiError> {
    let is_sent_away = body.is_sent_away();
    let (new, repeated) = read(&conversations, &caller, body, whole).await?;
    let new = NewRun { idempotency, ..new };
    let answered = if is_sent_away {
        begin(&conversations, new, &repeated).await
    } else {
        answer(&conversations, &settings, new, ResponseVoice::new(repeated)).await
    };
    answered.map_err(in_words_of_protocol)
}

/// Roughly how many tokens the prompt of a response has, the agent's instructions included. No model is asked.
#[utoipa::path(
    post, path = "/v1/responses/input_tokens", tag = "faces",
    request_body = CreateResponse,
    responses(
        (status = 200, description = "`{\"object\": \"response.input_tokens\", \"input_tokens\": n}`", body = Value),
        (status = 404, description = "There is no such model or agent", body = Value),
        (status = "4XX", description = "As of `POST /v1/responses`", body = Value),
    )
)]
pub async fn count_response_tokens(
    State(conversations): State<Conversations>,
    Extension(caller): Extension<Caller>,
    FaceJson { body, whole, .. }: FaceJson<CreateResponse>,
) -> Result<Json<Value>, ApiError> {
    let (new, _) = read(&conversations, &caller, body, whole).await?;
    let preview = conversations.preview(new).await;
    let tokens = preview.map_err(|error| in_words_of_protocol(error.into()))?.estimated_tokens;
    Ok(Json(json!({"object": "response.input_tokens", "input_tokens": tokens})))
}

async fn read(
    conversations: &Conversations,
    caller: &Caller,
    mut body: CreateResponse,
    mut whole: WrittenFields,
) -> Result<(NewRun, Repeated), ApiError> {
    if let Some(input) = body.input_mut()
        && reference::resolve(conversations, caller, input).await?
    {
        whole.insert("input".into(), input.to_string().into());
    }
    let addressee = conversations.find_addressee(body.model())?;
    body.read(whole, addressee, caller, conversations.keeps_content())
}

/// Makes a run that goes on in the background, and answers as it has begun.
async fn begin(
    conversations: &Conversations,
    new: NewRun,
    repeated: &Repeated,
) -> Result<Response, ApiError> {
    match conversations.start_run(new).await? {
        StartedRun::New(handle) => {
            let run = handle.run();
            let headers = run_headers(&run, Some(handle.roster_revision));
            Ok((headers, Json(response(&run, repeated, Vec::new()))).into_response())
        }
        StartedRun::Repeated(run) => stored::show(conversations, &run).await,
    }
}

/// Fields have other names here than natively.
fn in_words_of_protocol(error: ApiError) -> ApiError {
    error.renamed("/messages", "/input").renamed("/agent", "/model")
}
