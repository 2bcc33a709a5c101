//! Everything that is HTTP: paths, bodies, statuses, keys in headers, errors on the wire.
//!
//! Handlers extract, call one function of a component, and shape the answer.

mod auth;
mod error;
mod error_code;
mod extract;
mod faces;
mod openapi;
mod pagination;
mod rate_limits;
mod request_log;
mod roster_revision;
mod routes;
mod run_headers;
mod sse;
mod state;

use axum::extract::DefaultBodyLimit;
use axum::{Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use extract::without_values;
pub use state::{AppState, Handles, Readiness, Settings};

use crate::access::Scope;
use error::ApiError;
use error_code::ErrorCode;

/// Every path, by the scope that it asks for.
fn paths(scope: Option<Scope>) -> OpenApiRouter<AppState> {
    use faces::{anthropic, models, openai};
    use routes::{
        admin_agents, admin_sync, agent_states, agents, audit, conversations, dispatches, evals,
        export, feedback, keys, mcp_servers, operations, prompts, providers, revisions, runs,
        usage,
    };
    let router: OpenApiRouter<AppState> = OpenApiRouter::new();
    match scope {
        None => router
            .routes(routes!(operations::get_liveness))
            .routes(routes!(operations::get_readiness))
            .routes(routes!(operations::get_openapi))
            .routes(routes!(operations::get_root)),
        Some(Scope::Read) => router
            .routes(routes!(agents::list_agents))
            .routes(routes!(agents::get_agent))
            .routes(routes!(models::list_models))
            .routes(routes!(models::get_model)),
        Some(Scope::Dispatch) => router
            .routes(routes!(dispatches::create_dispatch))
            .routes(routes!(dispatches::get_dispatch))
            .routes(routes!(feedback::create_feedback)),
        Some(Scope::Run) => router
            .routes(routes!(openai::chat::create_chat_completion))
            .routes(routes!(openai::responses::create_response))
            .routes(routes!(openai::responses::count_response_tokens))
            .routes(routes!(openai::responses::get_response, openai::responses::delete_response))
            .routes(routes!(openai::responses::cancel_response))
            .routes(routes!(openai::responses::list_response_input_items))
            .routes(routes!(anthropic::create_message))
            .routes(routes!(anthropic::count_message_tokens))
            .routes(routes!(prompts::create_prompt))
            .routes(routes!(conversations::create_conversation, conversations::list_conversations))
            .routes(routes!(conversations::get_conversation, conversations::delete_conversation))
            .routes(routes!(conversations::list_conversation_messages))
            .routes(routes!(runs::create_run, runs::list_runs))
            .routes(routes!(runs::get_run))
            .routes(routes!(runs::get_run_events))
            .routes(routes!(runs::cancel_run)),
        Some(Scope::Admin) => router
            .routes(routes!(admin_agents::list_admin_agents))
            .routes(routes!(
                admin_agents::get_admin_agent,
                admin_agents::put_agent,
                admin_agents::delete_agent
            ))
            .routes(routes!(admin_agents::get_agent_source))
            .routes(routes!(agent_states::activate_agent))
            .routes(routes!(agent_states::disable_agent))
            .routes(routes!(agent_states::enable_agent))
            .routes(routes!(revisions::list_revisions))
            .routes(routes!(revisions::get_revision))
            .routes(routes!(revisions::get_revision_source))
            .routes(routes!(export::get_export))
            .routes(routes!(admin_sync::create_sync))
            .routes(routes!(admin_sync::list_quarantine))
            .routes(routes!(evals::create_dispatch_eval))
            .routes(routes!(audit::list_audit_entries))
            .routes(routes!(usage::list_usage))
            .routes(routes!(feedback::list_feedback, feedback::delete_feedback))
            .routes(routes!(dispatches::get_judge))
            .routes(routes!(providers::list_providers))
            .routes(routes!(providers::list_admin_models))
            .routes(routes!(mcp_servers::list_mcp_servers))
            .routes(routes!(
                mcp_servers::get_mcp_server,
                mcp_servers::put_mcp_server,
                mcp_servers::delete_mcp_server
            ))
            .routes(routes!(keys::create_key, keys::list_keys))
            .routes(routes!(keys::update_key, keys::delete_key)),
    }
}

/// The figures, which need a key if the operator says so.
fn metrics_path() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(routes::metrics::get_metrics))
}

const SCOPES: [Option<Scope>; 5] =
    [None, Some(Scope::Read), Some(Scope::Dispatch), Some(Scope::Run), Some(Scope::Admin)];

/// The service's router.
pub fn router(state: AppState) -> Router {
    let mut router = Router::new();
    for scope in SCOPES {
        let (mut group, _) = paths(scope).split_for_parts();
        if let Some(scope) = scope {
            let is_counted = matches!(scope, Scope::Dispatch | Scope::Run);
            let limits = is_counted.then(|| state.limits.clone());
            let guard = auth::Guard { access: state.access.clone(), scope, limits };
            group = group.route_layer(middleware::from_fn_with_state(guard, auth::check));
        }
        router = router.merge(group);
    }
    let (mut figures, _) = metrics_path().split_for_parts();
    if state.settings.metrics_require_key {
        let access = state.access.clone();
        let guard = auth::Guard { access, scope: Scope::Read, limits: None };
        figures = figures.route_layer(middleware::from_fn_with_state(guard, auth::check));
    }
    router = router.merge(figures);
    let body_bytes = state.settings.body_bytes;
    router
        .fallback(|| async { ApiError::new(ErrorCode::NotFound, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            ApiError::new(ErrorCode::MethodNotAllowed, "the path does not take this method")
        })
        // One layer of three, the outermost first: each one by itself would be boxed, and cloned for every request with
        // all that is inside.
        .layer((
            middleware::from_fn_with_state(state.registry.clone(), request_log::log_request),
            CatchPanicLayer::custom(request_log::panicked),
            DefaultBodyLimit::max(body_bytes),
        ))
        .with_state(state)
}

/// The description of every path.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = openapi::Document::openapi();
    for scope in SCOPES {
        let (_, mut part) = paths(scope).split_for_parts();
        if scope.is_some() {
            openapi::tell_refusals(&mut part);
        }
        document.merge(part);
    }
    document.merge(metrics_path().split_for_parts().1);
    openapi::open_targets(&mut document);
    document
}
