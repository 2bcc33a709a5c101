//! The figures of this instance, for Prometheus. <https://prometheus.io/docs/instrumenting/exposition_formats/>

use axum::extract::State;
use axum::response::IntoResponse;
use http::header;

use crate::conversation::Conversations;
use crate::ledger::Ledger;
use crate::limits::Limits;
use crate::provider::Providers;
use crate::registry::Registry;
use crate::telemetry::metrics::{self, Levels, Metrics};

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What this instance has counted, in Prometheus's text format.
#[utoipa::path(
    get, path = "/metrics", tag = "operations", security((), ("bearer" = [])),
    responses((status = 200, description = "Prometheus's text format", body = String, content_type = "text/plain"))
)]
pub async fn get_metrics(
    State(metrics): State<Metrics>,
    State(conversations): State<Conversations>,
    State(ledger): State<Ledger>,
    State(limits): State<Limits>,
    State(providers): State<Providers>,
    State(registry): State<Registry>,
) -> impl IntoResponse {
    let records = ledger.backlog();
    metrics::set_levels(Levels {
        runs_under_way: conversations.count_live(),
        pending_records: records.waiting,
        journal_bytes: records.journal_bytes,
        journal_limit_bytes: records.journal_limit_bytes,
        key_accounts: limits.count_accounts(),
        roster_revision: registry.roster().revision,
    });
    for (target, level) in providers.breaker_levels() {
        metrics::set_breaker(&target.provider, &target.model, level);
    }
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], metrics.render())
}
