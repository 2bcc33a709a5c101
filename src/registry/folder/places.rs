//! Where to look for changes of the agents folder: the folders that a scan reads, and every name on the way to
//! them that may come to mean another folder.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use super::list_folders;

/// As many links as the system itself follows.
const MAX_LINKS: usize = 40;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Folders in which every change counts.
    folders: BTreeSet<PathBuf>,
    /// Single paths that count, whatever else happens beside them.
    names: BTreeSet<PathBuf>,
}

impl Places {
    /// The places as they are now. The root may be a folder, a file, a link, or missing.
    pub fn of(root: &Path) -> Self {
        let folders = list_folders(root);
        Self {
            folders: folders.iter().filter_map(|folder| folder.canonicalize().ok()).collect(),
            names: turning_points(root),
        }
    }

    /// The folders to watch, each without what lies deeper; a folder comes before those in it.
    pub fn to_watch(&self) -> BTreeSet<&Path> {
        let around = self.names.iter().filter_map(|name| name.parent());
        self.folders.iter().map(PathBuf::as_path).chain(around).collect()
    }

    /// Whether a change of this path may change what a scan finds.
    pub fn concern(&self, path: &Path) -> bool {
        self.names.contains(path)
            || self.folders.contains(path)
            || path.parent().is_some_and(|folder| self.folders.contains(folder))
    }
}

/// Walks to the root name by name, as the system does. What it passes that may be swapped: each link, the root's
/// own name in the end, or the first name that is missing.
fn turning_points(root: &Path) -> BTreeSet<PathBuf> {
    let Ok(root) = std::path::absolute(root) else { return BTreeSet::new() };
    let mut points = BTreeSet::new();
    let mut at = PathBuf::new();
    let mut ahead = steps(&root);
    let mut links = 0;
    while let Some(step) = ahead.pop() {
        let name = match step {
            Step::Root => {
                at = PathBuf::from("/");
                continue;
            }
            Step::Up => {
                at.pop();
                continue;
            }
            Step::Into(name) => name,
        };
        at.push(name);
        match at.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() && links < MAX_LINKS => {
                links += 1;
                points.insert(at.clone());
                let target = at.read_link().unwrap_or_default();
                at.pop();
                ahead.extend(steps(&target));
            }
            Ok(_) if !ahead.is_empty() => {}
            _ => {
                points.insert(at);
                break;
            }
        }
    }
    points
}

enum Step {
    Root,
    Up,
    Into(OsString),
}

/// The next step is the last.
fn steps(path: &Path) -> Vec<Step> {
    path.components()
        .rev()
        .filter_map(|component| match component {
            Component::RootDir => Some(Step::Root),
            Component::ParentDir => Some(Step::Up),
            Component::Normal(name) => Some(Step::Into(name.to_owned())),
            Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs::create_dir_all;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder with a canonical path.
    fn base() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        (folder, path)
    }

    fn names(root: &Path, base: &Path) -> Vec<String> {
        let points = turning_points(root);
        let below = |path: &PathBuf| path.strip_prefix(base).unwrap().display().to_string();
        points.iter().map(below).collect()
    }

    #[test]
    fn a_plain_root_turns_at_its_own_name() {
        let (_folder, base) = base();
        create_dir_all(base.join("a/agents")).unwrap();
        assert_eq!(names(&base.join("a/agents"), &base), ["a/agents"]);
        assert_eq!(names(&base.join("a/../a/./agents"), &base), ["a/agents"]);
    }

    #[test]
    fn a_missing_root_turns_where_the_way_ends() {
        let (_folder, base) = base();
        create_dir_all(base.join("a")).unwrap();
        assert_eq!(names(&base.join("a/agents"), &base), ["a/agents"]);
        assert_eq!(names(&base.join("b/c/agents"), &base), ["b"]);
    }

    #[test]
    fn every_link_on_the_way_is_a_turning_point() {
        let (_folder, base) = base();
        create_dir_all(base.join("releases/2/agents")).unwrap();
        symlink("releases/2", base.join("current")).unwrap();
        symlink(base.join("current/agents"), base.join("agents")).unwrap();
        let expected = ["agents", "current", "releases/2/agents"];
        assert_eq!(names(&base.join("agents"), &base), expected);
        symlink("round", base.join("round")).unwrap();
        assert_eq!(names(&base.join("round"), &base), ["round"]);
    }

    #[test]
    fn what_lies_beside_the_root_or_is_hidden_does_not_count() {
        let (_folder, base) = base();
        create_dir_all(base.join("agents/team/.git")).unwrap();
        create_dir_all(base.join(".rolecall")).unwrap();
        let places = Places::of(&base.join("agents"));
        for counts in ["agents", "agents/a.md", "agents/..data", "agents/team/b.md"] {
            assert!(places.concern(&base.join(counts)), "{counts}");
        }
        for other in [".rolecall", "other.md", "agents/team/.git/index"] {
            assert!(!places.concern(&base.join(other)), "{other}");
        }
        let watched: Vec<_> = places.to_watch().into_iter().collect();
        assert_eq!(watched, [&base, &base.join("agents"), &base.join("agents/team")]);
    }
}
