//! What a piece of work costs a process: processor time, and instructions where `perf` can count them.

use std::fmt;
use std::ops::{Div, Sub};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::Outcome;
use crate::usage::{self, Usage};

#[derive(Clone, Copy)]
pub(crate) struct Cost {
    cpu: Usage,
    instructions: Option<f64>,
}

/// Does a piece of work; returns what it has cost a process.
pub(crate) async fn measure<T>(pid: u32, work: impl Future<Output = Outcome<T>>) -> Outcome<Cost> {
    let counter = Counter::attach(pid).await;
    let before = Usage::of(pid)?;
    work.await?;
    let cpu = Usage::of(pid)?.since(before);
    Ok(Cost { cpu, instructions: counter.and_then(Counter::stop) })
}

impl Cost {
    /// Beside what the proxy has cost.
    pub fn against(self, bare: Self) -> String {
        let cpu = format!("CPU {} | bare {} | {}", self.cpu, bare.cpu, self.cpu.ratio(bare.cpu));
        match (self.instructions, bare.instructions) {
            (Some(ours), Some(theirs)) => {
                let ratio = ours / theirs;
                format!("{cpu}\n  instructions {ours:.0} | bare {theirs:.0} | {ratio:.2} times")
            }
            _ => cpu,
        }
    }
}

impl Sub for Cost {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let instructions = self.instructions.zip(other.instructions).map(|(all, part)| all - part);
        Self { cpu: self.cpu.since(other.cpu), instructions }
    }
}

impl Div<u32> for Cost {
    type Output = Self;

    fn div(self, count: u32) -> Self {
        let instructions = self.instructions.map(|all| all / f64::from(count));
        Self { cpu: self.cpu / count, instructions }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cpu.fmt(formatter)
    }
}

/// A `perf` that counts the instructions of a process.
struct Counter {
    perf: Child,
}

impl Counter {
    async fn attach(pid: u32) -> Option<Self> {
        let perf = Command::new("perf")
            .args([
                "stat",
                "-x",
                ",",
                "-e",
                "instructions:u,instructions:k",
                "-p",
                &pid.to_string(),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        // It does not tell when it has begun.
        tokio::time::sleep(Duration::from_millis(300)).await;
        Some(Self { perf })
    }

    /// `None` if the machine does not count: many virtual ones do not.
    fn stop(self) -> Option<f64> {
        usage::signal(self.perf.id(), Signal::SIGINT).ok()?;
        let told = self.perf.wait_with_output().ok()?;
        let told = String::from_utf8(told.stderr).ok()?;
        let counts: Option<Vec<f64>> = told
            .lines()
            .filter(|line| line.contains("instructions"))
            .map(|line| line.split(',').next()?.parse().ok())
            .collect();
        counts.filter(|counts| !counts.is_empty()).map(|counts| counts.iter().sum())
    }
}
