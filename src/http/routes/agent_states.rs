//! What becomes of an agent without a new file: an earlier revision goes live again, or it is switched off and on.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::admin_agents::{AdminAgentBody, outcome_answer, set_state};
use super::agent_change::AgentChange;
use super::revisions::revision_not_found;
use crate::dispatch::Dispatcher;
use crate::http::error::{ApiError, ProblemBody};
use crate::http::extract::ApiJson;
use crate::registry::{AgentState, Registry};

/// Which revision goes live.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivateAgent {
    #[schema(minimum = 1)]
    revision: i64,
}

/// An empty body, or an empty object.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Makes one of the agent's revisions live: a rollback, or its undoing.
///
/// An archived agent is back; a disabled one stays disabled. Takes `If-Match` and `If-None-Match: *`.
#[utoipa::path(
    post, path = "/admin/v1/agents/{name}/activate", tag = "admin",
    request_body = ActivateAgent,
    params(("name" = String, Path)),
    responses(
        (status = 200, description = "The agent, changed or not", body = AdminAgentBody),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn activate_agent(
    State(registry): State<Registry>,
    State(dispatcher): State<Dispatcher>,
    change: AgentChange,
    ApiJson(body): ApiJson<ActivateAgent>,
) -> Result<Response, ApiError> {
    let revision =
        i32::try_from(body.revision).map_err(|_| revision_not_found(&body.revision.to_string()))?;
    let (name, change) = change.read()?;
    let outcome = registry.activate(&name, revision, change).await?;
    Ok(outcome_answer(&outcome, &dispatcher))
}

/// Switches an agent off: it is not picked, and naming it is a conflict. Takes `If-Match`.
#[utoipa::path(
    post, path = "/admin/v1/agents/{name}/disable", tag = "admin",
    params(("name" = String, Path)),
    responses(
        (status = 200, description = "The agent, changed or not", body = AdminAgentBody),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn disable_agent(
    State(registry): State<Registry>,
    State(dispatcher): State<Dispatcher>,
    change: AgentChange,
    ApiJson(Nothing {}): ApiJson<Nothing>,
) -> Result<Response, ApiError> {
    set_state(&registry, &dispatcher, &change, AgentState::Disabled).await
}

/// Switches a disabled agent on again. Takes `If-Match`.
#[utoipa::path(
    post, path = "/admin/v1/agents/{name}/enable", tag = "admin",
    params(("name" = String, Path)),
    responses(
        (status = 200, description = "The agent, changed or not", body = AdminAgentBody),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn enable_agent(
    State(registry): State<Registry>,
    State(dispatcher): State<Dispatcher>,
    change: AgentChange,
    ApiJson(Nothing {}): ApiJson<Nothing>,
) -> Result<Response, ApiError> {
    set_state(&registry, &dispatcher, &change, AgentState::Live).await
}
