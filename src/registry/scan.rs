//! Reads the agents folder. Whatever lies there, each file gets an outcome and the scan goes on.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::{Settings, parse_and_lint, sha256_hex};
use crate::definition::{DefinitionError, Diagnostic, Origin, ParsedDefinition};

/// One file of the folder.
#[derive(Debug)]
pub struct ScannedFile {
    /// Relative to the folder, with `/` between its parts.
    pub path: String,
    pub sha256: String,
    pub outcome: ScanOutcome,
}

#[derive(Debug)]
pub enum ScanOutcome {
    Parsed { source: Vec<u8>, parsed: Box<ParsedDefinition> },
    Quarantined(Vec<Diagnostic>),
    Skipped(Vec<Diagnostic>),
}

/// Reads every Markdown file below the folder (or the one file that the setting names), in byte order of path.
/// Hidden folders are passed over.
pub fn scan_folder(settings: &Settings) -> Vec<ScannedFile> {
    let root = &settings.agents_dir;
    if !root.exists() {
        tracing::warn!(folder = %root.display(), "the agents folder does not exist");
        return Vec::new();
    }
    let mut files: Vec<ScannedFile> = WalkDir::new(root)
        .follow_links(true)
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry))
        .filter_map(|entry| match entry {
            Ok(entry) => (is_wanted(&entry) && !entry.file_type().is_dir()).then(|| {
                let path = relative(entry.path(), root);
                scan_file(settings, entry.path(), path)
            }),
            Err(error) => unreadable_entry(&error, root),
        })
        .collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

/// The folders that a scan reads, the root first.
pub(super) fn list_folders(root: &Path) -> Vec<PathBuf> {
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

/// Markdown files, and whatever file the root itself is.
fn is_wanted(entry: &DirEntry) -> bool {
    let extension = entry.path().extension();
    entry.depth() == 0 || extension.is_some_and(|extension| extension.eq_ignore_ascii_case("md"))
}

fn relative(path: &Path, root: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    // The root may be a file itself.
    let below =
        if below.as_os_str().is_empty() { path.file_name().map_or(path, Path::new) } else { below };
    below.to_string_lossy().replace('\\', "/")
}

fn unreadable_entry(error: &walkdir::Error, root: &Path) -> Option<ScannedFile> {
    let path = error.path()?;
    let message = if error.loop_ancestor().is_some() {
        "the link leads back to a folder that holds it".to_owned()
    } else {
        format!(
            "it cannot be read: {}",
            error.io_error().map_or_else(String::new, ToString::to_string)
        )
    };
    Some(quarantined(relative(path, root), "unreadable", &message, "mend or remove it"))
}

fn scan_file(settings: &Settings, path: &Path, relative: String) -> ScannedFile {
    let source = match read_bounded(path, settings.definition_bytes) {
        Ok(Some(source)) => source,
        Ok(None) => {
            return quarantined(
                relative,
                "too_large",
                &format!("the file is over {} bytes", settings.definition_bytes),
                "shorten it, or raise `limits.definition_bytes`",
            );
        }
        Err(error) => {
            let message = format!("it cannot be read: {error}");
            return quarantined(relative, "unreadable", &message, "mend or remove it");
        }
    };
    let sha256 = sha256_hex(&source);
    let whole_path = path.to_string_lossy();
    let origin = Origin { path: Some(&whole_path), ..Origin::default() };
    let outcome = match parse_and_lint(&source, &origin, &settings.known_world) {
        Ok(parsed) => ScanOutcome::Parsed { source, parsed: Box::new(parsed) },
        Err(DefinitionError::NoFrontmatter) => ScanOutcome::Skipped(vec![Diagnostic::note(
            "frontmatter_missing",
            1,
            1,
            "the file has no frontmatter, so it is taken for documentation",
            "begin it with `---` and the fields of an agent if it should be one",
        )]),
        Err(error) => ScanOutcome::Quarantined(error.into_diagnostics()),
    };
    ScannedFile { path: relative, sha256, outcome }
}

/// `None` if the file is over the limit. Only regular files are read: a pipe would block.
fn read_bounded(path: &Path, limit_bytes: usize) -> std::io::Result<Option<Vec<u8>>> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut source = Vec::new();
    File::open(path)?.take(limit_bytes as u64 + 1).read_to_end(&mut source)?;
    Ok((source.len() <= limit_bytes).then_some(source))
}

fn quarantined(path: String, code: &'static str, message: &str, help: &str) -> ScannedFile {
    let diagnostic = Diagnostic::error(code, 1, 1, message, help);
    let outcome = ScanOutcome::Quarantined(vec![diagnostic]);
    ScannedFile { path, sha256: String::new(), outcome }
}
