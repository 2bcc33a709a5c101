//! The operator's tool servers and how they are.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::Caller;
use crate::http::error::{ApiError, ProblemBody};
use crate::http::error_code::ErrorCode;
use crate::http::extract::{ApiJson, ApiPath, ApiQuery, NoQuery};
use crate::http::pagination::{Page, PageQuery};
use crate::tools::{NewServer, Put, ServerState, StoredToolServers, ToolServers};

/// The tool servers, each with its condition and its tools.
#[utoipa::path(
    get, path = "/admin/v1/mcp-servers", tag = "admin",
    params(PageQuery),
    responses(
        (status = 200, description = "The tool servers", body = Page<ServerState>),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn list_mcp_servers(
    State(tool_servers): State<ToolServers>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<ServerState>>, ApiError> {
    let limit = query.limit()?;
    let mut items = tool_servers.states();
    if let Some(after) = query.after()? {
        items.retain(|server| server.name.as_str() > &*after);
    }
    items.truncate(limit + 1);
    Ok(Json(Page::new(items, limit, |server: &ServerState| server.name.clone())))
}

/// One tool server.
#[utoipa::path(
    get, path = "/admin/v1/mcp-servers/{name}", tag = "admin",
    params(("name" = String, Path, description = "The server's name")),
    responses(
        (status = 200, description = "The tool server", body = ServerState),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn get_mcp_server(
    State(tool_servers): State<ToolServers>,
    ApiPath(name): ApiPath<String>,
) -> Result<Json<ServerState>, ApiError> {
    let state = tool_servers.find_state(&name);
    state.map(Json).ok_or_else(|| not_found(&name))
}

/// A tool server to be stored. A command, or a header with a secret, belongs in the configuration file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutMcpServer {
    url: String,
    /// Whether agents that name no tools have it.
    #[serde(default)]
    default: bool,
}

/// Stores a tool server that is reached by URL, in place of the one of its name. Every instance connects to it.
#[utoipa::path(
    put, path = "/admin/v1/mcp-servers/{name}", tag = "admin",
    request_body = PutMcpServer,
    params(("name" = String, Path, description = "The server's name")),
    responses(
        (status = 200, description = "The tool server, which was stored before", body = ServerState),
        (status = 201, description = "The tool server, which is new", body = ServerState),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn put_mcp_server(
    State(stored): State<StoredToolServers>,
    State(tool_servers): State<ToolServers>,
    Extension(caller): Extension<Caller>,
    ApiPath(name): ApiPath<String>,
    NoQuery: NoQuery,
    ApiJson(body): ApiJson<PutMcpServer>,
) -> Result<(StatusCode, Json<ServerState>), ApiError> {
    let new = NewServer { name, url: body.url, is_default: body.default };
    let put = stored.put(&new, &caller.author()).await?;
    let status = if put == Put::Created { StatusCode::CREATED } else { StatusCode::OK };
    let state = tool_servers.find_state(&new.name).ok_or_else(|| not_found(&new.name))?;
    Ok((status, Json(state)))
}

/// Removes a stored tool server. Calls under way end with an error.
#[utoipa::path(
    delete, path = "/admin/v1/mcp-servers/{name}", tag = "admin",
    params(("name" = String, Path, description = "The server's name")),
    responses(
        (status = 204, description = "The tool server is no more"),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn delete_mcp_server(
    State(stored): State<StoredToolServers>,
    Extension(caller): Extension<Caller>,
    ApiPath(name): ApiPath<String>,
    NoQuery: NoQuery,
) -> Result<StatusCode, ApiError> {
    if stored.delete(&name, &caller.author()).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(not_found(&name))
}

fn not_found(name: &str) -> ApiError {
    ApiError::new(ErrorCode::McpServerNotFound, format!("there is no tool server `{name}`"))
}
