//! Names that agent files hold and that are no more, as of November 2026: models that their providers have retired or
//! have set a date for, and tools that were renamed or removed.

/// A model's id, the day on which its provider retires it (as its list of deprecations says), and what replaces it.
pub(super) struct RetiredModel {
    pub id: &'static str,
    pub date: &'static str,
    pub successor: &'static str,
}

/// The model of that id, which may stand behind its provider's name, if it is retired.
pub(super) fn find_model(model: &str) -> Option<RetiredModel> {
    let id = model.rsplit('/').next().unwrap_or(model);
    MODELS.iter().find_map(|(date, successor, ids)| {
        let id = ids.iter().copied().find(|retired| *retired == id)?;
        Some(RetiredModel { id, date, successor })
    })
}

/// A tool of Claude Code that is no more, and what replaces it.
pub(super) fn find_client_tool(tool: &str) -> Option<(&'static str, &'static str)> {
    let name = tool.split('(').next().unwrap_or(tool).trim();
    CLIENT_TOOLS.iter().find(|(old, _)| *old == name).copied()
}

/// Tools of well-known servers that were renamed: the server, what its tool was called, and what it is called now.
pub const SERVER_TOOLS: &[(&str, &str, &str)] = &[
    ("context7", "get-library-docs", "query-docs"),
    ("browserbase", "browserbase_stagehand_navigate", "navigate"),
    ("browserbase", "browserbase_stagehand_act", "act"),
    ("browserbase", "browserbase_stagehand_observe", "observe"),
    ("browserbase", "browserbase_stagehand_extract", "extract"),
];

/// Claude Code's tools by their former names, which mean nothing to it any more.
const CLIENT_TOOLS: &[(&str, &str)] = &[
    ("MultiEdit", "Edit"),
    ("LS", "Glob"),
    ("NotebookRead", "Read"),
    ("TodoRead", "TaskList"),
    ("BashOutput", "Read"),
    ("TaskOutput", "Read"),
    ("SlashCommand", "Skill"),
    ("exit_plan_mode", "ExitPlanMode"),
];

type Retired = (&'static str, &'static str, &'static [&'static str]);

const MODELS: &[Retired] = &[
    (
        "2024-11-06",
        "haiku",
        &["claude-1.3", "claude-1.3-100k", "claude-instant-1.1", "claude-instant-1.2"],
    ),
    ("2025-07-21", "sonnet", &["claude-2.0", "claude-2.1", "claude-3-sonnet-20240229"]),
    (
        "2025-10-28",
        "sonnet",
        &["claude-3-5-sonnet-20240620", "claude-3-5-sonnet-20241022", "claude-3-5-sonnet-latest"],
    ),
    ("2026-01-05", "opus", &["claude-3-opus-20240229", "claude-3-opus-latest"]),
    ("2026-02-19", "sonnet", &["claude-3-7-sonnet-20250219", "claude-3-7-sonnet-latest"]),
    ("2026-02-19", "haiku", &["claude-3-5-haiku-20241022", "claude-3-5-haiku-latest"]),
    ("2026-04-20", "haiku", &["claude-3-haiku-20240307"]),
    ("2026-06-15", "sonnet", &["claude-sonnet-4-20250514", "claude-sonnet-4-0"]),
    ("2026-06-15", "opus", &["claude-opus-4-20250514", "claude-opus-4-0"]),
    ("2026-08-05", "opus", &["claude-opus-4-1", "claude-opus-4-1-20250805"]),
    ("2026-11-30", "sonnet", &["claude-sonnet-4-5", "claude-sonnet-4-5-20250929"]),
    ("2025-07-14", "gpt-5.1", &["gpt-4.5-preview", "gpt-4.5-preview-2025-02-27"]),
    ("2025-07-28", "gpt-5.1", &["o1-preview", "o1-preview-2024-09-12"]),
    ("2025-10-27", "gpt-5.1", &["o1-mini", "o1-mini-2024-09-12"]),
    ("2026-02-17", "gpt-5.1", &["chatgpt-4o-latest"]),
    ("2026-07-23", "gpt-5.1", &["gpt-5-codex", "gpt-5.1-codex", "gpt-5.2-codex"]),
    (
        "2026-10-23",
        "gpt-5.1",
        &[
            "gpt-3.5-turbo", "gpt-3.5-turbo-0125", "gpt-4", "gpt-4-0613", "gpt-4-turbo",
            "gpt-4-turbo-2024-04-09", "gpt-4o-2024-05-13", "o1", "o1-2024-12-17", "o1-pro",
            "o3-mini", "o3-mini-2025-01-31", "o4-mini", "o4-mini-2025-04-16",
        ],
    ),
    ("2026-03-09", "gemini-3.1-pro-preview", &["gemini-3-pro-preview"]),
    (
        "2026-06-01",
        "gemini-2.5-flash-lite",
        &["gemini-2.0-flash", "gemini-2.0-flash-001", "gemini-2.0-flash-lite"],
    ),
];

#[cfg(test)]
mod tests {
    use super::{find_client_tool, find_model};

    #[test]
    fn a_retired_model_is_found_behind_its_provider() {
        let found = find_model("anthropic/claude-sonnet-4-20250514").map(|model| model.successor);
        assert_eq!(found, Some("sonnet"));
        assert!(find_model("sonnet").is_none());
        assert!(find_model("claude-sonnet-5-5").is_none());
    }

    #[test]
    fn a_tool_is_found_before_its_parentheses() {
        assert_eq!(find_client_tool("MultiEdit(src/*)"), Some(("MultiEdit", "Edit")));
        assert_eq!(find_client_tool("Edit"), None);
    }
}
