//! What both of OpenAI's protocols say in the same way.

use super::Target;
use crate::chat::Message;

/// Whether a name is that of a model of OpenAI's that thinks before it answers.
pub(super) fn reasons(target: &Target) -> bool {
    ["gpt-5", "o1", "o3", "o4"].iter().any(|prefix| target.model.starts_with(prefix))
}

/// An image where a URL is expected.
pub(super) fn data_url((media_type, data): (&str, &str)) -> String {
    format!("data:{media_type};base64,{data}")
}

/// The words of a tool's result. Neither protocol has a field that tells of its failure.
pub(super) fn result_text(message: &Message) -> String {
    let text = message.text();
    if message.is_error { format!("Error: {text}") } else { text.into_owned() }
}
