//! What comes of a call, and how a server's result becomes that.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

/// The result of a call, good or bad: what the model is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolOutcome {
    pub is_error: bool,
    /// In the server's order; never empty.
    pub content: Vec<ToolContent>,
}

/// A piece of a result. What is neither text nor an image is told of in text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolContent {
    Text(String),
    Image {
        media_type: String,
        /// In base64.
        data: String,
    },
}

/// How failures begin that servers report as if they were results. Known of the context7 server (as of 4.1.1), which
/// does not set `isError`; others do the same in the first two ways.
const FAILURES: &[&str] = &[
    "Error:",
    "Error ",
    "Failed to ",
    "Request failed with status",
    "Rate limited or quota exceeded",
];

/// A longer text is no report of a failure, whatever it begins with.
const FAILURE_CHARS: usize = 600;

impl ToolOutcome {
    /// A failure, told to the model in one text.
    pub fn error(text: impl Into<String>) -> Self {
        Self { is_error: true, content: vec![ToolContent::Text(text.into())] }
    }

    /// Every text of the result.
    pub fn text(&self) -> String {
        let texts = self.content.iter().filter_map(|content| match content {
            ToolContent::Text(text) => Some(text.as_str()),
            ToolContent::Image { .. } => None,
        });
        texts.collect::<Vec<_>>().join("\n")
    }

    /// Takes over a server's result, `max_bytes` of it at most.
    pub(super) fn of(result: CallToolResult, max_bytes: usize) -> Self {
        let says_error = result.is_error.unwrap_or(false);
        let mut content: Vec<ToolContent> = result.content.into_iter().map(piece).collect();
        let has_text = content
            .iter()
            .any(|piece| matches!(piece, ToolContent::Text(text) if !text.is_empty()));
        // A server should say in text too what it says in structure; where it does not, the structure is all there is.
        if let Some(structure) = result.structured_content
            && !has_text
        {
            content.push(ToolContent::Text(structure.to_string()));
        }
        if content.is_empty() {
            content.push(ToolContent::Text("(the tool answered with nothing)".to_owned()));
        }
        let is_error = says_error || is_failure(&content);
        Self { is_error, content: cut(content, max_bytes) }
    }
}

fn piece(block: ContentBlock) -> ToolContent {
    match block {
        ContentBlock::Text(text) => ToolContent::Text(text.text),
        ContentBlock::Image(image) => image_piece(image.mime_type, image.data),
        ContentBlock::Audio(audio) => ToolContent::Text(format!(
            "[audio, {}, {} bytes in base64: it cannot be played here]",
            audio.mime_type,
            audio.data.len()
        )),
        ContentBlock::Resource(embedded) => match embedded.resource {
            ResourceContents::TextResourceContents { uri, text, .. } => {
                ToolContent::Text(format!("[resource {uri}]\n{text}"))
            }
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                match mime_type.filter(|media_type| is_image(media_type)) {
                    Some(media_type) => image_piece(media_type, blob),
                    None => ToolContent::Text(format!(
                        "[resource {uri}: binary, {} bytes in base64]",
                        blob.len()
                    )),
                }
            }
            _ => ToolContent::Text("[a resource of an unknown kind]".to_owned()),
        },
        ContentBlock::ResourceLink(link) => {
            let description = link.description.map(|text| format!(": {text}")).unwrap_or_default();
            ToolContent::Text(format!("[link to {} ({}){description}]", link.uri, link.name))
        }
        _ => ToolContent::Text("[content of an unknown kind]".to_owned()),
    }
}

fn image_piece(media_type: String, data: String) -> ToolContent {
    if is_image(&media_type) {
        return ToolContent::Image { media_type, data };
    }
    ToolContent::Text(format!("[{media_type}, {} bytes in base64]", data.len()))
}

/// The media types that models take.
fn is_image(media_type: &str) -> bool {
    ["image/png", "image/jpeg", "image/gif", "image/webp"].contains(&media_type)
}

/// Whether a result is nothing but a short report that something went wrong.
fn is_failure(content: &[ToolContent]) -> bool {
    let [ToolContent::Text(text)] = content else { return false };
    let text = text.trim_start();
    text.len() <= FAILURE_CHARS && FAILURES.iter().any(|beginning| text.starts_with(beginning))
}

/// Cuts what goes over the limit, and says so behind it.
fn cut(content: Vec<ToolContent>, max_bytes: usize) -> Vec<ToolContent> {
    let size = |piece: &ToolContent| match piece {
        ToolContent::Text(text) => text.len(),
        ToolContent::Image { data, .. } => data.len(),
    };
    let whole: usize = content.iter().map(size).sum();
    if whole <= max_bytes {
        return content;
    }
    let mut left = max_bytes;
    let mut kept = Vec::new();
    for piece in content {
        if size(&piece) <= left {
            left -= size(&piece);
            kept.push(piece);
            continue;
        }
        // A part of an image is none.
        if let ToolContent::Text(mut text) = piece {
            text.truncate(text.floor_char_boundary(left));
            kept.push(ToolContent::Text(text));
        }
        break;
    }
    kept.push(ToolContent::Text(format!(
        "[The result was cut: it has {whole} bytes, and {max_bytes} at most are shown. Ask for less at a time.]"
    )));
    kept
}

#[cfg(test)]
mod tests {
    use rmcp::model::{CallToolResult, ContentBlock};
    use serde_json::json;

    use super::{ToolContent, ToolOutcome};

    fn text(text: &str) -> ToolOutcome {
        ToolOutcome::of(CallToolResult::success(vec![ContentBlock::text(text)]), 1_000)
    }

    #[test]
    fn a_failure_that_is_told_as_a_result_is_one() {
        for failure in [
            "Error fetching library context. Please try again later. TypeError: fetch failed",
            "Error searching libraries: TypeError: fetch failed",
            "Failed to fetch documentation",
            "Rate limited or quota exceeded. Create a free API key.",
        ] {
            assert!(text(failure).is_error, "{failure}");
        }
        let long = format!("Error handling in Rust\n{}", "Use `Result`. ".repeat(60));
        for result in
            ["Errors are values.", "### Error handling", "The library does not exist.", &long]
        {
            assert!(!text(result).is_error, "{result}");
        }
    }

    #[test]
    fn structure_speaks_where_no_text_does() {
        let mut result = CallToolResult::structured(json!({"a": 1}));
        assert_eq!(ToolOutcome::of(result.clone(), 1_000).text(), r#"{"a":1}"#);
        result.content.clear();
        assert_eq!(ToolOutcome::of(result, 1_000).text(), r#"{"a":1}"#);
        let nothing = ToolOutcome::of(CallToolResult::success(Vec::new()), 1_000);
        assert!(!nothing.is_error && !nothing.content.is_empty());
    }

    #[test]
    fn a_long_result_is_cut_between_characters_and_says_so() {
        let outcome = text(&"é".repeat(2_000));
        let [ToolContent::Text(kept), ToolContent::Text(note)] = outcome.content.as_slice() else {
            panic!("{:?}", outcome.content.len())
        };
        assert_eq!(kept.len(), 1_000);
        assert!(note.contains("4000 bytes"), "{note}");
    }

    #[test]
    fn images_are_whole_or_left_out_and_audio_is_told_of() {
        let blocks = vec![
            ContentBlock::audio("AAAA", "audio/wav"),
            ContentBlock::image("A".repeat(400), "image/png"),
            ContentBlock::image("B".repeat(900), "image/png"),
        ];
        let outcome = ToolOutcome::of(CallToolResult::success(blocks), 1_000);
        let images =
            outcome.content.iter().filter(|piece| matches!(piece, ToolContent::Image { .. }));
        assert_eq!(images.count(), 1);
        let text = outcome.text();
        assert!(text.contains("audio/wav") && text.contains("was cut"), "{text}");
    }
}
