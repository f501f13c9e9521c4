//! The tasks of a cgroup and what lies beneath it: their context switches, and where they may run.

use super::levels::directory;
use crate::host::{HostRoot, read_bounded};
use crate::sources::cgroup::{Controller, Mounts, decimal, lines};
use dunnage_model::cpuset::CpuSet;
use dunnage_model::observation::{TaskReading, TaskSwitches};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// Tasks that are looked at: some 15 µs each.
const MOST_TASKS: usize = 2048;

/// Cgroups beneath the party's that are looked at.
const MOST_CGROUPS: usize = 512;

/// The longest list of processes that is read.
const LIST_LIMIT: usize = 1 << 20;

/// `/proc/TID/status` has 60 lines, two of them as long as there are CPUs and memory nodes.
const STATUS_LIMIT: usize = 64 << 10;

/// The hierarchies in which a party's processes are looked for, best first.
const HOMES: [Controller; 5] = [
    Controller::Unified,
    Controller::Cpu,
    Controller::Cpuacct,
    Controller::Memory,
    Controller::Pids,
];

/// The tasks of `cgroup`; `None` where none can be listed.
pub(super) fn read(root: &HostRoot, mounts: &Mounts, cgroup: &str) -> Option<TaskReading> {
    let mut reading = TaskReading::default();
    let mut allowed: BTreeSet<u32> = BTreeSet::new();
    for pid in processes(mounts, cgroup)? {
        let Ok((threads, more)) = root.entries(format!("/proc/{pid}/task"), MOST_TASKS) else {
            continue;
        };
        reading.cut |= more;
        for thread in threads {
            let Some(tid) = decimal(thread.as_encoded_bytes()).and_then(|n| u32::try_from(n).ok())
            else {
                continue;
            };
            if reading.switches.len() >= MOST_TASKS {
                reading.cut = true;
                break;
            }
            let path = format!("/proc/{pid}/task/{tid}/status");
            let Ok(text) = root.read(path, STATUS_LIMIT) else {
                continue;
            };
            let Some((switches, cpus)) = status(&text) else {
                continue;
            };
            reading.switches.insert(tid, switches);
            allowed.extend(cpus.iter().flat_map(CpuSet::iter));
        }
    }
    reading.allowed = (!allowed.is_empty()).then(|| allowed.into_iter().collect());
    Some(reading)
}

/// The first process of the party.
pub(super) fn first_process(mounts: &Mounts, cgroup: &str) -> Option<u32> {
    processes(mounts, cgroup)?.into_iter().next()
}

/// The processes of `cgroup` and of what lies beneath it, from the first hierarchy that has any:
/// engines on hybrid hosts may fill the directory of one and not of the other.
fn processes(mounts: &Mounts, cgroup: &str) -> Option<Vec<u32>> {
    let mut listed = None;
    for home in HOMES {
        let Some(top) = directory(mounts, home, cgroup) else {
            continue;
        };
        let Some(pids) = below(top) else { continue };
        if !pids.is_empty() {
            return Some(pids);
        }
        listed = Some(pids);
    }
    listed
}

fn below(top: PathBuf) -> Option<Vec<u32>> {
    let mut pids = Vec::new();
    let mut seen = 0;
    let mut pending = vec![top];
    let mut found = false;
    while let Some(dir) = pending.pop() {
        seen += 1;
        if seen > MOST_CGROUPS || pids.len() >= MOST_TASKS {
            break;
        }
        let Ok(text) = read_bounded(&dir.join("cgroup.procs"), LIST_LIMIT) else {
            continue;
        };
        found = true;
        // A process outside of the reader's pid namespace reads as 0.
        let here = lines(&text).filter_map(|line| u32::try_from(decimal(line)?).ok());
        pids.extend(here.filter(|&pid| pid > 0));
        let children = fs::read_dir(&dir).into_iter().flatten().flatten();
        let folders = children.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()));
        pending.extend(folders.take(MOST_CGROUPS).map(|entry| entry.path()));
    }
    found.then_some(pids)
}

/// `voluntary_ctxt_switches`, `nonvoluntary_ctxt_switches` and `Cpus_allowed_list`. The name in the
/// first line is the task's own choice, but cannot hold a line's end (the kernel escapes it).
fn status(text: &[u8]) -> Option<(TaskSwitches, Option<CpuSet>)> {
    let value = |key: &[u8]| {
        lines(text)
            .find_map(|line| line.strip_prefix(key))
            .map(<[u8]>::trim_ascii)
    };
    let switches = TaskSwitches {
        voluntary: decimal(value(b"voluntary_ctxt_switches:")?)?,
        involuntary: decimal(value(b"nonvoluntary_ctxt_switches:")?)?,
    };
    let allowed = value(b"Cpus_allowed_list:")
        .and_then(|list| CpuSet::parse(std::str::from_utf8(list).ok()?));
    Some((switches, allowed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_status_tells_switches_and_cpus() {
        let text = b"Name:\tvoluntary_ctxt_switches:\nCpus_allowed_list:\t0-1,3\n\
            voluntary_ctxt_switches:\t120\nnonvoluntary_ctxt_switches:\t7\n";
        let (switches, allowed) = status(text).unwrap();
        assert_eq!((switches.voluntary, switches.involuntary), (120, 7));
        assert_eq!(allowed.unwrap().len(), 3);
        assert_eq!(status(b"Name:\tx\n"), None);
    }

    #[test]
    fn this_process_is_among_the_tasks_of_its_cgroup() {
        let root = HostRoot::default();
        let Ok(mounts) = Mounts::discover(&root) else {
            return;
        };
        let Some(text) = root.read("/proc/self/cgroup", 1 << 16).ok() else {
            return;
        };
        let text = String::from_utf8_lossy(&text);
        let Some(own) = text.lines().find_map(|line| line.strip_prefix("0::")) else {
            return;
        };
        // The root holds every kernel thread: more than the bound.
        if own == "/" {
            return;
        }
        let reading = read(&root, &mounts, own);
        assert!(reading.is_none_or(|r| !r.switches.is_empty()));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(text: Vec<u8>) {
            let _ = status(&text);
        }
    }
}
