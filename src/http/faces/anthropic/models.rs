//! The list of models in Anthropic's words. <https://docs.claude.com/en/api/models-list>

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::http::error::ApiError;
use crate::http::faces::model_list::ListedModel;

const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 1_000;

/// Which part of the list is wanted, in Anthropic's words.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ModelPage {
    /// Most items, 1 to 1,000; 20 if it is not said.
    limit: Option<usize>,
    /// Only models behind this one.
    after_id: Option<String>,
    /// Only models before this one.
    before_id: Option<String>,
}

pub(in crate::http::faces) fn model(model: &ListedModel) -> Value {
    json!({
        "type": "model",
        "id": model.id,
        "display_name": model.display_name,
        "created_at": model.since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    })
}

pub(in crate::http::faces) fn model_list(
    models: &[ListedModel],
    page: &ModelPage,
) -> Result<Value, ApiError> {
    let limit = page.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::invalid_field("/limit", format!("must be 1 to {MAX_LIMIT}")));
    }
    let place = |id: Option<&String>, pointer: &str| {
        let found = id.map(|id| {
            let place = models.iter().position(|model| model.id == *id);
            place.ok_or_else(|| ApiError::invalid_field(pointer, "is no model of this list"))
        });
        found.transpose()
    };
    let start = place(page.after_id.as_ref(), "/after_id")?.map_or(0, |place| place + 1);
    let end = place(page.before_id.as_ref(), "/before_id")?.unwrap_or(models.len()).max(start);
    let found = &models[start..end];
    // Pages that go back end where the one before began.
    let listed = match &page.before_id {
        Some(_) => &found[found.len().saturating_sub(limit)..],
        None => &found[..found.len().min(limit)],
    };
    Ok(json!({
        "data": listed.iter().map(model).collect::<Vec<_>>(),
        "has_more": listed.len() < found.len(),
        "first_id": listed.first().map(|model| &model.id),
        "last_id": listed.last().map(|model| &model.id),
    }))
}
