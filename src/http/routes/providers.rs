//! Model providers and models, as the operator has them.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::{ApiError, ProblemBody};
use crate::http::extract::ApiQuery;
use crate::http::pagination::{Page, PageQuery};
use crate::provider::{ProviderHealth, Providers, Target};

/// The providers that are configured, and which of their models fail.
#[utoipa::path(
    get, path = "/admin/v1/providers", tag = "admin",
    params(PageQuery),
    responses(
        (status = 200, description = "The providers", body = Page<ProviderHealth>),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn list_providers(
    State(providers): State<Providers>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<ProviderHealth>>, ApiError> {
    let limit = query.limit()?;
    let mut items = providers.health();
    if let Some(after) = query.after()? {
        items.retain(|provider| provider.name.as_str() > &*after);
    }
    items.truncate(limit + 1);
    Ok(Json(Page::new(items, limit, |provider: &ProviderHealth| provider.name.clone())))
}

/// An alias and the models behind it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelAlias {
    alias: String,
    /// In the order in which they are tried.
    targets: Vec<AliasTarget>,
}

/// A model behind an alias.
#[derive(Debug, Serialize, ToSchema)]
pub struct AliasTarget {
    #[serde(flatten)]
    target: Target,
    /// Whether its provider is: others are passed over.
    is_configured: bool,
}

/// The aliases of models, with what is known of each model.
#[utoipa::path(
    get, path = "/admin/v1/models", tag = "admin",
    params(PageQuery),
    responses(
        (status = 200, description = "The aliases", body = Page<ModelAlias>),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn list_admin_models(
    State(providers): State<Providers>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<ModelAlias>>, ApiError> {
    let (catalog, limit, after) = (providers.catalog(), query.limit()?, query.after()?);
    let aliases = catalog.aliases().iter();
    let items = aliases
        .filter(|(alias, _)| after.as_ref().is_none_or(|after| *alias > after))
        .take(limit + 1)
        .map(|(alias, targets)| ModelAlias {
            alias: alias.clone(),
            targets: targets
                .iter()
                .map(|target| AliasTarget {
                    target: Target::clone(target),
                    is_configured: catalog.is_configured(target),
                })
                .collect(),
        })
        .collect();
    Ok(Json(Page::new(items, limit, |model: &ModelAlias| model.alias.clone())))
}
