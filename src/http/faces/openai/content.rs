//! What OpenAI's two protocols have in common in what is said: images, and arguments of calls.

use serde_json::{Value, json};

use crate::chat::{Part, WrittenJson};
use crate::http::error::ApiError;

/// Arguments are a text that holds an object; other protocols take nothing but the object.
pub(super) fn read_arguments(arguments: Value) -> WrittenJson {
    match arguments {
        Value::String(text) if text.trim().is_empty() => WrittenJson::empty_object(),
        Value::String(text) => WrittenJson::read(text.as_str())
            .ok()
            .filter(WrittenJson::is_object)
            .unwrap_or_else(|| json!({"arguments": text}).into()),
        Value::Object(_) => arguments.into(),
        _ => WrittenJson::empty_object(),
    }
}

/// An image by its address, or in the address itself. `pointer` is where that stands.
pub(super) fn read_image(url: &str, pointer: &str) -> Result<Part, ApiError> {
    if let Some(inline) = url.strip_prefix("data:") {
        let read = inline
            .split_once(";base64,")
            .filter(|(kind, data)| kind.starts_with("image/") && !data.is_empty());
        let (media_type, data) = read
            .ok_or_else(|| ApiError::invalid_field(pointer, "must be `data:image/…;base64,…`"))?;
        // Parameters of the media type may follow it.
        let media_type = media_type.split(';').next().unwrap_or_default();
        return Ok(Part::Image { media_type: media_type.to_owned(), data: data.to_owned() });
    }
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(Part::ImageUrl { url: url.to_owned() });
    }
    Err(ApiError::invalid_field(pointer, "must begin with `https://` or `data:image/`"))
}

/// A part of a kind that the neutral vocabulary does not have. A provider of the same protocol gets it as it came.
pub(super) fn unknown_part(kind: &str) -> Part {
    Part::text(format!("(A part of the type `{kind}` cannot be shown to this model.)"))
}

/// The same of an item, where it is all that is said.
pub(super) fn unknown_item(kind: &str) -> Part {
    Part::text(format!("(An item of the type `{kind}` cannot be shown to this model.)"))
}
