//! The OpenAPI document: what the routes do not say themselves.

use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr};
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

/// Adds what operations that need a key may refuse for reasons that are not their own: the key, a request that cannot be
/// read, a name or an id in the path that nothing has.
pub(super) fn tell_refusals(document: &mut utoipa::openapi::OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let names_something = path.contains('{');
        let PathItem { get, put, post, delete, patch, .. } = item;
        // What is put need not be there.
        let is_put = [false, true, false, false, false];
        for (operation, is_put) in [get, put, post, delete, patch].into_iter().zip(is_put) {
            let Some(operation) = operation else { continue };
            refuse(operation, "401", "The key is missing, unknown, revoked or expired");
            refuse(operation, "403", "The key does not permit it");
            refuse(operation, "400", "The request cannot be read, or a field is bad");
            if names_something && !is_put {
                refuse(operation, "404", "There is none of that name or id");
            }
        }
    }
}

fn refuse(operation: &mut Operation, status: &str, description: &str) {
    let is_face = operation.tags.iter().flatten().any(|tag| tag == "faces");
    let response = ResponseBuilder::new().description(description);
    // Faces answer in their protocol's own shape, which its vendor describes.
    let response = if is_face {
        response.content("application/json", Content::default())
    } else {
        let problem = Content::new(Some(Ref::from_schema_name("Problem")));
        response.content("application/problem+json", problem)
    };
    let responses = &mut operation.responses.responses;
    responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(response.build()));
}

/// A target is read strictly in the configuration; in answers it is a part of an alias, which has more fields.
pub(super) fn open_targets(document: &mut utoipa::openapi::OpenApi) {
    let schemas = document.components.as_mut().map(|components| &mut components.schemas);
    if let Some(RefOr::T(Schema::Object(target))) = schemas.and_then(|all| all.get_mut("Target")) {
        target.additional_properties = None;
    }
}
