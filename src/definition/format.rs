//! The formats in which agents are written, and how each is recognised by a file's path or its fields.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::origin::{is_skill, split_path, strip_ending};

/// A format of agent files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Claude Code's subagents: Markdown with frontmatter.
    ClaudeCode,
    /// GitHub Copilot's custom agents: `*.agent.md`.
    Copilot,
    /// opencode's agents: Markdown with frontmatter.
    Opencode,
    /// Gemini CLI's subagents: Markdown with frontmatter.
    GeminiCli,
    /// Cursor's subagents: Markdown with frontmatter.
    Cursor,
    /// Codex's agents: TOML.
    Codex,
    /// Agent Skills: `SKILL.md` in a folder of its own.
    AgentSkill,
    /// Agents by name in a JSON object, as Claude Code takes them on its command line.
    Json,
}

/// How the text of a file is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    Markdown,
    Toml,
    Json,
}

impl Format {
    pub const ALL: [Self; 8] = [
        Self::ClaudeCode,
        Self::Copilot,
        Self::Opencode,
        Self::GeminiCli,
        Self::Cursor,
        Self::Codex,
        Self::AgentSkill,
        Self::Json,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Copilot => "copilot",
            Self::Opencode => "opencode",
            Self::GeminiCli => "gemini-cli",
            Self::Cursor => "cursor",
            Self::Codex => "codex",
            Self::AgentSkill => "agent-skill",
            Self::Json => "json",
        }
    }

    /// The format of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }

    /// The media type of its files.
    pub fn media_type(self) -> &'static str {
        match self.syntax() {
            Syntax::Markdown => "text/markdown; charset=utf-8",
            Syntax::Toml => "application/toml",
            Syntax::Json => "application/json",
        }
    }

    /// Where an agent's file lies if nobody says: by this path its format is recognised.
    pub fn file_path(self, name: &str) -> String {
        match self {
            Self::Copilot => format!("{name}.agent.md"),
            Self::AgentSkill => format!("{name}/SKILL.md"),
            Self::Codex => format!("{name}.toml"),
            Self::Json => format!("{name}.json"),
            Self::ClaudeCode | Self::Opencode | Self::GeminiCli | Self::Cursor => {
                format!("{name}.md")
            }
        }
    }

    pub(super) fn syntax(self) -> Syntax {
        match self {
            Self::Codex => Syntax::Toml,
            Self::Json => Syntax::Json,
            _ => Syntax::Markdown,
        }
    }

    /// The format of a file of which only the fields are known.
    pub(super) fn by_fields(fields: &Map<String, Value>) -> Self {
        let is_one_of = |key: &str, words: &[&str]| {
            fields.get(key).and_then(Value::as_str).is_some_and(|value| words.contains(&value))
        };
        let has = |key: &str| fields.contains_key(key);
        if is_one_of("kind", &["local", "remote"]) || has("timeout_mins") {
            Self::GeminiCli
        } else if is_one_of("mode", &["primary", "subagent", "all"])
            || has("permission")
            || has("steps")
            || has("maxSteps")
            || fields.get("tools").is_some_and(Value::is_object)
        {
            Self::Opencode
        } else if has("readonly") || has("is_background") {
            Self::Cursor
        } else if is_one_of("target", &["vscode", "github-copilot"])
            || ["mcp-servers", "handoffs"].into_iter().any(has)
        {
            Self::Copilot
        } else {
            Self::ClaudeCode
        }
    }
}

/// Folders whose Markdown files have a format of their own.
const FOLDERS: &[(&str, &[&str], Format)] = &[
    (".claude", &["agents"], Format::ClaudeCode),
    (".github", &["agents", "chatmodes"], Format::Copilot),
    (".opencode", &["agent", "agents"], Format::Opencode),
    ("opencode", &["agent", "agents"], Format::Opencode),
    (".gemini", &["agents"], Format::GeminiCli),
    ("gemini-cli", &["agents"], Format::GeminiCli),
    (".cursor", &["agents"], Format::Cursor),
    ("cursor", &["agents"], Format::Cursor),
];

/// The format of the files at such a path.
pub(super) fn by_path(path: &str) -> Option<Format> {
    let (folders, file) = split_path(path);
    let ends_with = |ending| strip_ending(file, ending).is_some();
    if ends_with(".toml") {
        return Some(Format::Codex);
    }
    if ends_with(".json") {
        return Some(Format::Json);
    }
    if is_skill(file) {
        return Some(Format::AgentSkill);
    }
    if ends_with(".agent.md") || ends_with(".chatmode.md") {
        return Some(Format::Copilot);
    }
    let folders: Vec<&str> = folders.split('/').collect();
    let known = FOLDERS.iter().find(|(outer, inner, _)| is_there(&folders, outer, inner));
    known.map(|(_, _, format)| *format)
}

/// What stands below the folder of opencode's agents: a file's folders there are a part of its name.
pub(super) fn below_opencode(path: &str) -> Option<&str> {
    if by_path(path) != Some(Format::Opencode) {
        return None;
    }
    ["opencode/agent/", "opencode/agents/"].into_iter().find_map(|folder| {
        let start = path.rfind(folder)?;
        Some(&path[start + folder.len()..])
    })
}

fn is_there(folders: &[&str], outer: &str, inner: &[&str]) -> bool {
    folders.windows(2).any(|pair| pair[0] == outer && inner.contains(&pair[1]))
}

#[cfg(test)]
mod tests {
    use super::{Format, by_path};

    #[test]
    fn a_path_tells_the_format() {
        assert_eq!(by_path("agents/a.md"), None);
        assert_eq!(by_path("/r/.github/agents/team/a.md"), Some(Format::Copilot));
        assert_eq!(by_path("agents/Debug.Agent.md"), Some(Format::Copilot));
        assert_eq!(by_path("x/.opencode/agent/a.md"), Some(Format::Opencode));
        assert_eq!(by_path(".gemini/agents/a.md"), Some(Format::GeminiCli));
        assert_eq!(by_path(".cursor/agents/a.md"), Some(Format::Cursor));
        assert_eq!(by_path("skills/pdf/SKILL.md"), Some(Format::AgentSkill));
        assert_eq!(by_path("a.toml"), Some(Format::Codex));
    }

    #[test]
    fn the_path_of_an_agents_file_tells_its_format() {
        for format in [Format::Copilot, Format::AgentSkill, Format::Codex, Format::Json] {
            assert_eq!(by_path(&format.file_path("a")), Some(format));
        }
    }
}
