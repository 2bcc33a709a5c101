//! Findings about what a definition says: whether it helps to pick the agent, and whether what it names exists.

use indexmap::IndexMap;

use super::diagnostic::place_behind;
use super::{AgentDefinition, Diagnostic, Format, ParsedDefinition, retired};

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

/// Words by which a description says when the agent is to be used.
const OCCASIONS: &[&str] = &[
    "use", "uses", "used", "using", "when", "whenever", "if", "before", "after", "during",
    "invoke", "invoked", "call", "trigger", "triggers", "activate", "ask", "asks", "need", "needs",
    "for", "proactively",
];

/// Finds what is odd about a definition. `source` gives the places.
pub fn lint(parsed: &ParsedDefinition, source: &[u8], known: &KnownWorld) -> Vec<Diagnostic> {
    let mut lint = Lint { source: Source::new(source), diagnostics: Vec::new() };
    let definition = &parsed.definition;
    lint.description(definition);
    lint.tool_servers(definition, known);
    lint.tools(definition, parsed.format);
    lint.model(definition, known);
    lint.diagnostics
}

struct Lint {
    source: Source,
    diagnostics: Vec<Diagnostic>,
}

impl Lint {
    fn description(&mut self, definition: &AgentDefinition) {
        let says_when = definition
            .summary
            .split(|character: char| !character.is_ascii_alphanumeric())
            .any(|word| OCCASIONS.iter().any(|occasion| word.eq_ignore_ascii_case(occasion)));
        // The words above are English ones.
        let is_english = definition.summary.is_ascii() && !definition.summary.is_empty();
        if is_english && !says_when && definition.examples.is_empty() {
            let (line, column) = self.source.place_of("description");
            self.diagnostics.push(Diagnostic::note(
                "when_to_use_missing",
                line,
                column,
                "the description does not say when to use the agent, so it is hard to pick",
                "add a sentence such as `Use when …`, or an `<example>` of a request",
            ));
        }
    }

    fn tool_servers(&mut self, definition: &AgentDefinition, known: &KnownWorld) {
        for server in &definition.tool_servers {
            if !known.tool_servers.contains(server) {
                self.warn(
                    server,
                    "tool_server_not_configured",
                    &format!("the agent needs the tool server `{server}`, which is not configured"),
                    &format!("add `{server}` to `mcp_servers` in rolecall.yaml"),
                );
            }
        }
    }

    fn tools(&mut self, definition: &AgentDefinition, format: Format) {
        if matches!(format, Format::ClaudeCode | Format::Json | Format::AgentSkill) {
            let tools = definition.tools.iter().flatten().chain(&definition.disallowed_tools);
            let found: IndexMap<&str, &str> =
                tools.filter_map(|tool| retired::find_client_tool(tool)).collect();
            for (tool, new) in found {
                self.warn(
                    tool,
                    "tool_retired",
                    &format!("the tool `{tool}` is no more"),
                    &format!("name `{new}` in its place"),
                );
            }
        }
        for (server, old, new) in retired::SERVER_TOOLS {
            if self.source.holds(old) {
                self.warn(
                    old,
                    "tool_retired",
                    &format!("the tool `{old}` of the server `{server}` was renamed"),
                    &format!("name `{new}` in its place"),
                );
            }
        }
    }

    fn model(&mut self, definition: &AgentDefinition, known: &KnownWorld) {
        let Some(model) = &definition.model else { return };
        if let Some(retired) = retired::find_model(model) {
            self.warn(
                model,
                "model_retired",
                &format!("its provider retires the model `{}` on {}", retired.id, retired.date),
                &format!("name `{}` in its place", retired.successor),
            );
        } else if !known.knows_model(model) {
            self.warn(
                model,
                "model_unknown",
                &format!(
                    "the model `{model}` is no known alias or model id; the default model is used"
                ),
                "name a model alias (`sonnet`, `opus`, `haiku`, `inherit`), or add it to `models` in rolecall.yaml",
            );
        }
    }

    /// Warns at the first place where a word stands.
    fn warn(&mut self, word: &str, code: &'static str, message: &str, help: &str) {
        let (line, column) = self.source.place_of(word);
        self.diagnostics.push(Diagnostic::warning(code, line, column, message, help));
    }
}

/// A file's text, to find words in: as it is, and in lower case.
struct Source {
    text: String,
    lower: String,
}

impl Source {
    fn new(source: &[u8]) -> Self {
        let text = String::from_utf8_lossy(source).into_owned();
        Self { lower: text.to_ascii_lowercase(), text }
    }

    fn holds(&self, word: &str) -> bool {
        self.lower.contains(word)
    }

    /// Where a word stands: by itself as it is written, or else in other letters, or else in another word.
    fn place_of(&self, word: &str) -> (usize, usize) {
        let lower = word.to_ascii_lowercase();
        let found = find_alone(&self.text, word)
            .or_else(|| find_alone(&self.lower, &lower))
            .or_else(|| self.lower.find(&lower));
        found.map_or((1, 1), |position| place_behind(&self.text[..position]))
    }
}

fn find_alone(text: &str, word: &str) -> Option<usize> {
    let stands_alone = |position: &usize| {
        let before = text[..*position].chars().next_back();
        let behind = text[position + word.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !behind.is_some_and(char::is_alphanumeric)
    };
    text.match_indices(word).map(|(position, _)| position).find(stands_alone)
}

#[cfg(test)]
mod tests {
    use super::super::{Origin, parse};
    use super::{KnownWorld, lint};

    fn codes(text: &str) -> Vec<String> {
        let parsed = parse(text.as_bytes(), &Origin::default()).expect("is an agent");
        let known = KnownWorld { models: vec!["sonnet".to_owned()], ..KnownWorld::default() };
        let found = lint(&parsed, text.as_bytes(), &known);
        found
            .iter()
            .map(|found| format!("{} {}:{}", found.code, found.line, found.column))
            .collect()
    }

    #[test]
    fn what_is_no_more_is_pointed_out() {
        let file = "---\nname: a\ndescription: Use for b\ntools: Read, LS\nmodel: claude-3-opus-20240229\n---\n\
            Call get-library-docs.\n";
        assert_eq!(codes(file), ["tool_retired 4:14", "tool_retired 7:6", "model_retired 5:8"]);
    }

    #[test]
    fn a_description_says_when() {
        let with = |description: &str| {
            codes(&format!("---\nname: a\ndescription: {description}\n---\nb\n"))
        };
        assert_eq!(with("Python expert."), ["when_to_use_missing 3:1"]);
        assert!(with("Python expert. Use when asked.").is_empty());
        assert!(with("Python. <example>user: 'a'</example>").is_empty());
        assert!(with("代码审查").is_empty());
    }
}
