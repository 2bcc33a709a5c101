//! Reads one file of the agents folder: its bytes, up to a limit, and the agents that they are.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use nix::libc::O_NONBLOCK;

use super::super::{Settings, parse_and_lint, sha256_hex};
use super::{LiveFiles, ScanOutcome, ScannedFile, place, quarantined};
use crate::definition::{self, DefinitionError, Origin};

/// Reads the file at `whole_path`, which is called `path` in what is said of it.
pub(super) fn read_file(
    settings: &Settings,
    whole_path: &Path,
    path: &str,
    live: &LiveFiles,
) -> Vec<ScannedFile> {
    let source = match read_bounded(whole_path, settings.definition_bytes) {
        Ok(Some(source)) => source,
        Ok(None) => {
            return vec![quarantined(
                path.to_owned(),
                "too_large",
                &format!("the file is over {} bytes", settings.definition_bytes),
                "shorten it, or raise `limits.definition_bytes`",
            )];
        }
        Err(error) => {
            let message = format!("it cannot be read: {error}");
            return vec![quarantined(path.to_owned(), "unreadable", &message, "mend or remove it")];
        }
    };
    let whole_path = whole_path.to_string_lossy();
    let origin = Origin { path: Some(&whole_path), ..Origin::default() };
    let agent_file = AgentFile { settings, path, live };
    let members = definition::members(&source, &origin);
    if members.is_empty() {
        return vec![agent_file.read(None, source, &origin)];
    }
    members
        .into_iter()
        .map(|member| {
            let origin = Origin { name: Some(&member.name), ..origin };
            agent_file.read(Some(member.name.clone()), member.source.to_vec(), &origin)
        })
        .collect()
}

struct AgentFile<'a> {
    settings: &'a Settings,
    path: &'a str,
    live: &'a LiveFiles,
}

impl AgentFile<'_> {
    fn read(&self, member: Option<String>, source: Vec<u8>, origin: &Origin<'_>) -> ScannedFile {
        let sha256 = sha256_hex(&source);
        let path = self.path.to_owned();
        let outcome = match self.live.find(&place(&path, member.as_deref()), &sha256) {
            Some(agent) => ScanOutcome::Live(Arc::clone(agent)),
            None => match parse_and_lint(&source, origin, &self.settings.known_world) {
                Ok(parsed) => ScanOutcome::Parsed { source, parsed: Box::new(parsed) },
                Err(DefinitionError::NotAnAgent(note)) => ScanOutcome::Skipped(vec![note]),
                Err(error) => ScanOutcome::Quarantined(error.into_diagnostics()),
            },
        };
        ScannedFile { path, member, sha256, outcome }
    }
}

/// `None` if the file is over the limit. Only regular files are read: a pipe would block.
fn read_bounded(path: &Path, limit_bytes: usize) -> std::io::Result<Option<Vec<u8>>> {
    // What is opened is looked at, not what lay there before: it may have been replaced.
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut source = Vec::new();
    file.take(limit_bytes as u64 + 1).read_to_end(&mut source)?;
    Ok((source.len() <= limit_bytes).then_some(source))
}
