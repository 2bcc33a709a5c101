//! What of a request is passed on in its own words: that of a caller who speaks the provider's protocol.
//!
//! The neutral request is encoded first. Then the caller's own words take the place of what they mean, and what is not
//! known here is added.

use serde_json::Value;

use super::Target;
use super::request_body::{RequestBody, Words};
use crate::chat::{ChatRequest, Inbound, Parameter, Protocol};

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
pub(super) fn pass_on<'a>(body: &mut RequestBody<'a>, inbound: &'a Inbound, fields: &Fields) {
    for (name, written) in &inbound.body {
        let (name, written): (&str, &str) = (name, written);
        let is_worded = fields.worded.contains(&name);
        let is_known = is_worded || fields.decided.contains(&name);
        if !is_known || (is_worded && written != "null" && body.has(name)) {
            body.set(name, written);
        }
    }
}

/// A choice of tools that has no neutral word, such as one of a tool that only the protocol knows. It may force a call: it is
/// neither for a model that refuses such a choice, nor for one that is asked again, which would never answer.
pub(super) fn own_tool_choice<'a>(
    target: &Target,
    request: &ChatRequest,
    inbound: &'a Inbound,
) -> Option<&'a str> {
    let is_refused = target.refused_parameters().contains(&Parameter::ToolChoice);
    let is_asked_again = !inbound.behind(&request.messages).is_empty();
    let is_passed = request.parameters.tool_choice.is_none()
        && has_tools(request, Some(inbound))
        && !is_refused
        && !is_asked_again;
    inbound.field("tool_choice").filter(|_| is_passed)
}

/// Whether tools are sent, those that only the protocol knows among them.
pub(super) fn has_tools(request: &ChatRequest, inbound: Option<&Inbound>) -> bool {
    !request.tools.is_empty() || inbound.is_some_and(|inbound| !inbound.own_tools.is_empty())
}

/// The tools: those of servers as they are encoded, then the caller's in the caller's words. `encoded` are the neutral ones.
pub(super) fn tools<'a>(
    encoded: impl ExactSizeIterator<Item = Value>,
    inbound: Option<&'a Inbound>,
) -> Option<Words<'a>> {
    let callers = inbound.map_or(0, |inbound| inbound.tool_count);
    let of_servers = encoded.len().saturating_sub(callers);
    let tools: Vec<Words<'a>> = encoded
        .take(of_servers)
        .map(Words::from)
        .chain(inbound.iter().flat_map(|inbound| inbound.list("tools")).map(Words::from))
        .collect();
    (!tools.is_empty()).then_some(Words::List(tools))
}
