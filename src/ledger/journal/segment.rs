//! A file of a journal. Its name is the position at which it begins; it holds whole records.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What the names of segments end with.
const EXTENSION: &str = "journal";

#[derive(Debug)]
pub struct Segment {
    /// Where in the journal it begins.
    pub start: u64,
    path: PathBuf,
    file: File,
}

impl Segment {
    /// Makes an empty one. Records hold what callers say: nobody else may read it.
    pub fn create(folder: &Path, start: u64) -> io::Result<Self> {
        let path = folder.join(format!("{start:020}.{EXTENSION}"));
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { start, path, file })
    }

    /// Those that are there, in their order.
    pub fn list(folder: &Path) -> io::Result<Vec<Self>> {
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let start = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            let is_segment = path.extension().is_some_and(|extension| extension == EXTENSION);
            if let Some(start) = start.filter(|_| is_segment) {
                segments.push(Self { start, file: File::open(&path)?, path });
            }
        }
        segments.sort_unstable_by_key(|segment| segment.start);
        Ok(segments)
    }

    /// Writes at a position of the journal. What a write that failed has left there is overwritten by the next one.
    pub fn write(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, position - self.start)
    }

    pub fn read(&self, position: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, position - self.start)?;
        Ok(bytes)
    }

    /// All of it, a record that is not whole included.
    pub fn read_all(&self) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.file.metadata()?.len()).map_err(io::Error::other)?;
        self.read(self.start, length)
    }

    /// Sees to it that what was written outlives the machine's power.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Takes its name away; it can still be read by who has it.
    pub fn remove(&self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}
