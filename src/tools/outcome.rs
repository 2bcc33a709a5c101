//! What comes of a call.

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
}
