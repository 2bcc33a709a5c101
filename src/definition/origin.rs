//! What is known of a source besides its bytes: what its path says of format and name.

use super::format::{Format, Syntax, below_opencode, by_path};

/// What is known of a source besides its bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'a> {
    /// Where the file lies: its folders and its ending tell of its format.
    pub path: Option<&'a str>,
    /// The format, where it is known.
    pub format: Option<Format>,
    /// What the agent is called if the file does not say; taken from the path if this is `None`.
    pub name: Option<&'a str>,
}

impl<'a> Origin<'a> {
    /// A file of which nothing but the agent's name is known.
    pub fn named(name: &'a str) -> Self {
        Self { name: Some(name), ..Self::default() }
    }

    /// What the agent is called if the file does not say.
    pub(super) fn fallback_name(&self) -> Option<&'a str> {
        self.name.or_else(|| {
            let (folders, file) = split_path(self.path?);
            if is_skill(file) {
                return folders.rsplit('/').next();
            }
            // A file that is called `.agent.md` would leave nothing.
            let file = below_opencode(self.path?).unwrap_or(file);
            let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
            let endings = [".agent", ".chatmode"];
            let bare = endings.into_iter().find_map(|ending| strip_ending(stem, ending));
            Some(bare.filter(|bare| !bare.is_empty()).unwrap_or(stem))
        })
    }

    /// The format, if it was named or the path tells.
    pub(super) fn known_format(&self) -> Option<Format> {
        self.format.or_else(|| by_path(self.path?))
    }

    /// How to read the text.
    pub(super) fn syntax(&self, text: &str) -> Syntax {
        if let Some(format) = self.known_format() {
            return format.syntax();
        }
        if self.path.is_some() || text.trim_start().starts_with("---") {
            return Syntax::Markdown;
        }
        if text.trim_start().starts_with('{') {
            return Syntax::Json;
        }
        let is_toml = text.lines().any(|line| {
            line.strip_prefix("developer_instructions")
                .is_some_and(|rest| rest.trim_start().starts_with('='))
        });
        if is_toml { Syntax::Toml } else { Syntax::Markdown }
    }
}

/// The folders of a path, and its file.
pub(super) fn split_path(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Whether a file holds a skill, which is called like its folder.
pub(super) fn is_skill(file: &str) -> bool {
    file.eq_ignore_ascii_case("SKILL.md")
}

/// What stands before an ending, whatever its case.
pub(super) fn strip_ending<'a>(text: &'a str, ending: &str) -> Option<&'a str> {
    let (start, end) = text.split_at_checked(text.len().checked_sub(ending.len())?)?;
    end.eq_ignore_ascii_case(ending).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::Origin;

    #[test]
    fn a_path_names_the_agent() {
        let name = |path| Origin { path: Some(path), ..Origin::default() }.fallback_name();
        assert_eq!(name("x/reviewer.md"), Some("reviewer"));
        assert_eq!(name("x/Debug.agent.md"), Some("Debug"));
        assert_eq!(name("skills/pdf/SKILL.md"), Some("pdf"));
        assert_eq!(name("a.b.md"), Some("a.b"));
        assert_eq!(name("/x/.opencode/agent/team/review.md"), Some("team/review"));
        assert_eq!(name(".opencode/agents/review.md"), Some("review"));
        assert_eq!(name(".claude/agents/team/review.md"), Some("review"));
    }
}
