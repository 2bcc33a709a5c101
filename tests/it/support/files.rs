//! Agent files and folders of them.

use std::path::{Path, PathBuf};

/// The folder that ships with the service.
pub fn shipped_agents() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("agents")
}

/// A small agent file.
pub fn agent_file(name: &str, description: &str) -> String {
    format!("---\nname: {name}\ndescription: {description}\n---\n\nYou are {name}.\n")
}

/// A small agent file of a format; its fields or its path tell which.
pub fn agent_in_format(format: &str, name: &str, description: &str) -> String {
    let prompt = format!("You are the {format} agent.");
    let markdown = |extra: &str| {
        format!("---\nname: {name}\ndescription: {description}\n{extra}---\n\n{prompt}\n")
    };
    match format {
        "codex" => format!(
            "name = \"{name}\"\ndescription = \"{description}\"\ndeveloper_instructions = \"{prompt}\"\n"
        ),
        "json" => serde_json::to_string_pretty(
            &serde_json::json!({"name": name, "description": description, "prompt": prompt}),
        )
        .expect("is JSON"),
        "opencode" => markdown("mode: subagent\n"),
        "gemini-cli" => markdown("kind: local\n"),
        "cursor" => markdown("readonly: true\n"),
        _ => markdown(""),
    }
}

/// A folder of agent files that lives as long as the test.
pub struct AgentFolder {
    folder: tempfile::TempDir,
}

impl AgentFolder {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub fn write(&self, path: &str, source: impl AsRef<[u8]>) -> &Self {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("has a parent")).expect("is made");
        std::fs::write(path, source).expect("is written");
        self
    }

    pub fn remove(&self, path: &str) -> &Self {
        std::fs::remove_file(self.folder.path().join(path)).expect("is removed");
        self
    }
}
