//! A server that is a child process: started with an environment of its own, its errors logged, ended for good.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::{oneshot, watch};

use super::guard::{GUARD_VERB, end_with_service};
use super::redaction::Redaction;

/// How long a server has to end by itself once nobody speaks to it any more, and then once it is asked to.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
const END_PATIENCE: Duration = Duration::from_secs(8);

/// Of a longer line of a server's standard error the rest is not read.
const LINE_BYTES: u64 = 4_096;

/// Starts child processes, all on one thread that lives as long as the spawner: the kernel's signal that ends a child
/// with us is tied to the thread that has started it, and the runtime's threads come and go.
#[derive(Debug)]
pub(super) struct Spawner {
    jobs: mpsc::Sender<Job>,
    guard: PathBuf,
    environment: BTreeMap<String, String>,
}

struct Job {
    command: tokio::process::Command,
    runtime: tokio::runtime::Handle,
    reply: oneshot::Sender<std::io::Result<Child>>,
}

/// A running child. Dropped, it is asked to end.
#[derive(Debug)]
pub(super) struct Process {
    guard: Pid,
    exit: watch::Receiver<Option<ExitStatus>>,
    last_words: Arc<Mutex<String>>,
}

impl Spawner {
    pub fn start(guard: PathBuf, environment: BTreeMap<String, String>) -> Self {
        let (jobs, queue) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new().name("tool-servers".to_owned());
        let started = thread.spawn(move || {
            for mut job in queue {
                let _runtime = job.runtime.enter();
                // Whoever asked may have given up.
                let _ = job.reply.send(job.command.spawn());
            }
        });
        if let Err(error) = started {
            tracing::error!(%error, "no thread for tool servers can be started");
        }
        Self { jobs, guard, environment }
    }

    /// Starts a server, and gives what it is spoken to by.
    pub async fn spawn(
        &self,
        name: &str,
        command: &str,
        args: &[String],
        env: &BTreeMap<String, String>,
        redaction: Redaction,
    ) -> std::io::Result<(Process, ChildStdout, ChildStdin)> {
        let mut guarded = std::process::Command::new(&self.guard);
        guarded.arg0("rolecall").arg(GUARD_VERB).arg(command).args(args);
        guarded.env_clear().envs(&self.environment).envs(env);
        guarded.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        end_with_service(&mut guarded);
        let (reply, child) = oneshot::channel();
        let command = tokio::process::Command::from(guarded);
        let job = Job { command, runtime: tokio::runtime::Handle::current(), reply };
        let gone = || std::io::Error::other("the thread that starts tool servers is gone");
        self.jobs.send(job).map_err(|_| gone())?;
        let mut child = child.await.map_err(|_| gone())??;
        let (Some(stdin), Some(stdout), Some(stderr), Some(pid)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take(), child.id())
        else {
            return Err(std::io::Error::other("the child has no pipes"));
        };
        let last_words = Arc::new(Mutex::new(String::new()));
        tokio::spawn(log_lines(name.to_owned(), stderr, redaction, Arc::clone(&last_words)));
        let (told, exit) = watch::channel(None);
        tokio::spawn(async move {
            let status = child.wait().await.unwrap_or_default();
            told.send_replace(Some(status));
        });
        Ok((Process { guard: Pid::from_raw(pid.cast_signed()), exit, last_words }, stdout, stdin))
    }
}

impl Process {
    /// Waits for its end.
    pub async fn ended(&self) -> ExitStatus {
        let mut exit = self.exit.clone();
        // The sender goes only after it has told.
        exit.wait_for(Option::is_some).await.ok().and_then(|status| *status).unwrap_or_default()
    }

    /// The last line of its standard error: why it could not start.
    pub fn last_words(&self) -> String {
        self.last_words.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it, and waits until it has: first by itself, then asked, then by force.
    pub async fn end(self) {
        if tokio::time::timeout(CLOSE_PATIENCE, self.ended()).await.is_ok() {
            return;
        }
        self.signal(Signal::SIGTERM);
        if tokio::time::timeout(END_PATIENCE, self.ended()).await.is_err() {
            self.signal(Signal::SIGKILL);
        }
    }

    fn signal(&self, signal: Signal) {
        // Its number is its own until its end has been heard of.
        if self.exit.borrow().is_none() {
            let _ = kill(self.guard, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::SIGTERM);
    }
}

/// Logs what a server writes to its standard error, line by line. It may tell of calls, so that it takes a filter that
/// asks for it.
async fn log_lines(
    name: String,
    stderr: impl AsyncRead + Unpin,
    redaction: Redaction,
    last_words: Arc<Mutex<String>>,
) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LINE_BYTES).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = redaction.apply(String::from_utf8_lossy(&line).trim_end());
        if text.is_empty() {
            continue;
        }
        tracing::debug!(server.name = name, "{text}");
        *last_words.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}
