//! API keys: making, listing and revoking them, and what they may use.

use axum::extract::State;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use http::StatusCode;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{Access, ApiKey, Caller, KeyLimits, KeyLimitsChange, NewKey, Scope};
use crate::http::error::{ApiError, ProblemBody};
use crate::http::error_code::ErrorCode;
use crate::http::extract::{ApiJson, ApiPath, ApiQuery, NoQuery};
use crate::http::pagination::{Page, PageQuery};
use crate::limits::{AppliedLimits, Limits, Spent};

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
    /// What the key may use, where that is not what is set for all keys.
    #[serde(default)]
    limits: KeyLimitsChange,
}

/// A change of a key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateKey {
    limits: KeyLimitsChange,
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
    /// Of the key's own; `null` is what is set for all keys.
    limits: KeyLimits,
    /// What holds, with what is set for all keys; `null` is without a limit.
    applied_limits: AppliedLimits,
    spent: SpentBody,
}

/// What a key's runs have cost, as far as prices are known.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpentBody {
    usd_today: f64,
    usd_this_month: f64,
}

impl From<Spent> for SpentBody {
    fn from(spent: Spent) -> Self {
        Self { usd_today: spent.today.to_usd(), usd_this_month: spent.this_month.to_usd() }
    }
}

/// A new key. Its text is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedKey {
    key: String,
    #[serde(flatten)]
    body: KeyBody,
}

impl KeyBody {
    fn new(key: ApiKey, limits: &Limits) -> Self {
        Self {
            applied_limits: limits.apply(&key.limits),
            spent: limits.spent(key.id).into(),
            limits: key.limits,
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
    request_body = CreateKey,
    responses(
        (status = 201, description = "The key; its text is shown this once", body = CreatedKey),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn create_key(
    State(access): State<Access>,
    State(limits): State<Limits>,
    Extension(caller): Extension<Caller>,
    NoQuery: NoQuery,
    ApiJson(body): ApiJson<CreateKey>,
) -> Result<(StatusCode, Json<CreatedKey>), ApiError> {
    let new = NewKey {
        name: body.name,
        scopes: body.scopes,
        agents: body.agents,
        expires_at: body.expires_at,
        limits: body.limits.apply(&KeyLimits::default()),
    };
    let (stored, text) = access.create_key(new, &caller.author()).await?;
    let body = KeyBody::new(stored, &limits);
    let created = CreatedKey { key: text.expose_secret().to_owned(), body };
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
    State(limits): State<Limits>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<KeyBody>>, ApiError> {
    let page = query.limit()?;
    let keys = access.list_keys(query.parse_after()?, query.rows()?).await?;
    let items = keys.into_iter().map(|key| KeyBody::new(key, &limits)).collect();
    Ok(Json(Page::new(items, page, |key: &KeyBody| key.id.to_string())))
}

/// Changes what a key may use. It holds for what is asked from then on.
#[utoipa::path(
    patch, path = "/admin/v1/keys/{id}", tag = "admin",
    request_body = UpdateKey,
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The key as it is now", body = KeyBody),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn update_key(
    State(access): State<Access>,
    State(limits): State<Limits>,
    Extension(caller): Extension<Caller>,
    ApiPath(id): ApiPath<Uuid>,
    NoQuery: NoQuery,
    ApiJson(body): ApiJson<UpdateKey>,
) -> Result<Json<KeyBody>, ApiError> {
    let changed = access.change_limits(id, body.limits, &caller.author()).await?;
    let key = changed.ok_or_else(|| no_key(id))?;
    Ok(Json(KeyBody::new(key, &limits)))
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
    NoQuery: NoQuery,
) -> Result<StatusCode, ApiError> {
    if access.revoke_key(id, &caller.author()).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(no_key(id))
}

fn no_key(id: Uuid) -> ApiError {
    ApiError::new(ErrorCode::KeyNotFound, format!("there is no key `{id}`"))
}
