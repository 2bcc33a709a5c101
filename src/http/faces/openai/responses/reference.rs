//! References to items of stored responses, by which some clients spare themselves to send what was said.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::Value;
use uuid::Uuid;

use super::item_id::ItemId;
use super::response::Repeated;
use super::voice::ResponseVoice;
use crate::access::Caller;
use crate::conversation::Conversations;
use crate::http::error::ApiError;

/// Puts the items in the place of references to them. What has an id of its provider's stays out, such as what a provider's
/// own tools did: no provider is asked with what it keeps itself. False if there is none.
pub(super) async fn resolve(
    conversations: &Conversations,
    caller: &Caller,
    input: &mut Value,
) -> Result<bool, ApiError> {
    let Some(items) = input.as_array_mut().filter(|items| items.iter().any(is_reference)) else {
        return Ok(false);
    };
    let mut found: HashMap<Uuid, Vec<Value>> = HashMap::new();
    let mut resolved = Vec::with_capacity(items.len());
    for (index, item) in items.drain(..).enumerate() {
        if !is_reference(&item) {
            resolved.push(item);
            continue;
        }
        let Some(id) = item["id"].as_str().and_then(ItemId::read) else { continue };
        let output = match found.entry(id.run_id) {
            Entry::Occupied(output) => output.into_mut(),
            Entry::Vacant(place) => {
                let output = find_output(conversations, caller, id.run_id).await?;
                place.insert(output.ok_or_else(|| {
                    let detail = format!("Item with id '{id}' not found.");
                    ApiError::invalid_field(format!("/input/{index}/id"), detail)
                })?)
            }
        };
        let id = id.to_string();
        resolved.extend(output.iter().find(|item| item["id"] == id.as_str()).cloned());
    }
    *items = resolved;
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
