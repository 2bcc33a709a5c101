//! Finds installed PostgreSQL server programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::DatabaseError;

/// Folders whose subfolders hold one version each, and the path to the programs in it.
const VERSIONED: &[(&str, &str)] = &[
    ("/usr/lib/postgresql", "bin"),
    ("/opt/homebrew/opt", "bin"),
    ("/usr/local/opt", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "bin"),
    ("/usr", "bin"),
];

/// The programs of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub major: u32,
    folder: PathBuf,
}

impl Binaries {
    /// The version that existing data needs, or else the newest.
    pub fn find(wanted_major: Option<u32>) -> Result<Self, DatabaseError> {
        choose(candidates().iter().filter_map(|folder| inspect(folder)), wanted_major)
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn choose(
    found: impl Iterator<Item = Binaries>,
    wanted_major: Option<u32>,
) -> Result<Binaries, DatabaseError> {
    found
        .filter(|binaries| wanted_major.is_none_or(|major| binaries.major == major))
        .max_by_key(|binaries| binaries.major)
        .ok_or_else(|| DatabaseError::NoBinaries { major: wanted_major, help: help(wanted_major) })
}

fn candidates() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    for (parent, below) in VERSIONED {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        folders.extend(
            entries
                .filter(|entry| {
                    let name = entry.file_name();
                    let name = name.to_string_lossy();
                    name.starts_with("postgresql")
                        || name.starts_with("pgsql-")
                        || name.bytes().all(|byte| byte.is_ascii_digit())
                })
                .map(|entry| entry.path().join(below)),
        );
    }
    folders
}

fn inspect(folder: &Path) -> Option<Binaries> {
    // A link in a PATH folder may point to one program alone: the server's own folder holds them all.
    let folder = folder.join("postgres").canonicalize().ok()?.parent()?.to_owned();
    if !folder.join("initdb").exists() || !folder.join("pg_ctl").exists() {
        return None;
    }
    let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    Some(Binaries { major: parse_major(&version)?, folder })
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian …)` and `… 19beta1`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split(") ").nth(1)?;
    let digits = number.find(|character: char| !character.is_ascii_digit());
    number[..digits.unwrap_or(number.len())].parse().ok()
}

/// The commands that mend it on this machine.
fn help(major: Option<u32>) -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let is = |words: [&str; 3]| {
        release
            .lines()
            .any(|line| line.starts_with("ID") && words.iter().any(|word| line.contains(word)))
    };
    let versioned = |prefix: &str, separator: &str, unversioned: &str| {
        major.map_or_else(|| unversioned.to_owned(), |major| format!("{prefix}{separator}{major}"))
    };
    let sudo = if nix::unistd::geteuid().is_root() { "" } else { "sudo " };
    let install = if cfg!(target_os = "macos") {
        format!("brew install {}", versioned("postgresql", "@", "postgresql@17"))
    } else if is(["fedora", "rhel", "centos"]) {
        format!("{sudo}dnf install -y postgresql-server")
    } else if is(["alpine", "alpine", "alpine"]) {
        format!("{sudo}apk add {}", versioned("postgresql", "", "postgresql"))
    } else if is(["arch", "manjaro", "arch"]) {
        format!("{sudo}pacman -S postgresql")
    } else {
        let package = versioned("postgresql", "-", "postgresql");
        format!("{sudo}apt-get update && {sudo}apt-get install -y {package}")
    };
    format!(
        "install it:                  {install}\n\
         or use a server of your own: export DATABASE_URL=postgres://user:password@host:5432/database"
    )
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Binaries, DatabaseError, choose, parse_major};

    fn installed() -> impl Iterator<Item = Binaries> {
        [14, 17, 15].into_iter().map(|major| Binaries { major, folder: PathBuf::new() })
    }

    #[test]
    fn the_newest_is_used_unless_data_needs_another() {
        assert_eq!(choose(installed(), None).expect("installed").major, 17);
        assert_eq!(choose(installed(), Some(14)).expect("installed").major, 14);
    }

    #[test]
    fn a_missing_version_is_an_error_with_the_command_that_mends_it() {
        for (found, major) in
            [(choose(installed(), Some(16)), Some(16)), (choose([].into_iter(), None), None)]
        {
            let error = found.expect_err("not installed");
            assert!(
                matches!(error, DatabaseError::NoBinaries { major: wanted, .. } if wanted == major)
            );
            let text = error.to_string();
            assert!(text.contains("install") && text.contains("DATABASE_URL="), "{text}");
        }
    }

    #[test]
    fn versions_are_read_as_distributions_print_them() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(parse_major("nonsense"), None);
    }
}
