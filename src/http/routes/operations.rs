//! Whether the service lives and is ready, and its own description. No key is needed.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::conversation::Conversations;
use crate::http::state::Readiness;
use crate::ledger::Ledger;
use crate::provider::Providers;
use crate::registry::Registry;
use crate::tools::ToolServers;

/// Says that the service is there.
#[utoipa::path(
    head, path = "/", tag = "operations", security(()),
    responses((status = 200, description = "The service is there"))
)]
pub async fn get_root() -> StatusCode {
    StatusCode::OK
}

/// Whether the process lives.
#[utoipa::path(
    get, path = "/livez", tag = "operations", security(()),
    responses((status = 200, description = "The process lives", body = Value))
)]
pub async fn get_liveness() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// Whether the service should be given requests, and how each thing that it depends on is.
///
/// Ready once the first sync is applied. A database that is gone later degrades the service, which goes on
/// picking and answering as long as its journal has room.
#[utoipa::path(
    get, path = "/readyz", tag = "operations", security(()),
    responses(
        (status = 200, description = "`ready`, or `degraded` with the dependency named", body = Value),
        (status = 503, description = "`starting` or `stopping`", body = Value),
    )
)]
pub async fn get_readiness(
    State(readiness): State<Readiness>,
    State(registry): State<Registry>,
    State(providers): State<Providers>,
    State(conversations): State<Conversations>,
    State(tool_servers): State<ToolServers>,
    State(ledger): State<Ledger>,
) -> Response {
    // Asked beside: who probes waits a second at most.
    let is_database_up = readiness.is_database_up();
    let is_offline = providers.catalog().is_offline();
    let roster = registry.roster();
    let records = ledger.backlog();
    let is_whole = is_database_up && records.has_room;
    let status = match (readiness.is_stopping(), readiness.has_synced(), is_whole) {
        (true, _, _) => "stopping",
        (false, false, _) => "starting",
        (false, true, false) => "degraded",
        (false, true, true) => "ready",
    };
    let warning = is_offline.then_some("no model is configured: the offline provider answers");
    let body = json!({
        "status": status,
        "roster_revision": roster.revision,
        "runs_under_way": conversations.count_live(),
        "records": records,
        "dependencies": {
            "database": {"status": if is_database_up { "up" } else { "down" }},
            // Without room for records nothing is picked and no run begins.
            "journal": {"status": if records.has_room { "up" } else { "full" }},
            "agents": {"status": "up", "live": roster.live().count()},
            "provider": {
                "status": if is_offline { "offline" } else { "configured" },
                "default_model": providers.catalog().default_target().full_name(),
                "warning": warning,
            },
            // A tool server that is down degrades agents, not the service.
            "tool_servers": conditions(&tool_servers),
        },
    });
    let is_ready = matches!(status, "ready" | "degraded");
    let code = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(body)).into_response()
}

/// The condition of each tool server, by name. Why one is down is for admins.
fn conditions(tool_servers: &ToolServers) -> Value {
    let states = tool_servers.states().into_iter();
    states
        .map(|server| (server.name, json!({"status": server.state})))
        .collect::<Map<_, _>>()
        .into()
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations", security(()),
    responses((status = 200, description = "The OpenAPI document", body = Value))
)]
pub async fn get_openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(crate::http::openapi())
}
