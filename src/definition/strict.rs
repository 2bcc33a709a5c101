//! A frontmatter as strict YAML, and why it is none.

use serde_json::{Map, Value};

use super::Diagnostic;
use super::diagnostic::place_behind;
use super::yaml_value::YamlValue;

/// More brackets than this inside one another are no frontmatter.
const MAX_DEPTH: usize = 100;

/// Why a text is no frontmatter to YAML.
pub(super) enum StrictError {
    Yaml(serde_yaml::Error),
    TooDeep,
    NotAMapping,
}

impl StrictError {
    /// The finding, for a frontmatter that begins on `first_line` of its file.
    pub fn into_diagnostic(self, frontmatter: &str, first_line: usize) -> Diagnostic {
        const HELP: &str = "the fields were read line by line instead and nothing was lost; \
            to make it valid YAML, put the value in quotes or in a block (`description: |`)";
        let (line, column, message) = match self {
            Self::NotAMapping => (1, 1, "it is not a list of `key: value` fields".to_owned()),
            Self::TooDeep => (1, 1, "its brackets are nested too deeply".to_owned()),
            Self::Yaml(error) => {
                // The library's own line counts more characters as line ends than an editor does.
                let end = error
                    .location()
                    .map_or(0, |place| frontmatter.floor_char_boundary(place.index()));
                let (line, column) = place_behind(&frontmatter[..end]);
                (line, column, without_place(&error.to_string()))
            }
        };
        Diagnostic::warning(
            "yaml_invalid",
            first_line + line - 1,
            column,
            &format!("the frontmatter is not valid YAML: {message}"),
            HELP,
        )
    }
}

/// The library repeats its own line number, which counts from the fence and not from the file's start.
fn without_place(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}

/// The fields, if the text is a mapping in strict YAML.
pub(super) fn strict(frontmatter: &str) -> Result<Map<String, Value>, StrictError> {
    if is_deep(frontmatter) {
        return Err(StrictError::TooDeep);
    }
    let YamlValue(value) = serde_yaml::from_str(frontmatter).map_err(StrictError::Yaml)?;
    match value {
        Value::Null => Ok(Map::new()),
        Value::Object(values) if !is_tagged(&values) => Ok(values),
        _ => Err(StrictError::NotAMapping),
    }
}

/// Whether a tag stands before all fields, which are below it then.
fn is_tagged(values: &Map<String, Value>) -> bool {
    values.len() == 1 && values.keys().all(|key| key.starts_with('!'))
}

/// The library refuses such nesting too, but only after a time that grows with the square of the depth.
fn is_deep(frontmatter: &str) -> bool {
    let mut depth = 0_usize;
    let has_deep_brackets = frontmatter.bytes().any(|byte| {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MAX_DEPTH
    });
    has_deep_brackets || frontmatter.lines().any(|line| dashes(line) > MAX_DEPTH)
}

/// How many lists and keys a line opens inside one another, as `- - ? x` does three.
fn dashes(line: &str) -> usize {
    let marks = line.split(' ').filter(|part| !part.is_empty());
    marks.take_while(|part| matches!(*part, "-" | "?")).count()
}
