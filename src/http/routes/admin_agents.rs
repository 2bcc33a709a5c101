//! The registry as operators see it: putting, showing and archiving agents.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::agent_change::{AgentChange, known_name, read_change};
use super::agent_condition::AgentCondition;
use super::agents::{not_found, refuse_slash};
use crate::access::Caller;
use crate::definition::{AgentDefinition, AgentName, Diagnostic, Format, ParseMode};
use crate::dispatch::{Dispatcher, Steal};
use crate::http::error::{ApiError, ProblemBody};
use crate::http::error_code::ErrorCode;
use crate::http::extract::{ApiBytes, ApiPath, ApiQuery};
use crate::http::pagination::{Page, PageQuery};
use crate::registry::{Agent, AgentSource, AgentState, ChangeOutcome, Registry, Source};

/// An agent in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminAgentSummary {
    name: String,
    display_name: String,
    revision: i32,
    sha256: String,
    #[serde(flatten)]
    condition: AgentCondition,
    source: AgentSource,
    format: Format,
    parse_mode: ParseMode,
    summary: String,
    labels: Vec<String>,
    diagnostics: usize,
    updated_at: DateTime<Utc>,
}

/// An agent with its definition.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminAgentBody {
    name: String,
    revision: i32,
    sha256: String,
    #[serde(flatten)]
    condition: AgentCondition,
    source: AgentSource,
    /// Whether this request changed it; absent where nothing was to be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<bool>,
    #[schema(value_type = Object)]
    definition: Arc<AgentDefinition>,
    format: Format,
    parse_mode: ParseMode,
    labels: Vec<String>,
    diagnostics: Vec<Diagnostic>,
    /// Examples of other agents that this file would win from them; only where a file was put, and not if the
    /// roster is too large to be searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    steals: Option<Vec<Steal>>,
    updated_at: DateTime<Utc>,
}

/// What a change did.
struct ChangeReport {
    is_changed: bool,
    steals: Option<Vec<Steal>>,
    /// Says so if another agent's description nearly coincides with this one's.
    overlap: Option<Diagnostic>,
}

impl AdminAgentBody {
    fn of(agent: &Agent, dispatcher: &Dispatcher) -> Self {
        Self {
            name: agent.name().to_string(),
            revision: agent.revision,
            sha256: agent.sha256.clone(),
            condition: AgentCondition::of(agent, dispatcher),
            source: agent.source,
            changed: None,
            definition: agent.definition.clone(),
            format: agent.format,
            parse_mode: agent.parse_mode,
            labels: agent.labels.clone(),
            diagnostics: agent.diagnostics.to_vec(),
            steals: None,
            updated_at: agent.updated_at,
        }
    }
}

/// Every agent, archived ones included, in order of name.
#[utoipa::path(
    get, path = "/admin/v1/agents", tag = "admin",
    params(PageQuery),
    responses((status = 200, description = "A page of agents", body = Page<AdminAgentSummary>))
)]
pub async fn list_admin_agents(
    State(registry): State<Registry>,
    State(dispatcher): State<Dispatcher>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<AdminAgentSummary>>, ApiError> {
    let (limit, after) = (query.limit()?, query.after()?);
    let roster = registry.roster();
    let items = roster
        .agents
        .values()
        .filter(|agent| after.as_deref().is_none_or(|after| agent.name().as_str() > after))
        .take(limit + 1)
        .map(|agent| AdminAgentSummary {
            name: agent.name().to_string(),
            display_name: agent.definition.display_name.clone(),
            revision: agent.revision,
            sha256: agent.sha256.clone(),
            condition: AgentCondition::of(agent, &dispatcher),
            source: agent.source,
            format: agent.format,
            parse_mode: agent.parse_mode,
            summary: agent.definition.summary.clone(),
            labels: agent.labels.clone(),
            diagnostics: agent.diagnostics.len(),
            updated_at: agent.updated_at,
        })
        .collect();
    Ok(Json(Page::new(items, limit, |agent: &AdminAgentSummary| agent.name.clone())))
}

/// One agent with its definition and every finding about its file.
#[utoipa::path(
    get, path = "/admin/v1/agents/{name}", tag = "admin",
    params(("name" = String, Path)),
    responses(
        (status = 200, description = "The agent", body = AdminAgentBody),
        (status = 404, description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn get_admin_agent(
    State(registry): State<Registry>,
    State(dispatcher): State<Dispatcher>,
    ApiPath(name): ApiPath<String>,
) -> Result<Response, ApiError> {
    refuse_slash(&name)?;
    let roster = registry.roster();
    let agent = roster.agents.get(name.as_str()).ok_or_else(|| not_found(&name))?;
    Ok(answer(StatusCode::OK, agent, &dispatcher, None))
}

/// The exact bytes of an agent's live revision.
#[utoipa::path(
    get, path = "/admin/v1/agents/{name}/source", tag = "admin",
    params(("name" = String, Path)),
    responses(
        (status = 200, description = "The file, by its format", content(
            (Vec<u8> = "text/markdown"), (Vec<u8> = "application/json"), (Vec<u8> = "application/toml"),
        )),
        (status = 404, description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn get_agent_source(
    State(registry): State<Registry>,
    ApiPath(name): ApiPath<String>,
) -> Result<Response, ApiError> {
    let known = known_name(&name)?;
    let source = registry.find_source(&known).await?.ok_or_else(|| not_found(&name))?;
    Ok(source_answer(source))
}

/// How to put.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PutQuery {
    /// Only tell what would happen.
    #[serde(default)]
    dry_run: bool,
    /// The format of the file. It is recognised by the content type and the content if this is left out.
    format: Option<Format>,
}

/// Makes the body, an agent file, the agent's live revision.
///
/// `If-Match` with the live revision's `ETag` guards against overwriting another's change; `If-None-Match: *`
/// creates only.
#[utoipa::path(
    put, path = "/admin/v1/agents/{name}", tag = "admin",
    params(("name" = String, Path), PutQuery),
    request_body(content(
        (String = "text/markdown"),
        (serde_json::Value = "application/json"),
        (String = "application/toml"),
    )),
    responses(
        (status = 201, description = "A new agent", body = AdminAgentBody),
        (status = 200, description = "A known agent, changed or not", body = AdminAgentBody),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn put_agent(
    State(registry): State<Registry>,
    State(dispatcher): State<Dispatcher>,
    Extension(caller): Extension<Caller>,
    ApiPath(name): ApiPath<String>,
    ApiQuery(query): ApiQuery<PutQuery>,
    headers: HeaderMap,
    ApiBytes(source): ApiBytes,
) -> Result<Response, ApiError> {
    refuse_slash(&name)?;
    let format = query.format.or(named_format(&headers)?);
    let Some(known) = AgentName::parse(&name) else {
        let slug = AgentName::slug(&name)
            .map_or_else(String::new, |slug| format!("; did you mean `{slug}`?"));
        return Err(ApiError::new(
            ErrorCode::NameMismatch,
            format!("an agent's name in a path is made of a-z, 0-9 and single hyphens{slug}"),
        ));
    };
    let change = read_change(&caller, &headers)?;
    let outcome = if query.dry_run {
        registry.preview_put(&known, &source, format, &change).await?
    } else {
        registry.put(&known, &source, format, &change).await?
    };
    let status =
        if outcome.is_new && !query.dry_run { StatusCode::CREATED } else { StatusCode::OK };
    let steals = dispatcher.find_steals(Arc::clone(&outcome.agent)).await;
    let overlap = dispatcher.find_overlap(Arc::clone(&outcome.agent)).await;
    let report = ChangeReport { is_changed: outcome.is_changed, steals, overlap };
    Ok(answer(status, &outcome.agent, &dispatcher, Some(report)))
}

/// Archives an agent: it answers no more, and its revisions are kept.
#[utoipa::path(
    delete, path = "/admin/v1/agents/{name}", tag = "admin",
    params(("name" = String, Path)),
    responses(
        (status = 200, description = "The archived agent", body = AdminAgentBody),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn delete_agent(
    State(registry): State<Registry>,
    State(dispatcher): State<Dispatcher>,
    change: AgentChange,
) -> Result<Response, ApiError> {
    set_state(&registry, &dispatcher, &change, AgentState::Archived).await
}

/// Has an agent answer again, or no more.
pub(super) async fn set_state(
    registry: &Registry,
    dispatcher: &Dispatcher,
    change: &AgentChange,
    state: AgentState,
) -> Result<Response, ApiError> {
    let (name, change) = change.read()?;
    let outcome = registry.set_state(&name, state, change).await?;
    Ok(outcome_answer(&outcome, dispatcher))
}

/// The agent that a change has left, and whether it was changed.
pub(super) fn outcome_answer(outcome: &ChangeOutcome, dispatcher: &Dispatcher) -> Response {
    let report = ChangeReport { is_changed: outcome.is_changed, steals: None, overlap: None };
    answer(StatusCode::OK, &outcome.agent, dispatcher, Some(report))
}

/// An agent file as it came in.
pub(super) fn source_answer(source: Source) -> Response {
    let format = Format::find(&source.format);
    let content_type = format.map_or("application/octet-stream", Format::media_type);
    ([(header::CONTENT_TYPE, content_type)], source.bytes).into_response()
}

pub(super) fn etag(revision: i32) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{revision}\"")).expect("a number in quotes is a header value")
}

fn answer(
    status: StatusCode,
    agent: &Agent,
    dispatcher: &Dispatcher,
    report: Option<ChangeReport>,
) -> Response {
    let mut body = AdminAgentBody::of(agent, dispatcher);
    if let Some(report) = report {
        body.changed = Some(report.is_changed);
        body.steals = report.steals;
        body.diagnostics.extend(report.overlap);
    }
    (status, [(header::ETAG, etag(agent.revision))], Json(body)).into_response()
}

/// The format that the content type names, if it is not just text. No content type is as good as `text/markdown`, so
/// that `curl -T file.md` works.
fn named_format(headers: &HeaderMap) -> Result<Option<Format>, ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(None) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    match essence.to_ascii_lowercase().as_str() {
        "text/markdown" | "text/x-markdown" | "text/plain" | "application/octet-stream" => Ok(None),
        "application/json" => Ok(Some(Format::Json)),
        "application/toml" => Ok(Some(Format::Codex)),
        _ => Err(ApiError::new(
            ErrorCode::UnsupportedMediaType,
            format!(
                "send the agent file as `text/markdown`, `application/json` or `application/toml`, not `{essence}`"
            ),
        )),
    }
}
