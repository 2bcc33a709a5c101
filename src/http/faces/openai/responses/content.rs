//! What messages and results of an input consist of, in neutral words.

use serde_json::{Map, Value};

use crate::chat::Part;
use crate::http::error::ApiError;
use crate::http::faces::openai::content::{read_image, unknown_part};

pub(super) fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, ApiError> {
    let value = fields.get(name).and_then(Value::as_str);
    value.ok_or_else(|| ApiError::invalid_field(format!("/{name}"), "is missing, or is no text"))
}

pub(super) fn read_content(content: Option<&Value>, name: &str) -> Result<Vec<Part>, ApiError> {
    match content {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::text(text)]),
        Some(Value::Array(parts)) => {
            let read = |(index, part): (usize, &Value)| {
                read_part(part).map_err(|error| error.within(&format!("/{name}/{index}")))
            };
            parts.iter().enumerate().map(read).collect()
        }
        Some(_) => {
            let detail = "must be a text or a list of parts";
            Err(ApiError::invalid_field(format!("/{name}"), detail))
        }
    }
}

fn read_part(part: &Value) -> Result<Part, ApiError> {
    let missing = |field: &str| ApiError::invalid_field(format!("/{field}"), "is missing");
    let kind = part["type"].as_str().ok_or_else(|| missing("type"))?;
    let text = |field: &str| part[field].as_str().ok_or_else(|| missing(field)).map(Part::text);
    match kind {
        "input_text" | "output_text" | "text" | "summary_text" => text("text"),
        "refusal" => text("refusal"),
        "input_image" if part["file_id"].is_string() => Ok(unknown_part(kind)),
        "input_image" => {
            // Some clients write the object of Chat Completions.
            let url = part["image_url"].as_str().or_else(|| part["image_url"]["url"].as_str());
            read_image(url.ok_or_else(|| missing("image_url"))?, "/image_url")
        }
        other => Ok(unknown_part(other)),
    }
}
