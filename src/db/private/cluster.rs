//! The files of the private server: where they lie, how they come to be, and who uses them.

use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::kill;
use nix::unistd::{Pid, geteuid};
use sha2::{Digest, Sha256};

use super::account::{self, Account};
use super::{Binaries, DatabaseError, NAME};

/// Names the socket's file; nothing listens on a TCP port.
pub(super) const PORT: u16 = 5432;

/// A socket's path may be this long (`sun_path` of Linux and macOS, less the end mark).
const MAX_SOCKET_PATH_BYTES: usize = 103;

/// Where clusters go whose data directory the server's account cannot enter.
const SYSTEM_HOME: &str = "/var/lib/rolecall";

/// The folder that holds the cluster, its socket and its log.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    home: PathBuf,
    hash: String,
}

impl Cluster {
    /// `data_dir` is absolute. An account that cannot enter it gets a folder under `/var/lib/rolecall`.
    pub fn locate(data_dir: &Path, account: Option<&Account>) -> Self {
        let digest = Sha256::digest(data_dir.as_os_str().as_encoded_bytes());
        let (start, _) = digest.split_first_chunk().expect("a digest has 32 bytes");
        let hash = format!("{:016x}", u64::from_be_bytes(*start));
        let (beside, elsewhere) = (data_dir.join("postgres"), Path::new(SYSTEM_HOME).join(&hash));
        let has_data = |home: &Path| home.join("data/PG_VERSION").exists();
        let is_reachable = account.is_none_or(|account| account.can_reach(data_dir));
        // Existing data stays where it is, whatever became of the permissions above it.
        let is_beside = has_data(&beside) || (is_reachable && !has_data(&elsewhere));
        Self { home: if is_beside { beside } else { elsewhere }, hash }
    }

    pub fn home(&self) -> &Path {
        &self.home
    }

    pub fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    pub fn log(&self) -> PathBuf {
        self.home.join("postgres.log")
    }

    /// The version that existing data belongs to.
    pub fn major(&self) -> Result<Option<u32>, DatabaseError> {
        let path = self.data().join("PG_VERSION");
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DatabaseError::Io { action: "read", path, source }),
        }
    }

    /// Runs `initdb` into a folder beside the final one, so that a half-made cluster is never taken for one.
    pub async fn create_if_missing(
        &self,
        binaries: &Binaries,
        account: Option<&Account>,
    ) -> Result<(), DatabaseError> {
        if self.data().join("PG_VERSION").exists() {
            return Ok(());
        }
        create_private_dir(&self.home, account)?;
        let unfinished = self.home.join("data.new");
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished).map_err(|source| DatabaseError::Io {
                action: "remove the unfinished",
                path: unfinished.clone(),
                source,
            })?;
        }
        tracing::info!(folder = %self.home.display(), "creating the private PostgreSQL");
        let mut command = account::command(&binaries.program("initdb"), account);
        command
            .arg("--pgdata")
            .arg(&unfinished)
            .args(["--username", NAME, "--auth", "trust", "--encoding", "UTF8"])
            .args(["--locale", "C", "--no-instructions"]);
        let output =
            run(command).await.map_err(|error| DatabaseError::InitDb(error.to_string()))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(DatabaseError::InitDb(text));
        }
        std::fs::rename(&unfinished, self.data()).map_err(|source| DatabaseError::Io {
            action: "rename",
            path: unfinished,
            source,
        })
    }

    /// Stops a server whose owner was killed. It is on its way down already; this waits, then asks again.
    pub async fn stop_orphan(&self, binaries: &Binaries, account: Option<&Account>) {
        for _ in 0..30 {
            if self.postmaster_pid().is_none_or(|pid| !self.is_served_by(pid)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tracing::warn!("stopping the private PostgreSQL of an instance that was killed");
        let mut command = account::command(&binaries.program("pg_ctl"), account);
        command.arg("stop").arg("--pgdata").arg(self.data()).args(["--mode", "fast", "--wait"]);
        // If it fails, the server's own lock file stops the start that follows, with its own words.
        if let Err(error) = run(command).await {
            tracing::warn!(%error, "pg_ctl could not be run");
        }
    }

    /// The folder for the socket: private to the server's account and short enough for a socket's path.
    pub fn create_socket_dir(&self, account: Option<&Account>) -> Result<PathBuf, DatabaseError> {
        let beside = self.home.join("socket");
        let is_short = beside.as_os_str().len() + "/.s.PGSQL.5432".len() <= MAX_SOCKET_PATH_BYTES;
        let folder = if is_short {
            beside
        } else {
            std::env::temp_dir().join(format!("rolecall-{}", self.hash))
        };
        create_private_dir(&folder, account)?;
        Ok(folder)
    }

    /// Where the running server listens, as its own lock file says.
    pub fn running_socket_dir(&self) -> Option<PathBuf> {
        let text = std::fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        text.lines().nth(4).filter(|line| !line.is_empty()).map(PathBuf::from)
    }

    fn postmaster_pid(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok().map(Pid::from_raw)
    }

    /// Whether a process is the server of this cluster. After a crash of the machine the number may be anybody's; a server
    /// works in its data folder.
    fn is_served_by(&self, pid: Pid) -> bool {
        if kill(pid, None).is_err() {
            return false;
        }
        match std::fs::read_link(format!("/proc/{pid}/cwd")) {
            Ok(folder) => self.data().canonicalize().is_ok_and(|data| data == folder),
            // The system does not tell, or not us.
            Err(_) => true,
        }
    }
}

/// Makes a folder that the account alone may enter; an existing one must be its own, and no link.
fn create_private_dir(folder: &Path, account: Option<&Account>) -> Result<(), DatabaseError> {
    let failed = |source| DatabaseError::Io { action: "create", path: folder.to_owned(), source };
    let owner = account.map_or_else(|| geteuid().as_raw(), |account| account.uid);
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {
            if let Some(account) = account {
                chown(folder, Some(account.uid), Some(account.gid)).map_err(failed)?;
            }
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let metadata = folder.symlink_metadata().map_err(failed)?;
            if metadata.is_dir() && metadata.uid() == owner {
                return Ok(());
            }
            Err(failed(std::io::Error::other(format!(
                "it exists and does not belong to the account that runs PostgreSQL (uid {owner})"
            ))))
        }
        Err(error) => Err(failed(error)),
    }
}

async fn run(mut command: Command) -> std::io::Result<std::process::Output> {
    tokio::task::spawn_blocking(move || command.output()).await.map_err(std::io::Error::other)?
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use nix::unistd::Pid;

    use super::Cluster;

    #[test]
    fn a_number_that_another_process_has_by_now_is_no_server() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let cluster = Cluster { home: home.path().to_owned(), hash: String::new() };
        std::fs::create_dir(cluster.data()).expect("is made");
        for (folder, is_server) in [(home.path().to_owned(), false), (cluster.data(), true)] {
            let mut sleeping = Command::new("sleep");
            let mut child = sleeping.arg("60").current_dir(folder).spawn().expect("is started");
            let pid = Pid::from_raw(child.id().cast_signed());
            let pid_file = cluster.data().join("postmaster.pid");
            std::fs::write(pid_file, format!("{pid}\n")).expect("is written");
            assert_eq!(cluster.postmaster_pid(), Some(pid));
            assert_eq!(cluster.is_served_by(pid), is_server);
            child.kill().expect("it is ours");
            child.wait().expect("can be waited for");
            assert!(!cluster.is_served_by(pid));
        }
    }
}
