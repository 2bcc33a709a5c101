//! API keys: making, listing and revoking them.

use axum::extract::State;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use http::StatusCode;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{Access, ApiKey, Caller, NewKey, Scope};
use crate::definition::AgentName;
use crate::http::error::{ApiError, ProblemBody};
use crate::http::error_code::ErrorCode;
use crate::http::extract::{ApiJson, ApiPath, ApiQuery};
use crate::http::pagination::{Page, PageQuery};

const MAX_NAME_LENGTH: usize = 100;

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// What the key is for.
    name: String,
    scopes: Vec<Scope>,
    /// The only agents it may use; `null` means all.
    agents: Option<Vec<String>>,
    expires_at: Option<DateTime<Utc>>,
}

/// A key, without its text.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyBody {
    id: Uuid,
    name: String,
    scopes: Vec<Scope>,
    agents: Option<Vec<String>>,
    expires_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

/// A new key. Its text is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedKey {
    key: String,
    #[serde(flatten)]
    body: KeyBody,
}

impl From<ApiKey> for KeyBody {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            scopes: key.scopes,
            agents: key.agents,
            expires_at: key.expires_at,
            created_at: key.created_at,
        }
    }
}

/// Makes a key.
#[utoipa::path(
    post, path = "/admin/v1/keys", tag = "admin",
    responses(
        (status = 201, description = "The key; its text is shown this once", body = CreatedKey),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn create_key(
    State(access): State<Access>,
    Extension(caller): Extension<Caller>,
    ApiJson(body): ApiJson<CreateKey>,
) -> Result<(StatusCode, Json<CreatedKey>), ApiError> {
    let name = body.name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME_LENGTH {
        let detail = format!("must have 1 to {MAX_NAME_LENGTH} characters");
        return Err(ApiError::invalid_field("/name", detail));
    }
    // PostgreSQL stores no NUL, and a line break would forge a line of a list.
    if name.contains(char::is_control) {
        return Err(ApiError::invalid_field("/name", "must hold no control characters"));
    }
    let mut agents = body.agents.iter().flatten();
    if let Some(index) = agents.position(|agent| AgentName::parse(agent).is_none()) {
        let detail = "must be an agent's name: a-z, 0-9 and single hyphens";
        return Err(ApiError::invalid_field(format!("/agents/{index}"), detail));
    }
    if body.scopes.is_empty() {
        return Err(ApiError::invalid_field("/scopes", "must name at least one scope"));
    }
    if body.expires_at.is_some_and(|expires_at| expires_at <= Utc::now()) {
        return Err(ApiError::invalid_field("/expires_at", "must lie in the future"));
    }
    let new = NewKey {
        name: name.to_owned(),
        scopes: body.scopes,
        agents: body.agents,
        expires_at: body.expires_at,
    };
    let (stored, text) = access.create_key(new, &caller.author()).await?;
    let created = CreatedKey { key: text.expose_secret().to_owned(), body: stored.into() };
    Ok((StatusCode::CREATED, Json(created)))
}

/// Keys that are not revoked, oldest first.
#[utoipa::path(
    get, path = "/admin/v1/keys", tag = "admin",
    params(PageQuery),
    responses((status = 200, description = "A page of keys", body = Page<KeyBody>))
)]
pub async fn list_keys(
    State(access): State<Access>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<KeyBody>>, ApiError> {
    let limit = query.limit()?;
    let keys = access.list_keys(query.parse_after()?, query.rows()?).await?;
    let items = keys.into_iter().map(KeyBody::from).collect();
    Ok(Json(Page::new(items, limit, |key: &KeyBody| key.id.to_string())))
}

/// Revokes a key.
#[utoipa::path(
    delete, path = "/admin/v1/keys/{id}", tag = "admin",
    params(("id" = Uuid, Path)),
    responses(
        (status = 204, description = "The key is good for nothing any more"),
        (status = 404, description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn delete_key(
    State(access): State<Access>,
    Extension(caller): Extension<Caller>,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<StatusCode, ApiError> {
    if access.revoke_key(id, &caller.author()).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::new(ErrorCode::KeyNotFound, format!("there is no key `{id}`")))
}
