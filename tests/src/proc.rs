//! What Linux's `/proc` says about a process.

use std::{collections::HashMap, fs, time::Duration};

/// Clock ticks a second in `/proc/PID/stat`; 100 on every Linux in use.
const TICKS: u64 = 100;

/// The CPU time a process has used, all threads together.
///
/// Adds up the scheduler's nanoseconds of the living threads where the kernel offers them, and uses
/// the 10 ms ticks of the whole process, ended threads included, where they say more.
pub fn cpu_time(pid: u32) -> Duration {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let line = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        nanoseconds += line.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0);
    }
    let fields = stat(pid);
    let tick = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    let ticks = Duration::from_millis((tick(11) + tick(12)) * 1000 / TICKS);
    Duration::from_nanos(nanoseconds).max(ticks)
}

/// The proportional set size in bytes: private memory, and a share of what is shared.
pub fn pss(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Whether a process is there and not a zombie.
pub fn alive(pid: u32) -> bool {
    stat(pid).first().is_some_and(|state| state != "Z" && state != "X")
}

/// The processes that descend from `pid`, by number.
pub fn descendants(pid: u32) -> Vec<u32> {
    let mut parents = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if let Some(parent) = stat(child).get(1).and_then(|field| field.parse::<u32>().ok()) {
            parents.insert(child, parent);
        }
    }
    let descends = |mut child: u32| {
        while let Some(&parent) = parents.get(&child) {
            if parent == pid {
                return true;
            }
            child = parent;
        }
        false
    };
    let mut found: Vec<u32> = parents.keys().copied().filter(|&child| descends(child)).collect();
    found.sort_unstable();
    found
}

/// The living processes whose command line contains `text`.
pub fn with_command(text: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).replace('\0', " ").contains(text) && alive(pid) {
            found.push(pid);
        }
    }
    found
}

/// The fields of `/proc/PID/stat` after the name: state, parent, …
fn stat(pid: u32) -> Vec<String> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name stands in parentheses and may itself hold spaces and parentheses.
    line.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
}
