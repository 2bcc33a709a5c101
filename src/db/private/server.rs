//! The running server: a child process with a thread of its own that starts it again should it die.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::oneshot;

use super::account::{self, Account};
use super::{Binaries, Cluster, DatabaseError, options};

/// Recovery after a crash may take a while.
const START_TIMEOUT: Duration = Duration::from_mins(1);
const RESTART_PAUSE: Duration = Duration::from_secs(1);

const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// A log that has become larger begins anew with the server.
const LOG_BYTES: u64 = 10 * 1024 * 1024;

/// How much of it is read for its last lines.
const TAIL_BYTES: u64 = 16 * 1024;

#[derive(Debug)]
pub(super) struct Server {
    state: Arc<State>,
    exited: oneshot::Receiver<()>,
}

#[derive(Debug, Default)]
struct State {
    pid: AtomicI32,
    is_stopping: AtomicBool,
    has_been_ready: AtomicBool,
}

impl Server {
    /// Starts the server and waits until it answers.
    pub async fn start(
        cluster: &Cluster,
        socket_dir: &Path,
        binaries: &Binaries,
        account: Option<Account>,
    ) -> Result<Self, DatabaseError> {
        let launch = Launch {
            program: binaries.program("postgres"),
            data: cluster.data(),
            socket_dir: socket_dir.to_owned(),
            log: cluster.log(),
            syncs_file_systems: can_sync_file_systems(binaries.major, &kernel()),
            account,
        };
        let state = Arc::new(State::default());
        let (exit, exited) = oneshot::channel();
        // The signal that ends the server with us is tied to the thread that starts it: this thread lives as
        // long as the server does.
        let thread_state = Arc::clone(&state);
        std::thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(move || {
                launch.supervise(&thread_state);
                // Nobody may be waiting any more.
                let _ = exit.send(());
            })
            .map_err(|source| DatabaseError::Io {
                action: "start a thread for",
                path: cluster.data(),
                source,
            })?;
        let mut server = Self { state, exited };
        if server.wait_until_ready(socket_dir).await {
            return Ok(server);
        }
        server.stop().await;
        Err(DatabaseError::Start { log: cluster.log(), tail: tail(&cluster.log()) })
    }

    /// Ends sessions, writes a checkpoint and stops.
    pub async fn stop(self) {
        self.state.is_stopping.store(true, Ordering::SeqCst);
        self.signal(Signal::SIGINT);
        let mut exited = self.exited;
        if tokio::time::timeout(STOP_TIMEOUT, &mut exited).await.is_err() {
            tracing::warn!("the private PostgreSQL does not stop; ending it at once");
            if let Some(pid) = self.state.pid() {
                // It may have ended this very moment.
                let _ = kill(pid, Signal::SIGQUIT);
            }
            let _ = tokio::time::timeout(STOP_TIMEOUT, exited).await;
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.state.pid() {
            // It may have ended this very moment.
            let _ = kill(pid, signal);
        }
    }

    async fn wait_until_ready(&mut self, socket_dir: &Path) -> bool {
        use sqlx::Connection;
        let deadline = Instant::now() + START_TIMEOUT;
        let options = options(socket_dir, "postgres");
        while Instant::now() < deadline
            && self
                .exited
                .try_recv()
                .is_err_and(|error| error == oneshot::error::TryRecvError::Empty)
        {
            if let Ok(connection) = sqlx::PgConnection::connect_with(&options).await {
                self.state.has_been_ready.store(true, Ordering::SeqCst);
                let _ = connection.close().await;
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }
}

impl State {
    fn pid(&self) -> Option<Pid> {
        match self.pid.load(Ordering::SeqCst) {
            0 => None,
            pid => Some(Pid::from_raw(pid)),
        }
    }
}

struct Launch {
    program: PathBuf,
    data: PathBuf,
    socket_dir: PathBuf,
    log: PathBuf,
    syncs_file_systems: bool,
    account: Option<Account>,
}

impl Launch {
    /// Runs the server until it is told to stop. One that dies after it was ready is started again.
    fn supervise(&self, state: &State) {
        while !state.is_stopping.load(Ordering::SeqCst) {
            let mut child = match self.spawn() {
                Ok(child) => child,
                Err(error) => {
                    tracing::error!(%error, "the private PostgreSQL cannot be started");
                    return;
                }
            };
            state.pid.store(child.id().cast_signed(), Ordering::SeqCst);
            let status = child.wait();
            state.pid.store(0, Ordering::SeqCst);
            if state.is_stopping.load(Ordering::SeqCst)
                || !state.has_been_ready.load(Ordering::SeqCst)
            {
                return;
            }
            tracing::error!(?status, "the private PostgreSQL ended by itself; starting it again");
            std::thread::park_timeout(RESTART_PAUSE);
        }
    }

    fn spawn(&self) -> io::Result<Child> {
        let log = open_log(&self.log)?;
        let mut command = account::command(&self.program, self.account.as_ref());
        command.arg("-D").arg(&self.data);
        let socket_dirs = format!("unix_socket_directories={}", self.socket_dir.display());
        for setting in [
            "listen_addresses=",
            socket_dirs.as_str(),
            "unix_socket_permissions=0700",
            "port=5432",
            "max_connections=64",
            "shared_buffers=32MB",
            "logging_collector=off",
            // By default a line every few minutes, for as long as anything is written.
            "log_checkpoints=off",
        ] {
            command.args(["-c", setting]);
        }
        if self.syncs_file_systems {
            command.args(["-c", "recovery_init_sync_method=syncfs"]);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // A group of its own: an interrupt typed at our terminal is ours to handle.
        command.process_group(0);
        end_with_parent(&mut command);
        command.spawn()
    }
}

/// Whether recovery can have whole file systems synced. It is as safe as file by file, of which there are a thousand: they
/// take seconds, for which the service would be without its database. Older kernels do not tell every error of it.
/// <https://www.postgresql.org/docs/current/runtime-config-error-handling.html>
fn can_sync_file_systems(major: u32, kernel: &str) -> bool {
    let mut numbers = kernel.split('.').map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next(), numbers.next());
    major >= 14 && version >= (Some(5), Some(8))
}

/// The version of the kernel; nothing where it is not Linux.
fn kernel() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default()
}

/// Has the kernel stop the server (SIGINT: a clean, fast stop) when the thread that started it is gone.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "the standard library has no other way to act between fork and exec"
)]
fn end_with_parent(command: &mut Command) {
    // SAFETY: the closure makes one system call, which is safe after a fork, and touches no memory. It runs
    // after the change of user, which would clear the signal.
    unsafe {
        command
            .pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGINT).map_err(io::Error::from));
    }
}

/// Elsewhere an orphan is stopped by the next start.
#[cfg(not(target_os = "linux"))]
fn end_with_parent(_command: &mut Command) {}

fn open_log(path: &Path) -> io::Result<File> {
    let log = File::options().create(true).append(true).open(path)?;
    if log.metadata()?.len() > LOG_BYTES {
        log.set_len(0)?;
    }
    Ok(log)
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    // Without a log there is nothing to tell.
    let text = read_end(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().rev().take(8).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

fn read_end(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let behind = file.metadata()?.len().saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(behind))?;
    let mut end = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut end)?;
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::{LOG_BYTES, TAIL_BYTES, can_sync_file_systems, open_log, read_end, tail};

    #[test]
    fn file_systems_are_synced_where_errors_of_it_are_told() {
        for kernel in ["6.18.44-generic\n", "5.8.0-1", "5.15.0", "10.0"] {
            assert!(can_sync_file_systems(15, kernel), "{kernel}");
            assert!(!can_sync_file_systems(13, kernel), "it knows no such setting");
        }
        for kernel in ["4.18.0-553.el8", "5.7.19", "", "nonsense"] {
            assert!(!can_sync_file_systems(15, kernel), "{kernel}");
        }
    }

    #[test]
    fn a_log_that_is_too_large_begins_anew() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("postgres.log");
        for (before, after) in [(LOG_BYTES, LOG_BYTES), (LOG_BYTES + 1, 0)] {
            let log = open_log(&path).expect("is opened");
            log.set_len(before).expect("is made");
            drop(log);
            let log = open_log(&path).expect("is opened");
            assert_eq!(log.metadata().expect("is there").len(), after);
        }
    }

    #[test]
    fn of_a_long_log_the_end_is_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("postgres.log");
        assert_eq!(tail(&path), "");
        let lines: Vec<String> = (0..10_000).map(|number| format!("line {number}")).collect();
        std::fs::write(&path, lines.join("\n")).expect("is written");
        assert_eq!(tail(&path), lines[9_992..].join("\n"));
        let read = read_end(&path).expect("is read").len();
        assert_eq!(u64::try_from(read).expect("is small"), TAIL_BYTES);
    }
}
