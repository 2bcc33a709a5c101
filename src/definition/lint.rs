//! Findings that need to know more than the file: which models and tool servers the operator has.

use super::{AgentDefinition, Diagnostic};

/// What the operator has configured, as far as a definition can name it.
#[derive(Debug, Clone, Default)]
pub struct KnownWorld {
    pub tool_servers: Vec<String>,
    /// Model aliases and ids that resolve.
    pub models: Vec<String>,
    /// What ids of models begin with.
    pub model_prefixes: Vec<String>,
}

impl KnownWorld {
    fn knows_model(&self, model: &str) -> bool {
        self.models.iter().any(|known| known == model)
            || self.model_prefixes.iter().any(|prefix| model.starts_with(prefix))
    }
}

/// Compares a definition with what is configured. `source` gives the places.
pub fn lint(definition: &AgentDefinition, source: &[u8], known: &KnownWorld) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for server in &definition.tool_servers {
        if !known.tool_servers.contains(server) {
            let (line, column) = place_of(source, server);
            diagnostics.push(Diagnostic::warning(
                "tool_server_not_configured",
                line,
                column,
                &format!("the agent needs the tool server `{server}`, which is not configured"),
                &format!("add `{server}` to `mcp_servers` in rolecall.yaml"),
            ));
        }
    }
    if let Some(model) = &definition.model
        && !known.knows_model(model)
    {
        let (line, column) = place_of(source, model);
        diagnostics.push(Diagnostic::warning(
            "model_unknown",
            line,
            column,
            &format!("the model `{model}` is no known alias or model id; the default model is used"),
            "name a model alias (`sonnet`, `opus`, `haiku`, `inherit`), or add it to `models` in rolecall.yaml",
        ));
    }
    diagnostics
}

fn place_of(source: &[u8], word: &str) -> (usize, usize) {
    let text = String::from_utf8_lossy(source);
    let lower = text.to_ascii_lowercase();
    let Some(position) = lower.find(&word.to_ascii_lowercase()) else { return (1, 1) };
    let before = &text[..position];
    let column = before.chars().rev().take_while(|character| *character != '\n').count();
    (1 + before.matches('\n').count(), 1 + column)
}
