//! What processes use, as the kernel tells in `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// How long a program may take to become ready.
pub(crate) const READY_MAX: Duration = Duration::from_mins(1);
/// Ticks of the kernel's CPU times per second. It is fixed for programs (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

/// One line of the process table.
struct Entry {
    pid: u32,
    parent: u32,
    name: String,
    ticks: u64,
}

/// Memory of process `pid` that is in RAM.
pub(crate) fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.context("no VmRSS in /proc")?.trim().parse()?;
    Ok(kib * 1024)
}

/// Process `pid` and all its descendants.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let entries = entries();
    let mut family = vec![pid];
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        let children = entries.iter().filter(|entry| entry.parent == parent);
        family.extend(children.map(|entry| entry.pid));
        at += 1;
    }
    family
}

/// The descendants of this process that run the program `name`.
pub(crate) fn descendants_named(name: &str) -> Vec<u32> {
    let family = family(std::process::id());
    let entries = entries().into_iter();
    entries
        .filter(|entry| entry.name == name && family.contains(&entry.pid))
        .map(|entry| entry.pid)
        .collect()
}

/// CPU time that `pids` have used so far. A process that has ended counts no more.
pub(crate) fn cpu_time(pids: &[u32]) -> Duration {
    let ticks: u64 = pids
        .iter()
        .filter_map(|pid| read_entry(*pid))
        .map(|entry| entry.ticks)
        .sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// Mean number of runnable tasks over the last minute.
pub(crate) fn load_average() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next()?.parse().ok()
}

fn entries() -> Vec<Entry> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|dir| dir.file_name().to_str()?.parse().ok())
        .filter_map(read_entry)
        .collect()
}

fn read_entry(pid: u32) -> Option<Entry> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads `/proc/{pid}/stat`. The name stands in parentheses and may contain anything.
fn parse_stat(stat: &str) -> Option<Entry> {
    let (pid, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Entry {
        pid: pid.parse().ok()?,
        parent: fields.get(1)?.parse().ok()?,
        name: name.to_owned(),
        ticks: number(11)? + number(12)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_is_read() {
        let stat = "42 (a (b) c) S 7 42 42 0 -1 0 1 2 3 4 150 50 0 0 20 0 1 0 9";
        let entry = parse_stat(stat).unwrap();
        assert_eq!((entry.pid, entry.parent, entry.ticks), (42, 7, 200));
        assert_eq!(entry.name, "a (b) c");
    }

    #[test]
    fn this_process_is_in_its_own_family() {
        let pid = std::process::id();
        assert!(family(pid).contains(&pid));
        assert!(resident_bytes(pid).unwrap() > 1024 * 1024);
    }
}
