//! The operator's tool servers and how they are.

use axum::Json;
use axum::extract::State;

use crate::http::error::{ApiError, ProblemBody};
use crate::http::error_code::ErrorCode;
use crate::http::extract::{ApiPath, ApiQuery};
use crate::http::pagination::{Page, PageQuery};
use crate::tools::{ServerState, ToolServers};

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
    items.retain(|server| query.after().is_none_or(|after| server.name.as_str() > after));
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

fn not_found(name: &str) -> ApiError {
    ApiError::new(ErrorCode::McpServerNotFound, format!("there is no tool server `{name}`"))
}
