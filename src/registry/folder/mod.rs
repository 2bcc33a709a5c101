//! Walks the agents folder. Whatever lies there, each file gets an outcome and the walk goes on.

mod content;
mod follow;
mod known;
mod places;
mod read;
mod watch;

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use walkdir::{DirEntry, WalkDir};

use super::{Settings, sha256_hex};
use crate::definition::{AgentName, Diagnostic, ParsedDefinition};
pub(super) use content::FolderContent;
pub use known::KnownOutcomes;
pub(super) use known::{KnownOutcome, Stamp};
use read::read_file;

/// Endings of files that may hold agents. Others are not read.
const ENDINGS: &[&str] = &["md", "markdown", "toml", "json"];

/// Longest path, in bytes: an entry of an index in PostgreSQL has 2,704.
const LONGEST_PATH: usize = 2_000;

/// One agent's file; a file of several agents is one of these for each.
#[derive(Debug)]
pub struct ScannedFile {
    /// Relative to the folder, with `/` between its parts.
    pub path: String,
    /// The agent's name in a file of several.
    pub member: Option<String>,
    /// Empty if the file was not read.
    pub sha256: String,
    pub outcome: ScanOutcome,
    /// By which it can be seen that nobody has written to the file since; of a file of one agent.
    pub(super) stamp: Option<Stamp>,
}

#[derive(Debug)]
pub enum ScanOutcome {
    Parsed {
        source: Vec<u8>,
        parsed: Box<ParsedDefinition>,
    },
    /// The bytes are what they were when they were last parsed.
    Known {
        agent: AgentName,
        diagnostics: Arc<[Diagnostic]>,
    },
    Quarantined(Vec<Diagnostic>),
    Skipped(Vec<Diagnostic>),
}

impl ScannedFile {
    /// The file, and the agent's name in it if it holds several.
    pub fn place(&self) -> String {
        place(&self.path, self.member.as_deref())
    }
}

/// What is remembered of a file is found by this: it is unchanged, unless the database could hold it in no index.
pub(super) fn place(path: &str, member: Option<&str>) -> String {
    let place = member.map_or_else(|| path.to_owned(), |member| format!("{path}#{member}"));
    if place.len() <= LONGEST_PATH && !place.contains('\0') {
        return place;
    }
    let start = &place[..place.floor_char_boundary(LONGEST_PATH / 2)];
    format!("{}…{}", start.replace('\0', "\u{fffd}"), sha256_hex(place.as_bytes()))
}

/// Reads every file below the folder that may hold an agent (or the one file that the setting names), in byte order of
/// path. Hidden files and folders are passed over.
pub fn scan_folder(settings: &Settings, known: &KnownOutcomes) -> Vec<ScannedFile> {
    let root = &settings.agents_dir;
    if !root.exists() {
        tracing::warn!(folder = %root.display(), "the agents folder does not exist");
        return Vec::new();
    }
    // The folders above the root may tell the format too.
    let whole_root = root.canonicalize().unwrap_or_else(|_| root.clone());
    let mut files = Vec::new();
    let entries = WalkDir::new(root).follow_links(true).into_iter();
    for entry in entries.filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry)) {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) => {
                let path = relative(entry.path(), root);
                if path.len() > LONGEST_PATH {
                    files.push(path_too_long(path));
                } else if may_hold_agent(&entry) {
                    let below = entry.path().strip_prefix(root).ok();
                    let whole_path = match below.filter(|below| !below.as_os_str().is_empty()) {
                        Some(below) => whole_root.join(below),
                        None => whole_root.clone(),
                    };
                    files.extend(read_file(settings, &whole_path, &path, known));
                } else {
                    files.push(not_an_agent_file(path));
                }
            }
            Err(error) => files.extend(unreadable_entry(&error, root)),
        }
    }
    // Stable: the agents of one file stay in its order.
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

/// The folders that a scan reads, the root first.
fn list_folders(root: &Path) -> Vec<PathBuf> {
    WalkDir::new(root)
        .follow_links(true)
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry))
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_dir())
        .map(DirEntry::into_path)
        .collect()
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

/// By its ending, and whatever file the root itself is.
fn may_hold_agent(entry: &DirEntry) -> bool {
    let extension = entry.path().extension();
    entry.depth() == 0
        || extension.is_some_and(|extension| {
            ENDINGS.iter().any(|ending| extension.eq_ignore_ascii_case(ending))
        })
}

fn relative(path: &Path, root: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    // The root may be a file itself.
    let below =
        if below.as_os_str().is_empty() { path.file_name().map_or(path, Path::new) } else { below };
    let chunks = below.as_os_str().as_bytes().utf8_chunks();
    let mut text = String::new();
    for chunk in chunks {
        text.push_str(chunk.valid());
        // Two names that differ in such bytes alone stay two.
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02X}")));
    }
    text
}

fn not_an_agent_file(path: String) -> ScannedFile {
    let note = Diagnostic::note(
        "not_an_agent_file",
        1,
        1,
        "by its ending the file holds no agent, so it was not read",
        "agents are Markdown, TOML or JSON: name it `.md`, `.toml` or `.json` if it should be one",
    );
    ScannedFile {
        path,
        member: None,
        sha256: String::new(),
        outcome: ScanOutcome::Skipped(vec![note]),
        stamp: None,
    }
}

fn path_too_long(path: String) -> ScannedFile {
    let message = format!("its path has over {LONGEST_PATH} bytes");
    quarantined(path, "path_too_long", &message, "move it to fewer folders, or to shorter names")
}

fn unreadable_entry(error: &walkdir::Error, root: &Path) -> Option<ScannedFile> {
    let path = error.path()?;
    let message = if error.loop_ancestor().is_some() {
        "the link leads back to a folder that holds it".to_owned()
    } else {
        format!(
            "it cannot be read: {}",
            error.io_error().map_or_else(|| error.to_string(), ToString::to_string)
        )
    };
    Some(quarantined(relative(path, root), "unreadable", &message, "mend or remove it"))
}

pub(super) fn quarantined(
    path: String,
    code: &'static str,
    message: &str,
    help: &str,
) -> ScannedFile {
    let diagnostic = Diagnostic::error(code, 1, 1, message, help);
    let outcome = ScanOutcome::Quarantined(vec![diagnostic]);
    ScannedFile { path, member: None, sha256: String::new(), outcome, stamp: None }
}
