//! What both of OpenAI's protocols say in the same way.

use serde_json::{Value, json};

use super::Target;
use crate::chat::{AnswerFormat, ChatRequest, Image, Message, Protocol};

/// Whether a name is that of a model of OpenAI's that thinks before it answers.
pub(super) fn reasons(target: &Target) -> bool {
    ["gpt-5", "o1", "o3", "o4"].iter().any(|prefix| target.model.starts_with(prefix))
}

/// How hard a model is to think that does, as the caller says in either protocol.
pub(super) fn effort(target: &Target, request: &ChatRequest) -> Option<Value> {
    let inbound = request.inbound.as_deref().filter(|_| reasons(target))?;
    let effort = match inbound.protocol {
        Protocol::ChatCompletions => inbound.value("reasoning_effort")?,
        Protocol::Responses => inbound.value("reasoning")?.get("effort")?.clone(),
        Protocol::Messages => return None,
    };
    effort.is_string().then_some(effort)
}

/// An image where a URL is expected.
pub(super) fn image_url(image: Image<'_>) -> String {
    match image {
        Image::Inline { media_type, data } => format!("data:{media_type};base64,{data}"),
        Image::At(url) => url.to_owned(),
    }
}

/// What an answer's format is called where the caller has no name for it: it must have one.
const FORMAT_NAME: &str = "answer";

/// A strict schema must require every property and allow no others.
/// <https://platform.openai.com/docs/guides/structured-outputs>
pub(super) fn schema_format(format: &AnswerFormat) -> Option<Value> {
    let AnswerFormat::Schema { name, schema, is_strict } = format else { return None };
    let name = name.as_deref().unwrap_or(FORMAT_NAME);
    Some(json!({"name": name, "strict": is_strict, "schema": schema}))
}

/// What a usage says besides the sums that are known here, which are `sums`, and the cached tokens among the `details`.
pub(super) fn further_usage(usage: &Value, sums: &[&str], details: &str) -> Option<Value> {
    let mut further = usage.as_object()?.clone();
    further.retain(|name, _| !sums.contains(&name.as_str()));
    if let Some(Value::Object(details)) = further.get_mut(details) {
        details.remove("cached_tokens");
    }
    further
        .retain(|_, value| !value.is_null() && value.as_object().is_none_or(|it| !it.is_empty()));
    (!further.is_empty()).then_some(Value::Object(further))
}

/// The words of a tool's result. Neither protocol has a field that tells of its failure.
pub(super) fn result_text(message: &Message) -> String {
    let text = message.text();
    if message.is_error { format!("Error: {text}") } else { text.into_owned() }
}
