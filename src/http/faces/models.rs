//! `/v1/models`, which two protocols have: what may be named as a model.

use axum::extract::State;
use axum::{Extension, Json};
use http::HeaderMap;
use serde_json::Value;

use super::anthropic::ModelPage;
use super::{Face, anthropic, model_list, openai};
use crate::access::Caller;
use crate::conversation::Conversations;
use crate::http::error::ApiError;
use crate::http::extract::{ApiPath, ApiQuery};
use crate::registry::Registry;

/// `auto` and the agents that the caller may use, as the models of the protocol: Anthropic's with the header
/// `anthropic-version`, in pages, else OpenAI's.
#[utoipa::path(
    get, path = "/v1/models", tag = "faces",
    params(
        ModelPage,
        ("anthropic-version" = Option<String>, Header, description = "Asks for Anthropic's words"),
    ),
    responses((status = 200, description = "The list", body = Value))
)]
pub async fn list_models(
    State(registry): State<Registry>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    ApiQuery(page): ApiQuery<ModelPage>,
) -> Result<Json<Value>, ApiError> {
    let models = model_list::list(&registry, &caller);
    Ok(Json(match Face::of_headers(&headers) {
        Face::OpenAi => openai::model_list(&models),
        Face::Anthropic => anthropic::model_list(&models, &page)?,
    }))
}

/// One of them, or a known alias or id of a model.
#[utoipa::path(
    get, path = "/v1/models/{id}", tag = "faces",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "The model", body = Value),
        (status = 404, description = "There is none of that name", body = Value),
    )
)]
pub async fn get_model(
    State(registry): State<Registry>,
    State(conversations): State<Conversations>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    ApiPath(id): ApiPath<String>,
) -> Result<Json<Value>, ApiError> {
    let model = model_list::find(&registry, &conversations, &caller, &id)?;
    Ok(Json(match Face::of_headers(&headers) {
        Face::OpenAi => openai::model(&model),
        Face::Anthropic => anthropic::model(&model),
    }))
}
