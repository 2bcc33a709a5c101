//! References to items of stored responses, by which some clients spare themselves to send what was said.

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use super::item_id::ItemId;
use super::response::Repeated;
use super::voice::ResponseVoice;
use crate::access::Caller;
use crate::conversation::Conversations;
use crate::http::error::ApiError;

/// Puts the items in the place of references to them. What has an id of its provider's, such as what a provider's own tools
/// did, is found in the responses that the other references name: no provider is asked with what it keeps itself. False if
/// there is none.
pub(super) async fn resolve(
    conversations: &Conversations,
    caller: &Caller,
    input: &mut Value,
) -> Result<bool, ApiError> {
    let Some(items) = input.as_array_mut().filter(|items| items.iter().any(is_reference)) else {
        return Ok(false);
    };
    let ids = items.iter().filter(|item| is_reference(item)).filter_map(|item| item["id"].as_str());
    let runs: BTreeSet<Uuid> = ids.filter_map(ItemId::read).map(|id| id.run_id).collect();
    let mut outputs = Vec::new();
    for run_id in runs {
        outputs.extend(find_output(conversations, caller, run_id).await?.unwrap_or_default());
    }
    for (index, item) in items.iter_mut().enumerate().filter(|(_, item)| is_reference(item)) {
        let found =
            outputs.iter().find(|output| output["id"].is_string() && output["id"] == item["id"]);
        let Some(found) = found else {
            let id = item["id"].as_str().unwrap_or_default();
            let detail = format!("Item with id '{id}' not found.");
            return Err(ApiError::invalid_field(format!("/input/{index}/id"), detail));
        };
        *item = found.clone();
    }
    Ok(true)
}

fn is_reference(item: &Value) -> bool {
    item["type"] == "item_reference"
}

async fn find_output(
    conversations: &Conversations,
    caller: &Caller,
    run_id: Uuid,
) -> Result<Option<Vec<Value>>, ApiError> {
    let found = conversations.find_run(run_id).await?;
    let Some(found) = found.filter(|found| caller.may_see(found.key_id)) else { return Ok(None) };
    let events = conversations.list_run_events(run_id).await?;
    let repeated = Repeated::of_run(&found.run);
    let mut response = ResponseVoice::new(repeated).response(events, &found.run);
    let Some(Value::Array(output)) = response.remove("output") else { return Ok(None) };
    Ok(Some(output))
}
