//! Agent definitions: an agent's file, in any of the formats that are in use, read into a neutral form.
//!
//! Pure: bytes in, a definition with its diagnostics out. What a definition becomes in the
//! registry, and whether it is picked, is decided elsewhere.

mod body;
mod diagnostic;
mod error;
mod example;
mod fences;
mod fields;
#[cfg(test)]
mod fixture_tests;
mod format;
mod frontmatter;
mod json_file;
mod lint;
mod name;
mod origin;
#[cfg(test)]
mod property_tests;
mod required;
mod retired;
mod scan;
mod servers;
mod strict;
mod toml_file;
mod tools;
mod vocabulary;
mod yaml_value;

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};

pub use diagnostic::{Diagnostic, Level};
pub use error::DefinitionError;
pub use example::Example;
pub use fields::ParseMode;
pub use format::Format;
pub use json_file::Member;
pub use lint::{KnownWorld, lint};
pub use name::AgentName;
pub use origin::Origin;
pub use retired::SERVER_TOOLS as RENAMED_SERVER_TOOLS;

use diagnostic::place_behind;
use fields::{FieldReader, Fields};
use format::Syntax;
use vocabulary::{Naming, Vocabulary};

/// Longest name that an agent can be shown as, in characters.
const LONGEST_DISPLAY_NAME: usize = 1_000;

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
    /// Servers, and tools by their full names, that the body commands to use before an answer.
    pub required_tools: Vec<String>,
    /// What else the body commands to use: servers, where the operator has some of these names.
    #[serde(skip)]
    pub possible_servers: Vec<String>,
    pub color: Option<String>,
    pub labels: Vec<String>,
    /// Largest number of model calls in a run; `None` if the file sets none.
    pub max_turns: Option<u32>,
    /// Every other field, kept and inert.
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

/// The agents of a file that holds several, each with its own bytes. Empty for every other file.
pub fn members<'a>(source: &'a [u8], origin: &Origin<'_>) -> Vec<Member<'a>> {
    match decode(source) {
        Ok(Cow::Borrowed(text)) if origin.syntax(text) == Syntax::Json => json_file::split(text),
        _ => Vec::new(),
    }
}

/// Reads the file of one agent. Its format is the origin's if that says one, and recognised otherwise.
///
/// Strict YAML is tried first; a frontmatter that is not valid YAML is scanned by line, so that every file
/// which Claude Code loads is loaded here, whole.
///
/// # Errors
/// [`DefinitionError::NotAnAgent`] if the file is something else, such as documentation;
/// [`DefinitionError::Invalid`] with diagnostics if it is not UTF-8, not valid JSON or TOML, or has no usable name.
pub fn parse(source: &[u8], origin: &Origin<'_>) -> Result<ParsedDefinition, DefinitionError> {
    let text = decode(source)?;
    let text = text.as_ref();
    let known_format = origin.known_format();
    let fields = match origin.syntax(text) {
        Syntax::Markdown => {
            let vocabulary = known_format.unwrap_or(Format::ClaudeCode).vocabulary();
            frontmatter::read(text, &vocabulary)?
        }
        Syntax::Toml => toml_file::read(text)?,
        Syntax::Json => json_file::read(text)?,
    };
    if !vocabulary::is_agent(&fields.values) {
        return Err(not_an_agent());
    }
    let format = known_format.unwrap_or_else(|| match origin.syntax(text) {
        Syntax::Markdown => Format::by_fields(&fields.values),
        Syntax::Toml => Format::Codex,
        Syntax::Json => Format::Json,
    });
    read_definition(fields, format, origin)
}

fn read_definition(
    fields: Fields,
    format: Format,
    origin: &Origin<'_>,
) -> Result<ParsedDefinition, DefinitionError> {
    let vocabulary = format.vocabulary();
    let parse_mode = fields.mode;
    let mut reader = FieldReader::new(fields);

    let (name, display_name) = read_name(&mut reader, &vocabulary, origin)?;
    let description = reader.take_description(&vocabulary);
    if description.is_empty() {
        reader.warn_at_start(
            "description_missing",
            "the file has no description, so the agent is picked only when it is named",
            "add a `description` that says when to use the agent",
        );
    }
    let (prompt, body_line) = reader.take_body(vocabulary.prompt);
    if prompt.is_empty() {
        reader.warn_at(
            body_line,
            "body_empty",
            "the file has no body, so the agent has no system prompt",
            "write the agent's instructions below the fields",
        );
    }
    let model = reader.take_model();
    if model.as_deref().is_some_and(|model| model.contains('\0')) {
        return Err(nul_in("model", reader.line_of("model")));
    }
    let color = reader.take_first_text("color");
    let max_turns = reader.take_count(vocabulary.max_turns);
    let tools = reader.take_tools(vocabulary.tools);
    let mut disallowed_tools = tools.denied;
    disallowed_tools
        .extend(reader.take_tools(vocabulary.disallowed_tools).allowed.unwrap_or_default());
    disallowed_tools.extend(reader.denied("permission"));
    let labels = reader.take_words("labels");
    let tools = tools.allowed;
    let (other_fields, diagnostics) = reader.finish(&vocabulary);

    let (summary, mut examples) = example::split_description(&description);
    examples.extend(example::in_body(&prompt));
    let tool_servers = servers::tool_servers(format, tools.as_deref(), &other_fields, &prompt);
    let definition = AgentDefinition {
        responsibilities: body::responsibilities(&prompt),
        exclusions: body::exclusions(&summary, &prompt),
        required_tools: required::required_tools(&prompt, &tool_servers),
        possible_servers: required::possible_servers(&prompt, &tool_servers),
        tool_servers,
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
        max_turns,
        other_fields,
        prompt,
    };
    Ok(ParsedDefinition { definition, format, parse_mode, diagnostics })
}

/// The text of a file, with line ends that count as such: old editors end lines with a carriage return alone.
fn decode(source: &[u8]) -> Result<Cow<'_, str>, DefinitionError> {
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
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_old = memchr::memchr(b'\n', text.as_bytes()).is_none() && text.contains('\r');
    Ok(if is_old { text.replace('\r', "\n").into() } else { text.into() })
}

/// The agent's name, and what it is shown as.
fn read_name(
    reader: &mut FieldReader,
    vocabulary: &Vocabulary,
    origin: &Origin<'_>,
) -> Result<(AgentName, String), DefinitionError> {
    let line = reader.line_of("name");
    let shown_line = reader.line_of("display_name");
    let fallback = origin.fallback_name();
    let shown = reader.take_first_text("display_name");
    let written = reader.take_first_text("name");
    if let Some(id) = fallback.filter(|_| vocabulary.naming == Naming::File) {
        let display_name = written.unwrap_or_else(|| id.to_owned());
        check_display_name("name", &display_name, line)?;
        let name = AgentName::slug(id).ok_or_else(|| name_invalid(id, line))?;
        return Ok((name, display_name));
    }
    let own_name = written.unwrap_or_else(|| {
        let fallback = fallback.unwrap_or_default();
        if vocabulary.naming == Naming::Field {
            reader.warn_at_start(
                "name_missing",
                &format!("the file names no agent, so `{fallback}` is used"),
                "add a `name` field",
            );
        }
        fallback.to_owned()
    });
    check_display_name("name", &own_name, line)?;
    if let Some(shown) = &shown {
        check_display_name("display_name", shown, shown_line)?;
    }
    let name = AgentName::slug(&own_name).ok_or_else(|| name_invalid(&own_name, line))?;
    if name.as_str() != own_name {
        reader.note_at(
            line,
            "name_derived",
            &format!("the agent is called `{name}`; `{own_name}` is kept as its display name"),
            "use lower-case letters, digits and single hyphens to have the name as it is",
        );
    }
    Ok((name, shown.unwrap_or(own_name)))
}

/// What an agent is shown as stands in every list of agents.
fn check_display_name(field: &str, name: &str, line: usize) -> Result<(), DefinitionError> {
    if name.contains('\0') {
        return Err(nul_in(field, line));
    }
    if name.chars().nth(LONGEST_DISPLAY_NAME).is_some() {
        return Err(DefinitionError::invalid(Diagnostic::error(
            "name_too_long",
            line,
            1,
            &format!("the `{field}` has over {LONGEST_DISPLAY_NAME} characters"),
            "give the agent a short name",
        )));
    }
    Ok(())
}

/// An escape such as `\0` makes one of bytes that hold none. No text that is stored can hold it.
fn nul_in(field: &str, line: usize) -> DefinitionError {
    DefinitionError::invalid(Diagnostic::error(
        "encoding_invalid",
        line,
        1,
        &format!("the value of `{field}` holds a NUL character"),
        "remove the NUL character",
    ))
}

fn name_invalid(name: &str, line: usize) -> DefinitionError {
    DefinitionError::invalid(Diagnostic::error(
        "name_invalid",
        line,
        1,
        &format!("the name `{name}` holds no letter or digit from which a slug could be made"),
        "give the agent a name with at least one of a-z or 0-9",
    ))
}

fn not_an_agent() -> DefinitionError {
    DefinitionError::NotAnAgent(Diagnostic::note(
        "not_an_agent",
        1,
        1,
        "none of the fields is an agent's, so the file is taken for documentation",
        "add at least the fields `name` and `description` if it should be an agent",
    ))
}
