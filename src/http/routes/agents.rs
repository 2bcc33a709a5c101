//! The roster as callers see it. System prompts are not shown here.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::agent_condition::AgentCondition;
use crate::access::Caller;
use crate::definition::Example;
use crate::dispatch::Dispatcher;
use crate::http::error::{ApiError, ProblemBody};
use crate::http::error_code::ErrorCode;
use crate::http::extract::{ApiPath, ApiQuery};
use crate::http::pagination::{Page, PageQuery};
use crate::registry::{Agent, Registry};

/// An agent in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgentSummary {
    name: String,
    display_name: String,
    revision: i32,
    #[serde(flatten)]
    condition: AgentCondition,
    /// When to use the agent.
    summary: String,
    labels: Vec<String>,
    model: Option<String>,
}

/// An agent by itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgentDetail {
    #[serde(flatten)]
    agent: AgentSummary,
    description: String,
    examples: Vec<Example>,
    responsibilities: Vec<String>,
    exclusions: Vec<String>,
    tool_servers: Vec<String>,
    color: Option<String>,
}

impl AgentSummary {
    fn of(agent: &Agent, dispatcher: &Dispatcher) -> Self {
        Self {
            name: agent.name().to_string(),
            display_name: agent.definition.display_name.clone(),
            revision: agent.revision,
            condition: AgentCondition::of(agent, dispatcher),
            summary: agent.definition.summary.clone(),
            labels: agent.labels.clone(),
            model: agent.definition.model.clone(),
        }
    }
}

/// The agents that the caller may use, in order of name.
#[utoipa::path(
    get, path = "/v1/agents", tag = "agents",
    params(PageQuery),
    responses((status = 200, description = "A page of agents", body = Page<AgentSummary>))
)]
pub async fn list_agents(
    State(registry): State<Registry>,
    State(dispatcher): State<Dispatcher>,
    Extension(caller): Extension<Caller>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<AgentSummary>>, ApiError> {
    let (limit, after) = (query.limit()?, query.after()?);
    let roster = registry.roster();
    let items = roster
        .live()
        .filter(|agent| caller.may_use(agent.name().as_str()))
        .filter(|agent| after.as_deref().is_none_or(|after| agent.name().as_str() > after))
        .take(limit + 1)
        .map(|agent| AgentSummary::of(agent, &dispatcher))
        .collect();
    Ok(Json(Page::new(items, limit, |agent: &AgentSummary| agent.name.clone())))
}

/// One agent.
#[utoipa::path(
    get, path = "/v1/agents/{name}", tag = "agents",
    params(("name" = String, Path)),
    responses(
        (status = 200, description = "The agent", body = AgentDetail),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn get_agent(
    State(registry): State<Registry>,
    State(dispatcher): State<Dispatcher>,
    Extension(caller): Extension<Caller>,
    ApiPath(name): ApiPath<String>,
) -> Result<Json<AgentDetail>, ApiError> {
    refuse_slash(&name)?;
    if !caller.may_use(&name) {
        return Err(ApiError::new(
            ErrorCode::Forbidden,
            format!("the key does not permit the agent `{name}`"),
        ));
    }
    let roster = registry.roster();
    let agent = roster.find(&name).ok_or_else(|| not_found(&name))?;
    let definition = &agent.definition;
    Ok(Json(AgentDetail {
        agent: AgentSummary::of(agent, &dispatcher),
        description: definition.description.clone(),
        examples: definition.examples.clone(),
        responsibilities: definition.responsibilities.clone(),
        exclusions: definition.exclusions.clone(),
        tool_servers: definition.tool_servers.clone(),
        color: definition.color.clone(),
    }))
}

pub(super) fn not_found(name: &str) -> ApiError {
    ApiError::new(ErrorCode::AgentNotFound, format!("there is no agent `{name}`"))
}

/// A slash that arrives inside a name was meant for something else.
pub(super) fn refuse_slash(name: &str) -> Result<(), ApiError> {
    if name.contains('/') {
        return Err(ApiError::new(
            ErrorCode::InvalidRequest,
            "an agent's name holds no slash: use a-z, 0-9 and hyphens",
        ));
    }
    Ok(())
}
