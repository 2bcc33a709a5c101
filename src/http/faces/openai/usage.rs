//! What a provider counts besides what is known here: tokens that were thought, its price.

use serde_json::Value;

use crate::conversation::Run;

/// Adds it to the usage of a run. It is that of one model call, so that it says nothing of a run that made several.
pub(super) fn add_further(usage: &mut Value, further: &Value, run: &Run) {
    let is_of_run = run.turns.len() == 1 && usage.is_object();
    for (name, value) in further.as_object().into_iter().flatten().filter(|_| is_of_run) {
        match (&mut usage[name], value) {
            (Value::Object(known), Value::Object(details)) => known.extend(details.clone()),
            (place, value) => *place = value.clone(),
        }
    }
}
