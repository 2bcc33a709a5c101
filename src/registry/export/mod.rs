//! The roster's own bytes as files, from which a sync makes the same roster elsewhere.

mod store;

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::RegistryError;
use crate::definition::{self, Format, Origin};
use store::{Entry, Stored, find_revisions, list_entries};

/// Agents whose sources are read at once. Each may be as large as a definition may be.
const BATCH: usize = 64;

/// One agent's file.
#[derive(Debug)]
pub struct ExportedFile {
    pub agent: String,
    pub revision: i32,
    pub sha256: String,
    /// Relative, with `/` between its parts.
    pub path: String,
    pub source: Vec<u8>,
    /// When the revision was made.
    pub created_at: DateTime<Utc>,
}

/// An export under way: the live revisions as of its beginning, whatever changes meanwhile.
#[derive(Debug)]
pub struct Export {
    pool: PgPool,
    /// What is still to come, the next at the end.
    entries: Vec<Entry>,
    taken: Taken,
}

impl Export {
    /// Lists what there is to export: every agent that is not archived.
    pub async fn begin(pool: &PgPool) -> Result<Self, RegistryError> {
        let mut entries = list_entries(pool).await?;
        let mut taken = Taken::default();
        for entry in &entries {
            if let Some(place) = own_places(entry).next() {
                taken.take(place, &entry.name);
            }
        }
        entries.reverse();
        Ok(Self { pool: pool.clone(), entries, taken })
    }

    /// Reads the next files; none are left when there are none.
    pub async fn next_files(&mut self) -> Result<Vec<ExportedFile>, RegistryError> {
        let batch = self.entries.split_off(self.entries.len().saturating_sub(BATCH));
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let mut stored = find_revisions(&self.pool, &batch).await?;
        let in_order = batch.into_iter().rev();
        let found = in_order.filter_map(|entry| Some((stored.remove(&entry.name)?, entry)));
        Ok(found.map(|(stored, entry)| self.file(entry, stored)).collect())
    }

    fn file(&mut self, entry: Entry, stored: Stored) -> ExportedFile {
        let path = paths(&entry, &stored).find(|path| self.taken.take(path, &entry.name));
        ExportedFile {
            path: path.expect("there is always one more path"),
            agent: entry.name,
            revision: entry.revision,
            sha256: stored.sha256,
            source: stored.source_bytes,
            created_at: stored.created_at,
        }
    }
}

/// Where the file may lie, best first: where it came from, where its format has it, and folders of its own as long
/// as others are in the way.
fn paths(entry: &Entry, stored: &Stored) -> impl Iterator<Item = String> {
    let Entry { name, .. } = entry;
    let format = Format::find(&stored.format).unwrap_or(Format::ClaudeCode);
    let folder = folder(entry);
    let own = format!("{folder}{}", format.file_path(name));
    let by_format = format!("{folder}{}/agents/{name}.md", format.as_str());
    let is_found_again = |path: &String| {
        let origin = Origin { path: Some(path), ..Origin::default() };
        let parsed = definition::parse(&stored.source_bytes, &origin);
        is_safe(path)
            && parsed.is_ok_and(|parsed| {
                parsed.definition.name.as_str() == name && parsed.format == format
            })
    };
    let places = own_places(entry).map(str::to_owned);
    let likely: Vec<String> =
        places.chain([own.clone(), by_format]).filter(is_found_again).collect();
    let elsewhere = (1..).map({
        let (name, own) = (name.clone(), own.clone());
        move |number| format!("{name}-{number}/{own}")
    });
    likely.into_iter().chain([own]).chain(elsewhere)
}

/// The places of an agent's file where a sync gives the agent the labels that it has.
fn own_places(entry: &Entry) -> impl Iterator<Item = &str> {
    let folder = folder(entry);
    let is_in_folder = move |place: &&str| {
        place.strip_prefix(folder.as_str()).is_some_and(|file| !file.contains('/'))
    };
    entry.places.iter().map(String::as_str).filter(is_in_folder)
}

/// The folder of an agent's file, as its labels tell; the root if they name none that may be written to.
fn folder(entry: &Entry) -> String {
    let folder = entry.folder_labels.join("/");
    if is_safe(&folder) { folder + "/" } else { String::new() }
}

/// The paths that agents have already, or that are kept for those whose files lie there.
#[derive(Debug, Default)]
struct Taken {
    /// In lower case: some file systems know no other.
    files: HashMap<String, String>,
    folders: HashSet<String>,
}

impl Taken {
    /// Takes a path for an agent, unless another's file is there, or a folder, or a file where a folder has to be.
    fn take(&mut self, path: &str, agent: &str) -> bool {
        let path = path.to_lowercase();
        if let Some(owner) = self.files.get(&path) {
            return owner == agent;
        }
        let folders = || path.match_indices('/').map(|(end, _)| &path[..end]);
        if self.folders.contains(&path) || folders().any(|folder| self.files.contains_key(folder)) {
            return false;
        }
        self.folders.extend(folders().map(str::to_owned));
        self.files.insert(path, agent.to_owned());
        true
    }
}

/// Whether a path stays below the folder that it is put into, and is seen by a scan there.
fn is_safe(path: &str) -> bool {
    path.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !part.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::{Taken, is_safe};

    #[test]
    fn no_path_leads_out_of_the_folder() {
        assert!(is_safe("team/a.md"));
        for path in ["", "/a.md", "../a.md", "a/../../b.md", ".hidden/a.md", "a//b.md"] {
            assert!(!is_safe(path), "{path}");
        }
    }

    #[test]
    fn no_path_is_in_the_way_of_another() {
        let mut taken = Taken::default();
        assert!(taken.take("team/A.md", "a") && taken.take("team/b.md", "b"));
        assert!(taken.take("team/A.md", "a"), "it is its own");
        for path in ["team/a.md", "Team", "team/a.md/x.md"] {
            assert!(!taken.take(path, "c"), "{path}");
        }
    }
}
