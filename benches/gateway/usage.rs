//! What processes take, as `/proc` tells it.

use std::fmt;
use std::fs;
use std::ops::Div;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Outcome;

/// How long one tick of `/proc` is: a hundredth of a second, on every architecture of Linux.
const TICK_MICROSECONDS: f64 = 10_000.0;

/// Processor time, in microseconds.
#[derive(Clone, Copy)]
pub(crate) struct Usage(f64);

impl Usage {
    /// What a process has used since its start, all threads of it.
    pub fn of(pid: u32) -> Outcome<Self> {
        let fields = stat(pid)?;
        Ok(Self((ticks(&fields, UTIME)? + ticks(&fields, STIME)?) * TICK_MICROSECONDS))
    }

    pub fn since(self, before: Self) -> Self {
        Self(self.0 - before.0)
    }

    pub fn ratio(self, of: Self) -> String {
        if of.0 > 0.0 {
            format!("{:.2} times", self.0 / of.0)
        } else {
            "too little to tell".to_owned()
        }
    }
}

impl Div<u32> for Usage {
    type Output = Self;

    fn div(self, count: u32) -> Self {
        Self(self.0 / f64::from(count))
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:.1} µs", self.0)
    }
}

// Places of fields behind the name of the program: proc_pid_stat(5).
const PARENT: usize = 1;
const UTIME: usize = 11;
const STIME: usize = 12;
const CHILDREN_UTIME: usize = 13;
const CHILDREN_STIME: usize = 14;

fn stat(pid: u32) -> Outcome<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold spaces and brackets.
    let (_, fields) = text.rsplit_once(") ").ok_or("/proc has another form here")?;
    Ok(fields.split(' ').map(str::to_owned).collect())
}

fn ticks(fields: &[String], place: usize) -> Outcome<f64> {
    Ok(fields.get(place).ok_or("/proc has another form here")?.parse()?)
}

/// How much memory of a process is in use.
pub(crate) fn resident_megabytes(pid: u32) -> Outcome<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes / 1024.0)
}

/// The PostgreSQL that the service uses, on this machine.
pub(crate) struct Postgres {
    postmaster: u32,
}

impl Postgres {
    /// `DATABASE_URL` names a folder with the server's socket, beside its data, as `scripts/with-postgres` makes it.
    #[expect(
        clippy::disallowed_methods,
        reason = "the service has its settings from `config`; this is none"
    )]
    pub fn of_environment() -> Outcome<Self> {
        let url = std::env::var("DATABASE_URL").map_err(|_| "run me by scripts/with-postgres")?;
        let folder = url.split_once("host=").map_or("", |(_, folder)| folder);
        let file = fs::read_to_string(format!("{folder}/data/postmaster.pid"))?;
        Ok(Self { postmaster: file.lines().next().unwrap_or_default().trim().parse()? })
    }

    /// What all its processes have used, those that have ended included.
    pub fn usage(&self) -> Outcome<Usage> {
        let fields = stat(self.postmaster)?;
        let of_ended = ticks(&fields, CHILDREN_UTIME)? + ticks(&fields, CHILDREN_STIME)?;
        let mut sum = Usage::of(self.postmaster)?.0 + of_ended * TICK_MICROSECONDS;
        for backend in self.backends()? {
            sum += Usage::of(backend).map_or(0.0, |usage| usage.0);
        }
        Ok(Usage(sum))
    }

    /// Waits until what the service writes behind its answers is written.
    pub async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }

    /// Runs something while every process of the server stands still: what waits for it does not come back.
    pub async fn while_stopped<T>(&self, work: impl Future<Output = T>) -> Outcome<T> {
        let backends = self.backends()?;
        for pid in &backends {
            signal(*pid, Signal::SIGSTOP)?;
        }
        let done = tokio::time::timeout(Duration::from_secs(20), work).await;
        for pid in &backends {
            signal(*pid, Signal::SIGCONT)?;
        }
        Ok(done.map_err(|_| "requests waited for a PostgreSQL that stood still")?)
    }

    fn backends(&self) -> Outcome<Vec<u32>> {
        let mut backends = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            let parent = stat(pid).ok().and_then(|fields| fields.get(PARENT)?.parse::<u32>().ok());
            if parent == Some(self.postmaster) {
                backends.push(pid);
            }
        }
        Ok(backends)
    }
}

pub(crate) fn signal(pid: u32, signal: Signal) -> Outcome<()> {
    Ok(kill(Pid::from_raw(i32::try_from(pid)?), signal)?)
}
