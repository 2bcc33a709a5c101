//! What the process takes of the machine, as the system tells it. Elsewhere than on Linux, nothing is known.

use std::fmt::Write;

/// The metrics that every process has, by the names that they have everywhere.
/// <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>
pub(super) fn render() -> String {
    let mut text = String::new();
    let mut tell = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
        }
    };
    #[expect(clippy::cast_precision_loss, reason = "far less than 2^52 bytes")]
    let resident = resident_bytes().map(|bytes| bytes as f64);
    tell("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", resident);
    let help = "Total user and system CPU time spent in seconds.";
    tell("process_cpu_seconds_total", "counter", help, cpu_seconds());
    tell("process_open_fds", "gauge", "Number of open file descriptors.", open_files());
    text
}

/// The memory of the machine that the process has, files of its program included.
fn resident_bytes() -> Option<u64> {
    let pages: u64 =
        std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * system_value(nix::unistd::SysconfVar::PAGE_SIZE)?)
}

fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the program's name, which may hold anything: the 14th and 15th field of the file.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    let ticks_per_second = system_value(nix::unistd::SysconfVar::CLK_TCK)?;
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 ticks")]
    Some(ticks as f64 / ticks_per_second as f64)
}

fn open_files() -> Option<f64> {
    let count = u32::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()?;
    // One of them is the look at them.
    Some(f64::from(count.saturating_sub(1)))
}

fn system_value(variable: nix::unistd::SysconfVar) -> Option<u64> {
    u64::try_from(nix::unistd::sysconf(variable).ok()??).ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{cpu_seconds, open_files, resident_bytes};

    #[test]
    fn the_system_tells_what_the_process_takes() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1_000_000));
        assert!(open_files().is_some_and(|count| count >= 3.0));
        let before = cpu_seconds().expect("is told");
        // The system counts in hundredths of a second.
        let goes_by = (0..1_000).any(|_| {
            (0..1_000_000_u64).for_each(|number| {
                std::hint::black_box(number);
            });
            cpu_seconds().is_some_and(|after| after > before)
        });
        assert!(goes_by);
    }
}
