//! What of a request is passed on in its own words: that of a caller who speaks the provider's protocol.
//!
//! The neutral request is encoded first. Then the caller's own words take the place of what they mean, and what is not
//! known here is added.

use serde_json::Value;

use crate::chat::{ChatRequest, Inbound, Protocol};

/// What a protocol's body holds, by who decides about it.
pub(super) struct Fields {
    /// Those that the encoded request alone decides.
    pub decided: &'static [&'static str],
    /// Those whose words are the caller's wherever the encoded request has them: a parameter that the model refuses is
    /// not there.
    pub worded: &'static [&'static str],
}

/// The request as it came in, if it did so in this protocol.
pub(super) fn inbound_of(request: &ChatRequest, protocol: Protocol) -> Option<&Inbound> {
    request.inbound.as_deref().filter(|inbound| inbound.protocol == protocol)
}

/// Puts the caller's words into an encoded request.
pub(super) fn pass_on(body: &mut Value, inbound: &Inbound, fields: &Fields) {
    for (name, value) in &inbound.body {
        let is_worded = fields.worded.contains(&name.as_str());
        let is_known = is_worded || fields.decided.contains(&name.as_str());
        if !is_known || (is_worded && !value.is_null() && body.get(name).is_some()) {
            body[name.as_str()] = value.clone();
        }
    }
}

/// The tools of servers as they are encoded, then the caller's in the caller's words. `encoded` are the neutral ones.
pub(super) fn pass_tools_on(encoded: Vec<Value>, inbound: &Inbound) -> Vec<Value> {
    let of_servers = encoded.len().saturating_sub(inbound.tool_count);
    encoded.into_iter().take(of_servers).chain(inbound.list("tools").iter().cloned()).collect()
}
