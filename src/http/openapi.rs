//! The OpenAPI document: what the routes do not say themselves.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Rolecall",
        description = "Serves and dispatches AI agents: picks the right agent for a request, says why, and streams its answer.",
    ),
    modifiers(&Keys),
    security(("bearer" = []), ("x-api-key" = [])),
    components(schemas(super::error::ProblemBody)),
    tags(
        (name = "dispatch", description = "Picking an agent"),
        (name = "runs", description = "Letting an agent answer"),
        (name = "conversations", description = "Keeping what was said"),
        (name = "faces", description = "The protocols of other services"),
        (name = "agents", description = "The roster that the caller may use"),
        (name = "admin", description = "The registry and the keys"),
        (name = "operations", description = "Health and description of the service"),
    ),
)]
pub(super) struct Document;

struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let header = ApiKey::Header(ApiKeyValue::new("x-api-key"));
        components.add_security_scheme("x-api-key", SecurityScheme::ApiKey(header));
    }
}

/// A target is read strictly in the configuration; in answers it is a part of an alias, which has more fields.
pub(super) fn open_targets(document: &mut utoipa::openapi::OpenApi) {
    let schemas = document.components.as_mut().map(|components| &mut components.schemas);
    if let Some(RefOr::T(Schema::Object(target))) = schemas.and_then(|all| all.get_mut("Target")) {
        target.additional_properties = None;
    }
}
