//! The processes that sit in the root cgroup, which no cgroup file accounts for one by one.
//!
//! From the root's `cgroup.procs` and `/proc/PID/stat` (proc_pid_stat(5)). Kernel threads sit
//! there too and are left out: their time is the kernel's.

use super::cgroup::{Mounts, decimal, lines, words};
use super::machine::tick;
use crate::host::{HostRoot, read_bounded};
use dunnage_model::observation::ProcessReading;
use dunnage_model::units::Nanos;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Processes that are looked at in one sweep; the rest of the root cgroup is the kernel's party.
const MOST: usize = 4096;

/// The longest list of processes that is read.
const LIST_LIMIT: usize = 4 << 20;

/// `/proc/PID/stat` has 52 numbers and a name of 15 bytes.
const STAT_LIMIT: usize = 4096;

/// `PF_KTHREAD` of `include/linux/sched.h`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Reads the processes of the root cgroup, sweep by sweep.
#[derive(Debug)]
pub struct RootProcesses {
    root: HostRoot,
    lists: Vec<PathBuf>,
    tick: Nanos,
    /// Processes known to be kernel threads, by pid. A kernel thread's pid can be given to another
    /// process later: the set is emptied every [`FORGET`] sweeps.
    kernel: HashSet<u32>,
    sweeps: u32,
}

/// Sweeps after which all are looked at again.
const FORGET: u32 = 10;

impl RootProcesses {
    /// A reader of the root cgroup: of the processes that are in it in every hierarchy that
    /// accounts for CPU time.
    #[must_use]
    pub fn open(root: &HostRoot, mounts: &Mounts) -> RootProcesses {
        RootProcesses {
            root: root.clone(),
            lists: mounts
                .root_dirs()
                .into_iter()
                .map(|dir| dir.join("cgroup.procs"))
                .collect(),
            tick: tick(),
            kernel: HashSet::new(),
            sweeps: 0,
        }
    }

    /// The processes, sorted by pid; those that vanish meanwhile are left out.
    pub fn read(&mut self) -> Vec<ProcessReading> {
        self.sweeps = self.sweeps.wrapping_add(1);
        if self.sweeps.is_multiple_of(FORGET) {
            self.kernel.clear();
        }
        let mut processes = Vec::new();
        for pid in self.members() {
            if self.kernel.contains(&pid) {
                continue;
            }
            if processes.len() >= MOST {
                break;
            }
            match self.process(pid) {
                Some(Task::User(process)) => processes.push(process),
                Some(Task::Kernel) => {
                    self.kernel.insert(pid);
                }
                None => {}
            }
        }
        processes.sort_by_key(|process| process.pid);
        processes
    }

    /// The processes that all lists name.
    fn members(&self) -> Vec<u32> {
        let mut members: Option<Vec<u32>> = None;
        for list in &self.lists {
            let Ok(text) = read_bounded(list, LIST_LIMIT) else {
                continue;
            };
            let pids = lines(&text).filter_map(|line| u32::try_from(decimal(line)?).ok());
            members = Some(match members {
                // A process outside of the reader's pid namespace reads as 0.
                None => pids.filter(|&pid| pid > 0).collect(),
                Some(mut members) => {
                    let also: HashSet<u32> = pids.collect();
                    members.retain(|pid| also.contains(pid));
                    members
                }
            });
        }
        members.unwrap_or_default()
    }

    fn process(&self, pid: u32) -> Option<Task> {
        let text = self
            .root
            .read(format!("/proc/{pid}/stat"), STAT_LIMIT)
            .ok()?;
        stat(pid, &text, self.tick)
    }
}

enum Task {
    Kernel,
    User(ProcessReading),
}

/// `PID (COMM) STATE ...`: the name may hold blanks and brackets, so that the fields are counted
/// from the last bracket on.
fn stat(pid: u32, text: &[u8], tick: Nanos) -> Option<Task> {
    let open = text.iter().position(|&byte| byte == b'(')?;
    let close = text.iter().rposition(|&byte| byte == b')')?;
    let command = text.get(open + 1..close)?;
    // The state is field 3 of the manual page.
    let fields: Vec<&[u8]> = words(text.get(close + 1..)?).collect();
    let field = |number: usize| fields.get(number - 3).copied().and_then(decimal);
    if field(9)? & KERNEL_THREAD != 0 {
        return Some(Task::Kernel);
    }
    let ticks = field(14)?.saturating_add(field(15)?);
    Some(Task::User(ProcessReading {
        pid,
        start_ticks: field(22)?,
        command: Arc::from(String::from_utf8_lossy(command).as_ref()),
        cpu: Nanos(ticks.saturating_mul(tick.0)),
        threads: field(20)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TICK: Nanos = Nanos(10_000_000);

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let text = b"7 (a) R 1 (b\xff) S 1 7 7 0 -1 4194560 1 2 0 3 115 451 9 9 20 0 13 0 24 5 6\n";
        let Some(Task::User(process)) = stat(7, text, TICK) else {
            panic!("no user process")
        };
        assert_eq!(&*process.command, "a) R 1 (b\u{fffd}");
        assert_eq!(process.cpu, Nanos(5_660_000_000));
        assert_eq!((process.threads, process.start_ticks), (13, 24));
    }

    #[test]
    fn kernel_threads_are_told_apart() {
        let text = b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0\n";
        assert!(matches!(stat(2, text, TICK), Some(Task::Kernel)));
        assert!(stat(2, b"2 (short) S 0\n", TICK).is_none());
    }

    #[test]
    fn a_process_of_the_root_is_in_every_list() {
        let dir = tempfile::tempdir().unwrap();
        let lists: Vec<PathBuf> = ["cpu", "unified"]
            .iter()
            .map(|n| dir.path().join(n))
            .collect();
        std::fs::write(&lists[0], "1\n2\n3\n0\n").unwrap();
        std::fs::write(&lists[1], "3\n0\n1\n9\n").unwrap();
        let root = HostRoot::new(dir.path());
        let mut reader = RootProcesses::open(&root, &Mounts::default());
        assert!(reader.members().is_empty());
        reader.lists = lists;
        assert_eq!(reader.members(), [1, 3]);
    }

    #[test]
    fn the_root_cgroup_of_this_machine_is_read() {
        let root = HostRoot::default();
        let Ok(mounts) = Mounts::discover(&root) else {
            return;
        };
        let mut reader = RootProcesses::open(&root, &mounts);
        let processes = reader.read();
        assert!(processes.iter().all(|process| process.threads > 0));
        assert!(processes.len() <= MOST);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(text: Vec<u8>) {
            let _ = stat(1, &text, TICK);
        }
    }
}
