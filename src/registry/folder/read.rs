//! Reads one file of the agents folder: its bytes, up to a limit, and the agents that they are.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use nix::libc::O_NONBLOCK;

use super::super::{Settings, parse_and_lint, sha256_hex};
use super::known::{KnownOutcome, KnownOutcomes, Stamp};
use super::{ScanOutcome, ScannedFile, place, quarantined};
use crate::definition::{self, DefinitionError, Origin};

/// Reads the file at `whole_path`, which is called `path` in what is said of it.
pub(super) fn read_file(
    settings: &Settings,
    whole_path: &Path,
    path: &str,
    known: &KnownOutcomes,
) -> Vec<ScannedFile> {
    // Looked at only, so that a watch is not told of thousands of files that are opened.
    if let Ok(metadata) = std::fs::metadata(whole_path)
        && let Some(outcome) = known.find_untouched(path, &metadata)
    {
        let stamp = Stamp::before_reading(&metadata);
        return vec![known_file(path, None, outcome, stamp)];
    }
    let (source, stamp) = match open(whole_path) {
        Ok((_, metadata)) if metadata.len() > settings.definition_bytes as u64 => {
            return vec![too_large(path, settings)];
        }
        Ok((file, metadata)) => match read_bounded(file, settings.definition_bytes) {
            Ok(Some(source)) => (source, Stamp::before_reading(&metadata)),
            Ok(None) => return vec![too_large(path, settings)],
            Err(error) => return vec![unreadable(path, &error)],
        },
        Err(error) => return vec![unreadable(path, &error)],
    };
    let whole_path = whole_path.to_string_lossy();
    let origin = Origin { path: Some(&whole_path), ..Origin::default() };
    let agent_file = AgentFile { settings, path, known };
    let members = definition::members(&source, &origin);
    if members.is_empty() {
        return vec![ScannedFile { stamp, ..agent_file.read(None, source, &origin) }];
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
    known: &'a KnownOutcomes,
}

impl AgentFile<'_> {
    fn read(&self, member: Option<String>, source: Vec<u8>, origin: &Origin<'_>) -> ScannedFile {
        let sha256 = sha256_hex(&source);
        if let Some(outcome) = self.known.find(&place(self.path, member.as_deref()), &sha256) {
            return known_file(self.path, member, outcome, None);
        }
        let outcome = match parse_and_lint(&source, origin, &self.settings.known_world) {
            Ok(parsed) => ScanOutcome::Parsed { source, parsed: Box::new(parsed) },
            Err(DefinitionError::NotAnAgent(note)) => ScanOutcome::Skipped(vec![note]),
            Err(error) => ScanOutcome::Quarantined(error.into_diagnostics()),
        };
        ScannedFile { path: self.path.to_owned(), member, sha256, outcome, stamp: None }
    }
}

fn known_file(
    path: &str,
    member: Option<String>,
    known: &KnownOutcome,
    stamp: Option<Stamp>,
) -> ScannedFile {
    let outcome = ScanOutcome::Known {
        agent: known.agent.clone(),
        diagnostics: Arc::clone(&known.diagnostics),
    };
    ScannedFile { path: path.to_owned(), member, sha256: known.sha256.clone(), outcome, stamp }
}

/// Opens a regular file. A pipe would block who reads it.
fn open(path: &Path) -> std::io::Result<(File, std::fs::Metadata)> {
    // What is opened is looked at, not what lay there before: it may have been replaced.
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok((file, metadata))
    } else {
        Err(std::io::Error::other("it is not a regular file"))
    }
}

/// `None` if the file has grown over the limit meanwhile.
fn read_bounded(file: File, limit_bytes: usize) -> std::io::Result<Option<Vec<u8>>> {
    let mut source = Vec::new();
    file.take(limit_bytes as u64 + 1).read_to_end(&mut source)?;
    Ok((source.len() <= limit_bytes).then_some(source))
}

fn too_large(path: &str, settings: &Settings) -> ScannedFile {
    quarantined(
        path.to_owned(),
        "too_large",
        &format!("the file is over {} bytes", settings.definition_bytes),
        "shorten it, or raise `limits.definition_bytes`",
    )
}

fn unreadable(path: &str, error: &std::io::Error) -> ScannedFile {
    let message = format!("it cannot be read: {error}");
    quarantined(path.to_owned(), "unreadable", &message, "mend or remove it")
}
