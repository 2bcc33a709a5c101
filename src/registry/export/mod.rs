//! The roster's own bytes as files, from which a sync makes the same roster elsewhere.

mod store;

use std::collections::HashSet;

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
    /// In lower case: some file systems know no other.
    taken: HashSet<String>,
}

impl Export {
    /// Lists what there is to export: every agent that is not archived.
    pub async fn begin(pool: &PgPool) -> Result<Self, RegistryError> {
        let mut entries = list_entries(pool).await?;
        entries.reverse();
        Ok(Self { pool: pool.clone(), entries, taken: HashSet::new() })
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
        let mut paths = paths(&entry, &stored).into_iter();
        let path = paths.find(|path| self.taken.insert(path.to_lowercase()));
        ExportedFile {
            // The agent's name is its own, so the last of the paths is.
            path: path.unwrap_or_else(|| format!("{}-{}.md", entry.name, entry.revision)),
            agent: entry.name,
            revision: entry.revision,
            sha256: stored.sha256,
            source: stored.source_bytes,
            created_at: stored.created_at,
        }
    }
}

/// Where the file may lie, best first: where it came from, and where its format has it.
fn paths(entry: &Entry, stored: &Stored) -> Vec<String> {
    let format = Format::find(&stored.format).unwrap_or(Format::ClaudeCode);
    let own = format.file_path(&entry.name);
    // A file of several agents becomes one for each, in its folder.
    let place = entry.place.as_deref().map(|place| match place.split_once('#') {
        Some((file, _)) => match file.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{own}"),
            None => own.clone(),
        },
        None => place.to_owned(),
    });
    let fits = |path: &String| {
        let origin = Origin { path: Some(path), ..Origin::default() };
        let parsed = definition::parse(&stored.source_bytes, &origin);
        is_safe(path) && parsed.is_ok_and(|parsed| parsed.definition.name.as_str() == entry.name)
    };
    let in_folder = format!("{}/{own}", entry.name);
    place.into_iter().filter(fits).chain([own, in_folder]).collect()
}

/// Whether a path stays below the folder that it is put into, and is seen by a scan there.
fn is_safe(path: &str) -> bool {
    path.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !part.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::is_safe;

    #[test]
    fn no_path_leads_out_of_the_folder() {
        assert!(is_safe("team/a.md"));
        for path in ["", "/a.md", "../a.md", "a/../../b.md", ".hidden/a.md", "a//b.md"] {
            assert!(!is_safe(path), "{path}");
        }
    }
}
