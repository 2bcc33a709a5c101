//! The guard of a child process: a small process of this program between the service and a tool server. When the
//! service ends, however it ends, the guard ends the server and everything that the server has started.
//!
//! A server started by `npx` is the grandchild of what was started, and a signal by the kernel reaches a child alone.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, getpid, setsid};

/// The verb of the command line. It is not shown in the help: nobody but the service uses it.
pub const GUARD_VERB: &str = "guard-tool-server";

/// How long a server has between being asked to end and being ended.
const GRACE: Duration = Duration::from_millis(500);

const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What a shell says of a command that cannot be started.
const NOT_STARTED: u8 = 127;

/// Runs a command, and ends with it and all its descendants.
pub fn guard(mut words: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(program) = words.next() else { return ExitCode::FAILURE };
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD] {
        signals.add(signal);
    }
    // A session of its own: an interrupt typed at the service's terminal is the service's to handle. The signals are
    // waited for, and wait from here on.
    if setsid().is_err() || signals.thread_block().is_err() {
        return ExitCode::FAILURE;
    }
    adopt_orphans();
    let mut command = Command::new(&program);
    command.args(words).process_group(0);
    end_with_guard(&mut command);
    // Dropping the child's handle leaves it running; it is waited for by its number.
    let server = match command.spawn() {
        Ok(child) => Pid::from_raw(child.id().cast_signed()),
        Err(error) => {
            eprintln!("{}: {error}", program.display());
            return ExitCode::from(NOT_STARTED);
        }
    };
    let_go_of_pipes();
    let status = wait_for_end(server, &signals);
    end_descendants(server);
    ExitCode::from(status)
}

/// Returns when the server has ended, or when it has been asked to and had its time.
fn wait_for_end(server: Pid, signals: &SigSet) -> u8 {
    loop {
        match signals.wait() {
            Ok(Signal::SIGCHLD) => {
                if let Some(status) = reap(server) {
                    return status;
                }
            }
            Ok(_) => {
                // It may have ended this very moment.
                let _ = killpg(server, Signal::SIGTERM);
                let deadline = Instant::now() + GRACE;
                while Instant::now() < deadline {
                    if let Some(status) = reap(server) {
                        return status;
                    }
                    std::thread::park_timeout(LOOK_INTERVAL);
                }
                return 1;
            }
            Err(_) => return 1,
        }
    }
}

/// Clears away who has ended, and tells how the server did if it is among them.
fn reap(server: Pid) -> Option<u8> {
    let mut status = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == server => {
                status = Some(u8::try_from(code).unwrap_or(1));
            }
            // As shells tell of signals.
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == server => {
                status = Some(128_u8.saturating_add(u8::try_from(signal as i32).unwrap_or(0)));
            }
            Ok(WaitStatus::StillAlive) | Err(_) => return status,
            Ok(_) => {}
        }
    }
}

/// Ends what is left: the server's group, then whoever has left it, until nobody is.
fn end_descendants(server: Pid) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        let _ = killpg(server, Signal::SIGKILL);
        for child in children() {
            let _ = kill(child, Signal::SIGKILL);
        }
        let _ = reap(server);
        // No child at all, not even one that is about to end.
        if waitpid(None, Some(WaitPidFlag::WNOHANG)).is_err() {
            return;
        }
        std::thread::park_timeout(LOOK_INTERVAL);
    }
}

/// The guard's children: the server and what was orphaned below it.
fn children() -> Vec<Pid> {
    let own = getpid();
    let list = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
    let list = list.unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect()
}

/// The pipes are the server's alone, so that the service notices when it closes them.
fn let_go_of_pipes() {
    let Ok(nothing) = std::fs::File::options().read(true).write(true).open("/dev/null") else {
        return;
    };
    let _ = (dup2_stdin(&nothing), dup2_stdout(&nothing), dup2_stderr(&nothing));
}

/// Has descendants whose parents end become children of the guard.
#[cfg(target_os = "linux")]
fn adopt_orphans() {
    // Without it the group is ended all the same.
    let _ = nix::sys::prctl::set_child_subreaper(true);
}

/// Has the kernel ask the guard to end when the thread of the service that started it is gone.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "the standard library has no other way to act between fork and exec"
)]
pub(super) fn end_with_service(command: &mut Command) {
    let service = getpid();
    // SAFETY: the closure makes system calls alone, which are safe after a fork, and touches no memory.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).map_err(std::io::Error::from)?;
            // The service may have ended before the signal was set.
            if nix::unistd::getppid() == service {
                Ok(())
            } else {
                Err(nix::errno::Errno::ESRCH.into())
            }
        });
    }
}

/// Has the kernel end the server should the guard be ended by force.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "the standard library has no other way to act between fork and exec"
)]
fn end_with_guard(command: &mut Command) {
    // SAFETY: the closure makes one system call, which is safe after a fork, and touches no memory.
    unsafe {
        command.pre_exec(|| {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from)
        });
    }
}

/// Elsewhere the guard looks whether the service is still its parent.
#[cfg(not(target_os = "linux"))]
fn adopt_orphans() {
    let service = nix::unistd::getppid();
    std::thread::spawn(move || {
        while nix::unistd::getppid() == service {
            std::thread::park_timeout(Duration::from_millis(250));
        }
        let _ = kill(getpid(), Signal::SIGTERM);
    });
}

#[cfg(not(target_os = "linux"))]
pub(super) fn end_with_service(_command: &mut Command) {}

#[cfg(not(target_os = "linux"))]
fn end_with_guard(_command: &mut Command) {}
