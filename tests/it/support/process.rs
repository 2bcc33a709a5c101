//! The service as a process of its own, with a private database.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::app::ADMIN_KEY;
use super::caller::Caller;

const PROGRAM: &str = env!("CARGO_BIN_EXE_rolecall");

/// The program, with nothing of the developer's environment that it would read.
pub fn rolecall() -> Command {
    without_settings(Command::new(PROGRAM))
}

/// The program where no file can become larger than some kilobytes: what is written beyond fails, as on a full disk.
fn rolecall_on_small_disk(kilobytes: u32) -> Command {
    let mut shell = Command::new("sh");
    // In blocks of 512 bytes. The signal that comes with the error would end the process.
    let script = format!("trap '' XFSZ; ulimit -S -f {}; exec \"$0\" \"$@\"", kilobytes * 2);
    shell.args(["-c", &script, PROGRAM]);
    without_settings(shell)
}

fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars() {
        let is_ours = ["ROLECALL_", "ANTHROPIC_", "OPENAI_", "GEMINI_", "OTEL_"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        if is_ours || name == "DATABASE_URL" {
            command.env_remove(name);
        }
    }
    // The width of the developer's terminal would break the lines of `--help`.
    command.env_remove("COLUMNS").current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// A running `rolecall serve`.
pub struct Service {
    child: Child,
    pub caller: Caller,
    pub log: Vec<String>,
    lines: Option<mpsc::Receiver<String>>,
}

impl Service {
    /// Starts and waits until it is ready.
    pub async fn start(data_dir: &Path, agents_dir: &Path, environment: &[(&str, &str)]) -> Self {
        Self::try_start(data_dir, agents_dir, environment).await.expect("the service starts")
    }

    /// The same where no file can become larger than some kilobytes.
    pub async fn start_on_small_disk(
        kilobytes: u32,
        data_dir: &Path,
        agents_dir: &Path,
        environment: &[(&str, &str)],
    ) -> Self {
        let command = rolecall_on_small_disk(kilobytes);
        let started = Self::start_as(command, data_dir, agents_dir, environment).await;
        started.expect("the service starts")
    }

    /// The end of its log if it ends instead of starting.
    pub async fn try_start(
        data_dir: &Path,
        agents_dir: &Path,
        environment: &[(&str, &str)],
    ) -> Result<Self, String> {
        Self::start_as(rolecall(), data_dir, agents_dir, environment).await
    }

    async fn start_as(
        mut command: Command,
        data_dir: &Path,
        agents_dir: &Path,
        environment: &[(&str, &str)],
    ) -> Result<Self, String> {
        let child = command
            .arg("serve")
            .env("ROLECALL_LISTEN", "127.0.0.1:0")
            .env("ROLECALL_DATA_DIR", data_dir)
            .env("ROLECALL_AGENTS_DIR", agents_dir)
            .env("ROLECALL_ADMIN_KEY", ADMIN_KEY)
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut service = Self { child, caller: Caller::new("", ""), log: Vec::new(), lines: None };
        let stderr = BufReader::new(service.child.stderr.take().expect("is piped"));
        let (sender, lines) = mpsc::channel();
        // Read to the end, so that the service never waits for its log to be read.
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut url = None;
        let deadline = Instant::now() + Duration::from_mins(1);
        while Instant::now() < deadline {
            while let Ok(line) = lines.try_recv() {
                if let Some((_, address)) = line.split_once("listening on ") {
                    url = Some(address.trim().to_owned());
                }
                service.log.push(line);
            }
            if let Some(url) = &url {
                service.caller = Caller::new(url, ADMIN_KEY);
                if service.caller.get("/readyz").await.status == 200 {
                    service.lines = Some(lines);
                    return Ok(service);
                }
            }
            if service.child.try_wait().expect("can be waited for").is_some() {
                service.log.extend(lines.iter());
                return Err(service.log.join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(format!("it does not become ready:\n{}", service.log.join("\n")))
    }

    /// Everything that it has logged, once it has ended.
    pub fn whole_log(&mut self) -> String {
        self.log.extend(self.lines.take().into_iter().flatten());
        self.log.join("\n")
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, signal).expect("the service is there");
    }

    /// The most memory that it has had at once, where the system tells.
    pub fn peak_memory_bytes(&self) -> Option<u64> {
        self.memory("VmHWM:")
    }

    /// The memory that it has.
    pub fn memory_bytes(&self) -> u64 {
        self.memory("VmRSS:").expect("the system tells")
    }

    /// How many files and sockets it has open.
    pub fn open_files(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        files.expect("the system tells").count()
    }

    fn memory(&self, figure: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(figure))?;
        Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
    }

    /// Ends it as an out-of-memory killer would.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("can be waited for");
    }

    /// Waits for its end, while a vendor in this process goes on, and says its exit code.
    pub async fn wait(&mut self) -> Option<i32> {
        loop {
            if let Some(status) = self.child.try_wait().expect("can be waited for") {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Asks it to stop; true if it ends cleanly.
    pub fn stop(&mut self) -> bool {
        self.signal(nix::sys::signal::Signal::SIGTERM);
        self.child.wait().expect("can be waited for").success()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
