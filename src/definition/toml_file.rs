//! Agents in TOML, as Codex has them: the instructions are a field, and there is no body.

use serde_json::{Map, Value};

use super::diagnostic::place_behind;
use super::fields::{Fields, ParseMode};
use super::scan::is_key;
use super::{DefinitionError, Diagnostic};

/// The field that only agents have.
const INSTRUCTIONS: &str = "developer_instructions";

pub(super) fn read(text: &str) -> Result<Fields, DefinitionError> {
    let values: Map<String, Value> = toml::from_str(text).map_err(|error| {
        if !text.contains(INSTRUCTIONS) {
            return not_an_agent();
        }
        let end = error.span().map_or(0, |span| text.floor_char_boundary(span.start));
        let (line, column) = place_behind(&text[..end]);
        DefinitionError::invalid(Diagnostic::error(
            "toml_invalid",
            line,
            column,
            &format!("the file is not valid TOML: {}", error.message().replace('\n', ", ")),
            "mend the line; a text of several lines stands between `\"\"\"`",
        ))
    })?;
    if !(values.contains_key(INSTRUCTIONS) || is_described(&values)) {
        return Err(not_an_agent());
    }
    let lines = text.lines().enumerate().filter_map(|(index, line)| {
        let (key, _) = line.split_once('=')?;
        is_key(key.trim_end()).then(|| (key.trim_end().to_owned(), index + 1))
    });
    Ok(Fields {
        mode: ParseMode::Strict,
        values,
        lines: lines.collect(),
        diagnostics: Vec::new(),
        body: String::new(),
        body_line: 1,
    })
}

/// Whether the whole file has a name and a description, where a project's settings have them in a table.
fn is_described(values: &Map<String, Value>) -> bool {
    ["name", "description"].iter().all(|key| values.get(*key).is_some_and(Value::is_string))
}

fn not_an_agent() -> DefinitionError {
    DefinitionError::NotAnAgent(Diagnostic::note(
        "not_an_agent",
        1,
        1,
        "the file holds no agent: it has no `developer_instructions`",
        "add `name`, `description` and `developer_instructions` if it should be one",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::DefinitionError;
    use super::read;

    #[test]
    fn fields_have_their_lines_and_errors_their_place() {
        let fields = read("name = \"a\"\ndescription = '''b\nc'''\n").unwrap_or_else(|error| {
            panic!("{error}");
        });
        assert_eq!(fields.values["description"], "b\nc");
        assert_eq!(fields.lines, [("name".to_owned(), 1), ("description".to_owned(), 2)]);
        let Err(DefinitionError::Invalid { diagnostics }) =
            read("developer_instructions = 'a'\nmodel = opus\n")
        else {
            panic!("it is not valid");
        };
        assert_eq!((diagnostics[0].line, diagnostics[0].column), (2, 9));
    }
}
