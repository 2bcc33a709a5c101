//! OpenAI's two protocols, Chat Completions and Responses, towards callers.

pub mod chat;
mod content;
mod error;
pub mod responses;
mod usage;

use serde_json::{Value, json};

pub(super) use error::error_body;

use super::model_list::ListedModel;

/// The list of `GET /v1/models`.
pub(super) fn model_list(models: &[ListedModel]) -> Value {
    json!({"object": "list", "data": models.iter().map(model).collect::<Vec<_>>()})
}

pub(super) fn model(model: &ListedModel) -> Value {
    json!({
        "id": model.id,
        "object": "model",
        "created": model.since.timestamp(),
        "owned_by": "rolecall",
    })
}
