//! The account that the server runs under: PostgreSQL refuses root.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{User, geteuid};

use super::DatabaseError;

/// Accounts to drop to, in order of preference.
const CANDIDATES: &[&str] = &["postgres", "nobody"];

/// An unprivileged account of this machine.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub uid: u32,
    pub gid: u32,
}

impl Account {
    /// The account to drop to; `None` if this process is not root and the server runs as itself.
    pub fn for_server() -> Result<Option<Self>, DatabaseError> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        CANDIDATES
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Some(Self { uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
            .ok_or(DatabaseError::NoAccount)
    }

    /// Whether the account may enter a folder and each one above it.
    pub fn can_reach(&self, folder: &Path) -> bool {
        folder.ancestors().all(|ancestor| {
            ancestor.metadata().is_ok_and(|metadata| {
                let shift = if metadata.uid() == self.uid {
                    6
                } else if metadata.gid() == self.gid {
                    3
                } else {
                    0
                };
                metadata.mode() >> shift & 1 == 1
            })
        })
    }
}

/// A command under the account, with an environment that holds nothing of ours.
pub(super) fn command(program: &Path, account: Option<&Account>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin").current_dir("/");
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}
