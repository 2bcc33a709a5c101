//! Where journals lie: a folder for each instance, with a lock in it that is held as long as the instance lives.
//!
//! So several processes may share a data directory, and whoever gets the lock of a folder knows that its owner is gone.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

const LOCK: &str = "lock";

/// How records are written, which the lock says. A number of its own for every change of a record's fields: they are
/// written without their names, and what is read as another record than it is would not be noticed. The first format was
/// JSON, and its lock says nothing.
pub(in crate::ledger) const FORMAT: &str = "3";

/// The folder of one instance's journal, locked.
#[derive(Debug)]
pub struct Folder {
    pub instance_id: Uuid,
    pub path: PathBuf,
    /// Whether its records are written as they are here.
    pub has_our_format: bool,
    /// Given up by the end of the process, however that comes.
    _lock: File,
}

impl Folder {
    /// Makes the folder of this instance below `root`.
    pub fn create(root: &Path, instance_id: Uuid) -> io::Result<Self> {
        // Under its own name it would be taken for abandoned before it is locked.
        let unfinished = root.join(format!("{instance_id}.new"));
        DirBuilder::new().recursive(true).mode(0o700).create(&unfinished)?;
        let mut lock = File::create(unfinished.join(LOCK))?;
        lock.write_all(FORMAT.as_bytes())?;
        lock.lock()?;
        let path = root.join(instance_id.to_string());
        std::fs::rename(&unfinished, &path)?;
        Ok(Self { instance_id, path, has_our_format: true, _lock: lock })
    }

    /// The folders below `root` whose instances are gone, oldest first.
    pub fn list_abandoned(root: &Path) -> io::Result<Vec<Self>> {
        let entries = match std::fs::read_dir(root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut folders = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(instance_id) = name.and_then(|name| name.parse().ok()) {
                folders.extend(Self::take_over(path, instance_id)?);
            }
        }
        folders.sort_unstable_by_key(|folder| folder.instance_id);
        Ok(folders)
    }

    /// `None` if its instance lives, or somebody else has taken it over.
    fn take_over(path: PathBuf, instance_id: Uuid) -> io::Result<Option<Self>> {
        let mut lock = match File::open(path.join(LOCK)) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match lock.try_lock() {
            // Who had it before may have removed all of it.
            Ok(()) if path.join(LOCK).exists() => {
                let mut format = String::new();
                lock.read_to_string(&mut format)?;
                let has_our_format = format == FORMAT;
                Ok(Some(Self { instance_id, path, has_our_format, _lock: lock }))
            }
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub fn remove(&self) -> io::Result<()> {
        std::fs::remove_dir_all(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::Folder;

    #[test]
    fn a_folder_is_abandoned_once_its_owner_is_gone() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let path = root.path().join("journal");
        assert!(Folder::list_abandoned(&path).expect("is read").is_empty());
        let own = Folder::create(&path, Uuid::max()).expect("is made");
        assert!(Folder::list_abandoned(&path).expect("is read").is_empty());
        drop(own);
        let abandoned = Folder::list_abandoned(&path).expect("is read");
        assert_eq!(abandoned.len(), 1);
        assert_eq!(abandoned[0].instance_id, Uuid::max());
        // It is in our hands now.
        assert!(Folder::list_abandoned(&path).expect("is read").is_empty());
        abandoned[0].remove().expect("is removed");
        drop(abandoned);
        assert!(Folder::list_abandoned(&path).expect("is read").is_empty());
    }
}
