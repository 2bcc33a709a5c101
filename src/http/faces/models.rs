//! `/v1/models`, which two protocols have: what may be named as a model.

use axum::extract::State;
use axum::{Extension, Json};
use serde_json::Value;

use super::{model_list, openai};
use crate::access::Caller;
use crate::conversation::ConversationError;
use crate::http::error::ApiError;
use crate::http::extract::ApiPath;
use crate::registry::Registry;

/// `auto` and the agents that the caller may use, as the models of the protocol.
#[utoipa::path(
    get, path = "/v1/models", tag = "faces",
    responses((status = 200, description = "The list", body = Value))
)]
pub async fn list_models(
    State(registry): State<Registry>,
    Extension(caller): Extension<Caller>,
) -> Json<Value> {
    Json(openai::model_list(&model_list::list(&registry, &caller)))
}

/// One of them.
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
    Extension(caller): Extension<Caller>,
    ApiPath(id): ApiPath<String>,
) -> Result<Json<Value>, ApiError> {
    let model = model_list::find(&registry, &caller, &id)
        .ok_or_else(|| ApiError::from(ConversationError::ModelNotFound(id)))?;
    Ok(Json(openai::model(&model)))
}
