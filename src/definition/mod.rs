//! Agent definitions: one Markdown file with frontmatter, read into a neutral form.
//!
//! Pure: bytes in, a definition with its diagnostics out. What a definition becomes in the
//! registry, and whether it is picked, is decided elsewhere.

mod body;
mod diagnostic;
mod error;
mod example;
mod fields;
#[cfg(test)]
mod fixture_tests;
mod format;
mod frontmatter;
mod lint;
mod name;
mod scan;
mod strict;
mod tools;

use serde::Serialize;
use serde_json::{Map, Value};

pub use diagnostic::{Diagnostic, Level};
pub use error::DefinitionError;
pub use example::Example;
pub use format::{Format, Origin};
pub use frontmatter::ParseMode;
pub use lint::{KnownWorld, lint};
pub use name::AgentName;

use diagnostic::place_behind;
use fields::FieldReader;

/// One parsed agent file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgentDefinition {
    /// The slug of the file's own name, or of its stem when it has none.
    pub name: AgentName,
    /// The name as it was written.
    pub display_name: String,
    /// The whole description, examples included, as it was written.
    pub description: String,
    /// The description without its examples: when to use the agent.
    pub summary: String,
    pub examples: Vec<Example>,
    /// What the body lists as the agent's duties.
    pub responsibilities: Vec<String>,
    /// What the body or the description says that the agent does not do.
    pub exclusions: Vec<String>,
    /// A model alias, a model id, or nothing.
    pub model: Option<String>,
    /// Tools the agent may use; `None` means all that the operator offers.
    pub tools: Option<Vec<String>>,
    pub disallowed_tools: Vec<String>,
    /// Tool servers that the tools or the body name.
    pub tool_servers: Vec<String>,
    pub color: Option<String>,
    pub labels: Vec<String>,
    /// Every other frontmatter field, kept and inert.
    pub other_fields: Map<String, Value>,
    /// The body: the agent's system prompt.
    pub prompt: String,
}

/// A definition with what was noticed while reading it.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedDefinition {
    pub definition: AgentDefinition,
    pub format: Format,
    pub parse_mode: ParseMode,
    /// Warnings and notes; a file with errors does not parse.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads an agent file.
///
/// Strict YAML is tried first; a frontmatter that is not valid YAML is scanned by line, so that every file
/// which Claude Code loads is loaded here, whole.
///
/// # Errors
/// [`DefinitionError::NoFrontmatter`] if the file is plain Markdown; [`DefinitionError::Invalid`] with
/// diagnostics if it is not UTF-8, its frontmatter is not closed or holds no field, or it has no usable name.
pub fn parse(source: &[u8], origin: &Origin<'_>) -> Result<ParsedDefinition, DefinitionError> {
    let text = decode(source)?;
    let document = frontmatter::split(text)?;
    let fields = frontmatter::read_fields(&document)?;
    let parse_mode = fields.mode;
    let mut reader = FieldReader::new(fields);

    let (name, display_name) = read_name(&mut reader, origin.fallback_name())?;
    let description = reader.take_text("description").unwrap_or_default();
    if description.is_empty() {
        reader.warn_at_start(
            "description_missing",
            "the file has no description, so the agent is picked only when it is named",
            "add a `description` that says when to use the agent",
        );
    }
    let model = reader.take_text("model").filter(|model| !model.is_empty());
    let color = reader.take_text("color").filter(|color| !color.is_empty());
    let tools = reader.take_tools("tools");
    let disallowed_tools = reader.take_tools("disallowedTools").unwrap_or_default();
    let labels = reader.take_tools("labels").unwrap_or_default();
    let prompt = document.body.trim().to_owned();
    let (other_fields, mut diagnostics) = reader.finish();

    if prompt.is_empty() {
        diagnostics.push(Diagnostic::warning(
            "body_empty",
            document.body_line,
            1,
            "the file has no body, so the agent has no system prompt",
            "write the agent's instructions below the closing `---`",
        ));
    }
    let (summary, mut examples) = example::split_description(&description);
    examples.extend(example::in_body(&prompt));
    let definition = AgentDefinition {
        responsibilities: body::responsibilities(&prompt),
        exclusions: body::exclusions(&summary, &prompt),
        tool_servers: tools::tool_servers(tools.as_deref(), &other_fields, &prompt),
        name,
        display_name,
        description,
        summary,
        examples,
        model,
        tools,
        disallowed_tools,
        color,
        labels,
        other_fields,
        prompt,
    };
    let format = origin.format.unwrap_or(Format::ClaudeCode);
    Ok(ParsedDefinition { definition, format, parse_mode, diagnostics })
}

fn decode(source: &[u8]) -> Result<&str, DefinitionError> {
    let text = std::str::from_utf8(source).map_err(|error| {
        let (line, column) = place_behind(&String::from_utf8_lossy(&source[..error.valid_up_to()]));
        DefinitionError::invalid(Diagnostic::error(
            "encoding_invalid",
            line,
            column,
            "the file is not valid UTF-8 from here on",
            "save the file as UTF-8",
        ))
    })?;
    if let Some(position) = text.find('\0') {
        let (line, column) = place_behind(&text[..position]);
        return Err(DefinitionError::invalid(Diagnostic::error(
            "encoding_invalid",
            line,
            column,
            "the file holds a NUL character, so it is not text",
            "remove the NUL character",
        )));
    }
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn read_name(
    reader: &mut FieldReader,
    fallback_name: Option<&str>,
) -> Result<(AgentName, String), DefinitionError> {
    let line = reader.line_of("name");
    let display_name = if let Some(name) = reader.take_text("name").filter(|name| !name.is_empty())
    {
        name
    } else {
        let fallback = fallback_name.unwrap_or_default();
        reader.warn_at_start(
            "name_missing",
            &format!("the file names no agent, so `{fallback}` is used"),
            "add a `name` field",
        );
        fallback.to_owned()
    };
    let Some(name) = AgentName::slug(&display_name) else {
        return Err(DefinitionError::invalid(Diagnostic::error(
            "name_invalid",
            line,
            1,
            &format!(
                "the name `{display_name}` holds no letter or digit from which a slug could be made"
            ),
            "give the agent a name with at least one of a-z or 0-9",
        )));
    };
    if name.as_str() != display_name {
        reader.note_at(
            line,
            "name_derived",
            &format!("the agent is called `{name}`; `{display_name}` is kept as its display name"),
            "use lower-case letters, digits and single hyphens to have the name as it is",
        );
    }
    Ok((name, display_name))
}
