//! Prompts: what a run would send to a provider.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::runs::CreateRun;
use crate::access::Caller;
use crate::chat::Parameter;
use crate::conversation::{Conversations, ModelUse, Warning};
use crate::http::error::{ApiError, ProblemBody};
use crate::http::extract::ApiJson;

/// A prompt as a run would send it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PromptBody {
    agent: String,
    revision: i32,
    dispatch_id: Uuid,
    model: ModelUse,
    provider: String,
    /// The provider's own request body.
    request: Value,
    /// Parameters that were asked for and are left out, because the model or its protocol does not take them.
    dropped_parameters: Vec<Parameter>,
    tokens: TokensBody,
    #[schema(value_type = Vec<String>)]
    warnings: Vec<Warning>,
}

/// How long the prompt is.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokensBody {
    estimate: usize,
    /// Whether the provider counted them.
    exact: bool,
}

/// Builds the request that a run would send to the provider, and sends nothing.
#[utoipa::path(
    post, path = "/v1/prompts", tag = "runs",
    request_body = CreateRun,
    responses(
        (status = 200, description = "The prompt", body = PromptBody),
        (status = 404, description = "There is no such agent, model or conversation", body = ProblemBody, content_type = "application/problem+json"),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn create_prompt(
    State(conversations): State<Conversations>,
    Extension(caller): Extension<Caller>,
    ApiJson(body): ApiJson<CreateRun>,
) -> Result<Json<PromptBody>, ApiError> {
    let preview = conversations.preview(body.read(&caller, None)?).await?;
    Ok(Json(PromptBody {
        agent: preview.agent.name,
        revision: preview.agent.revision,
        dispatch_id: preview.dispatch_id,
        model: ModelUse::from(&preview.model),
        provider: preview.model.first().provider.clone(),
        request: preview.request,
        dropped_parameters: preview.dropped_parameters,
        tokens: TokensBody { estimate: preview.estimated_tokens, exact: false },
        warnings: preview.warnings,
    }))
}
