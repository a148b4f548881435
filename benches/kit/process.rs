//! What a process uses, as `/proc` tells it.
//!
//! In: a process, or this one. Out: resident memory, processor time, descriptors, children. A
//! process that is gone uses nothing.

use std::fs::read_to_string;
use std::path::Path;
use std::time::Duration;

/// Clock ticks a second in /proc (`getconf CLK_TCK` on Linux).
const TICKS: f64 = 100.0;

/// Resident octets.
#[must_use]
pub fn rss_bytes(pid: &str) -> u64 {
    let status = read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}

/// Processor seconds of all its threads, user and system.
#[must_use]
pub fn cpu_seconds(pid: &str) -> f64 {
    let stat = read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    // User and system time are the fields 14 and 15; the first behind the name is the third.
    let fields = after_name.split(' ').skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS
}

/// Open descriptors.
#[must_use]
pub fn descriptors(pid: &str) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// The processes that it started and that still run.
#[must_use]
pub fn children(pid: &str) -> Vec<String> {
    let lists = tasks(pid).filter_map(|task| read_to_string(task.join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Processor time of this process's threads whose names begin so.
#[must_use]
pub fn cpu_of_threads(names: &[&str]) -> Duration {
    let wanted = |task: &Path| {
        read_to_string(task.join("comm"))
            .is_ok_and(|name| names.iter().any(|part| name.starts_with(part)))
    };
    let ours = tasks("self").filter(|task| wanted(task));
    let nanos = ours.filter_map(|task| {
        read_to_string(task.join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// Processor time of the thread that asks.
#[must_use]
pub fn cpu_of_this_thread() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

fn tasks(pid: &str) -> impl Iterator<Item = std::path::PathBuf> + use<> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    tasks.filter_map(Result::ok).map(|task| task.path())
}

/// The machine's load, as `/proc/loadavg` has it.
#[must_use]
pub fn machine_load() -> String {
    read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}
