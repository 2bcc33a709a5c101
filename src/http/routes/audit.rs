//! Who changed what.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::audit::{Audit, Entry, Filter};
use crate::http::error::{ApiError, ProblemBody};
use crate::http::extract::ApiQuery;
use crate::http::pagination::{Page, PageQuery};

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Only what was done to this: an agent's or a tool server's name, a key's id, or `*` for all feedback.
    subject: Option<String>,
    /// Only what was done in this way, such as `agent.put`.
    action: Option<String>,
    /// Most items, 1 to 1,000; 100 if it is not said.
    limit: Option<usize>,
    /// Where the page before ended: its `next_cursor`.
    cursor: Option<String>,
}

/// One change.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    id: Uuid,
    at: DateTime<Utc>,
    /// The name of the key that was used, or of the part of the service that acted by itself.
    author: String,
    /// `null` if no key was used.
    key_id: Option<Uuid>,
    action: String,
    /// An agent's or a tool server's name, a key's id, or `*` for all feedback.
    subject: String,
    #[schema(value_type = Object)]
    detail: Value,
}

impl From<Entry> for AuditEntry {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id,
            at: entry.created_at,
            author: entry.author,
            key_id: entry.key_id,
            action: entry.action,
            subject: entry.subject,
            detail: entry.detail,
        }
    }
}

/// Changes of agents, keys and tool servers, and feedback that was forgotten, newest first.
#[utoipa::path(
    get, path = "/admin/v1/audit", tag = "admin",
    params(AuditQuery),
    responses(
        (status = 200, description = "A page of changes", body = Page<AuditEntry>),
        (status = 400, description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn list_audit_entries(
    State(audit): State<Audit>,
    ApiQuery(query): ApiQuery<AuditQuery>,
) -> Result<Json<Page<AuditEntry>>, ApiError> {
    let page = PageQuery::new(query.limit, query.cursor);
    let limit = page.limit()?;
    let filter = Filter { subject: query.subject, action: query.action };
    let entries = audit.list_entries(&filter, page.parse_after()?, page.rows()?).await?;
    let items = entries.into_iter().map(AuditEntry::from).collect();
    Ok(Json(Page::new(items, limit, |entry: &AuditEntry| entry.id.to_string())))
}
