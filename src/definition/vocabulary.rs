//! The words of each format: which fields it has, which of them hold what every agent has, and what a field was
//! meant to be that no format knows.

use serde_json::{Map, Value};

use super::Format;

/// The fields of one format.
pub(super) struct Vocabulary {
    /// Every field that the format gives a meaning to.
    pub fields: &'static [&'static str],
    pub tools: &'static str,
    pub disallowed_tools: &'static str,
    /// Where the format has the largest number of model calls; the first that is there counts.
    pub max_turns: &'static [&'static str],
    /// The field that is the prompt of a file without a body.
    pub prompt: &'static str,
    /// The field that says besides the description when the agent is to be used.
    pub occasions: Option<&'static str>,
    pub naming: Naming,
}

/// Where a format has the agent's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// The field `name`; a file without it lacks something.
    Field,
    /// The field `name`, or else the file is called like the agent.
    FieldOrFile,
    /// The file is called like the agent; the field `name` is only what it is shown as.
    File,
}

const CLAUDE_CODE: &[&str] = &[
    "name", "description", "tools", "disallowedTools", "model", "permissionMode", "maxTurns",
    "skills", "mcpServers", "hooks", "memory", "background", "effort", "isolation", "color",
    "initialPrompt", "omitClaudeMd",
];

const COPILOT: &[&str] = &[
    "name",
    "description",
    "tools",
    "model",
    "target",
    "mcp-servers",
    "agents",
    "handoffs",
    "argument-hint",
    "infer",
    "user-invocable",
    "disable-model-invocation",
    "hooks",
    "metadata",
];

const OPENCODE: &[&str] = &[
    "name", "description", "tools", "model", "mode", "steps", "maxSteps", "permission",
    "temperature", "top_p", "prompt", "disable", "hidden", "variant", "options", "color",
];

const GEMINI_CLI: &[&str] = &[
    "name", "description", "tools", "model", "kind", "display_name", "max_turns", "timeout_mins",
    "temperature", "mcpServers", "mcp_servers", "agent_card_url", "agent_card_json", "auth",
];

const CURSOR: &[&str] = &["name", "description", "model", "readonly", "is_background"];

const CODEX: &[&str] = &[
    "name",
    "description",
    "developer_instructions",
    "model",
    "model_reasoning_effort",
    "model_reasoning_summary",
    "model_verbosity",
    "model_provider",
    "web_search",
    "personality",
    "sandbox_mode",
    "approval_policy",
    "mcp_servers",
    "nickname_candidates",
    "skills",
    "tools",
];

const AGENT_SKILL: &[&str] = &[
    "name",
    "description",
    "license",
    "compatibility",
    "metadata",
    "allowed-tools",
    "disallowed-tools",
    "model",
    "argument-hint",
    "arguments",
    "background",
    "disable-model-invocation",
    "user-invocable",
    "context",
    "agent",
    "effort",
    "hooks",
    "when_to_use",
    "paths",
    "shell",
];

const JSON: &[&str] = &[
    "name", "description", "prompt", "tools", "disallowedTools", "model", "permissionMode",
    "maxTurns", "skills", "mcpServers", "hooks", "memory", "background", "effort", "isolation",
    "color", "initialPrompt", "omitClaudeMd",
];

/// Fields that no format gives a meaning to and many files have, `labels` besides, which are ours.
const CUSTOMARY: &[&str] = &["labels", "tags", "category", "version", "author"];

/// Spellings that are further from what was meant than another way to join its words.
const SYNONYMS: &[(&str, &str)] = &[
    ("allowedtools", "tools"),
    ("colour", "color"),
    ("maxsteps", "steps"),
    ("instructions", "developer_instructions"),
    ("prompt", "developer_instructions"),
];

/// Fields with values of one word, whose names are words that a line of prose may begin with.
const PROSE_WORDS: &[&str] = &[
    "agent", "background", "context", "disable", "effort", "hidden", "infer", "isolation", "kind",
    "memory", "mode", "shell", "steps", "target", "temperature", "variant",
];

/// No field of any format has more letters.
const LONGEST_FIELD: usize = 32;

/// Fewer letters are too few to guess from.
const SHORTEST_GUESS: usize = 4;

/// A file with none of these fields holds no agent.
const ESSENTIAL: &[&str] = &[
    "name", "description", "tools", "model", "prompt", "developer_instructions", "allowed-tools",
    "disallowedTools",
];

impl Format {
    pub(super) fn vocabulary(self) -> Vocabulary {
        let common = |fields| Vocabulary {
            fields,
            tools: "tools",
            disallowed_tools: "disallowedTools",
            max_turns: &["maxTurns"],
            prompt: "prompt",
            occasions: None,
            naming: Naming::Field,
        };
        match self {
            Self::ClaudeCode => common(CLAUDE_CODE),
            Self::Copilot => Vocabulary { max_turns: &[], naming: Naming::File, ..common(COPILOT) },
            Self::Opencode => Vocabulary {
                max_turns: &["steps", "maxSteps"],
                naming: Naming::FieldOrFile,
                ..common(OPENCODE)
            },
            Self::GeminiCli => Vocabulary { max_turns: &["max_turns"], ..common(GEMINI_CLI) },
            Self::Cursor => {
                Vocabulary { max_turns: &[], naming: Naming::FieldOrFile, ..common(CURSOR) }
            }
            Self::Codex => {
                Vocabulary { max_turns: &[], prompt: "developer_instructions", ..common(CODEX) }
            }
            Self::AgentSkill => Vocabulary {
                tools: "allowed-tools",
                disallowed_tools: "disallowed-tools",
                max_turns: &[],
                occasions: Some("when_to_use"),
                naming: Naming::FieldOrFile,
                ..common(AGENT_SKILL)
            },
            Self::Json => Vocabulary { naming: Naming::FieldOrFile, ..common(JSON) },
        }
    }
}

impl Vocabulary {
    /// The field that a field without meaning was meant to be.
    pub fn guess(&self, key: &str) -> Option<&'static str> {
        if self.knows(key) {
            return None;
        }
        self.respelt(key).or_else(|| {
            // What another format knows is no slip of the pen.
            let is_foreign = Format::ALL.iter().any(|format| format.vocabulary().knows(key));
            if key.len() < SHORTEST_GUESS || is_foreign {
                return None;
            }
            let reach = if key.len() < 8 { 1 } else { 2 };
            let is_near = |field: &str| {
                field.len() >= SHORTEST_GUESS
                    && field.len().abs_diff(key.len()) <= reach
                    && field.as_bytes()[0].eq_ignore_ascii_case(&key.as_bytes()[0])
                    && strsim::osa_distance(field, key) <= reach
            };
            self.fields.iter().copied().find(|field| is_near(field))
        })
    }

    /// Whether a line `key: value` opens a field even where the text is not valid YAML. A word that prose may begin
    /// with too must have a value that no prose has.
    pub fn opens(&self, key: &str, value: &str) -> bool {
        let value = value.split(" #").next().unwrap_or(value).trim();
        let is_prose = PROSE_WORDS.contains(&key) && value.contains(char::is_whitespace);
        let is_lower = key.starts_with(|first: char| first.is_ascii_lowercase());
        is_unmistakable(key, value)
            || (!is_prose && self.knows(key))
            || (is_lower && key.len() <= LONGEST_FIELD && !is_prose && self.respelt(key).is_some())
    }

    fn knows(&self, key: &str) -> bool {
        self.fields.contains(&key) || CUSTOMARY.contains(&key)
    }

    /// The field of the same words, joined in another way, or of a word for the same thing.
    fn respelt(&self, key: &str) -> Option<&'static str> {
        let synonym = SYNONYMS.iter().find(|(other, _)| is_same(other, key));
        let find = |wanted: &str| self.fields.iter().copied().find(|field| is_same(field, wanted));
        synonym.and_then(|(_, meant)| find(meant)).or_else(|| find(key))
    }
}

/// Whether these are the fields of an agent, misspelt ones included.
pub(super) fn is_agent(fields: &Map<String, Value>) -> bool {
    let vocabulary = Format::ClaudeCode.vocabulary();
    fields.keys().any(|key| {
        let meant = vocabulary.respelt(key).unwrap_or(key);
        ESSENTIAL.contains(&meant)
    })
}

/// Whether a line is a field of some format, and can be nothing else.
fn is_unmistakable(key: &str, value: &str) -> bool {
    match key {
        "mode" => matches!(value, "primary" | "subagent" | "all"),
        "kind" => matches!(value, "local" | "remote"),
        "target" => matches!(value, "vscode" | "github-copilot"),
        "readonly"
        | "is_background"
        | "disable"
        | "hidden"
        | "infer"
        | "user-invocable"
        | "disable-model-invocation" => matches!(value, "true" | "false"),
        "steps" | "maxSteps" | "max_turns" | "timeout_mins" | "temperature" | "top_p" => {
            value.parse::<f64>().is_ok()
        }
        "permission" | "mcp-servers" | "handoffs" => value.is_empty(),
        _ => false,
    }
}

/// Whether two fields are the same words, however they are joined.
fn is_same(one: &str, other: &str) -> bool {
    fn letters(key: &str) -> impl Iterator<Item = u8> {
        key.bytes()
            .filter(|byte| !matches!(byte, b'-' | b'_'))
            .map(|byte| byte.to_ascii_lowercase())
    }
    letters(one).eq(letters(other))
}

#[cfg(test)]
mod tests {
    use super::super::Format;

    #[test]
    fn what_was_meant_is_guessed() {
        let guess = |key| Format::ClaudeCode.vocabulary().guess(key);
        assert_eq!(guess("allowedTools"), Some("tools"));
        assert_eq!(guess("allowed-tools"), Some("tools"));
        assert_eq!(guess("max_turns"), Some("maxTurns"));
        assert_eq!(guess("mcp_servers"), Some("mcpServers"));
        assert_eq!(guess("Description"), Some("description"));
        assert_eq!(guess("desciption"), Some("description"));
        assert_eq!(guess("tool"), Some("tools"));
        assert_eq!(guess("colour"), Some("color"));
        assert_eq!(guess("mode"), None);
        assert_eq!(guess("when-to-use"), None);
        assert_eq!(guess("author"), None);
        assert_eq!(
            Format::Codex.vocabulary().guess("instructions"),
            Some("developer_instructions")
        );
        assert_eq!(guess("instructions"), None);
        assert_eq!(Format::GeminiCli.vocabulary().guess("maxTurns"), Some("max_turns"));
        assert_eq!(Format::AgentSkill.vocabulary().guess("allowed_tools"), Some("allowed-tools"));
    }
}
