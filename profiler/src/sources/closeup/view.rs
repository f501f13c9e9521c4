//! What the machine's files show inside a container: the machine, unless something else is mounted
//! over them, as lxcfs does.

use super::tasks;
use crate::host::HostRoot;
use crate::sources::cgroup::{Mounts, decimal, lines, words};
use dunnage_model::observation::ContainerView;
use dunnage_model::units::Bytes;

/// The longest mount table of a container that is read.
const MOUNTINFO_LIMIT: usize = 4 << 20;

/// The longest of the machine's files: `/proc/stat` of 8,192 CPUs with all interrupts.
const LIMIT: usize = 4 << 20;

/// What the first process of `cgroup` sees. Nothing where its mounts cannot be looked at.
pub(super) fn read(root: &HostRoot, mounts: &Mounts, cgroup: &str) -> ContainerView {
    let table = tasks::first_process(mounts, cgroup).and_then(|pid| {
        root.read(format!("/proc/{pid}/mountinfo"), MOUNTINFO_LIMIT)
            .ok()
    });
    let Some(table) = table else {
        return ContainerView::default();
    };
    let shown = |path: &str| {
        if is_covered(&table, path.as_bytes()) {
            None
        } else {
            root.read(path, LIMIT).ok()
        }
    };
    ContainerView {
        cpus: shown("/proc/stat").map(|text| cpus(&text)),
        memory_total: shown("/proc/meminfo").and_then(|text| meminfo(&text, b"MemTotal:")),
        load_average: shown("/proc/loadavg").and_then(|text| load_average(&text)),
    }
}

/// Whether a file is mounted over exactly this path (proc_pid_mountinfo(5), field 5).
fn is_covered(mountinfo: &[u8], path: &[u8]) -> bool {
    lines(mountinfo).any(|line| words(line).nth(4) == Some(path))
}

/// The lines `cpuN` of `/proc/stat`.
fn cpus(stat: &[u8]) -> u32 {
    let is_cpu = |line: &&[u8]| {
        let number = line.strip_prefix(b"cpu").and_then(|rest| rest.first());
        number.is_some_and(u8::is_ascii_digit)
    };
    u32::try_from(lines(stat).filter(is_cpu).count()).unwrap_or(u32::MAX)
}

/// The part of the machine's memory that is available.
pub(super) fn memory_available(root: &HostRoot) -> Option<f64> {
    let text = root.read("/proc/meminfo", LIMIT).ok()?;
    let available = meminfo(&text, b"MemAvailable:")?;
    let total = meminfo(&text, b"MemTotal:")?;
    (total.0 > 0).then(|| available.0 as f64 / total.0 as f64)
}

/// A line of `/proc/meminfo`, which counts in KiB.
fn meminfo(text: &[u8], key: &[u8]) -> Option<Bytes> {
    let line = lines(text).find_map(|line| line.strip_prefix(key))?;
    Some(Bytes(decimal(words(line).next()?)?.saturating_mul(1024)))
}

fn load_average(loadavg: &[u8]) -> Option<f64> {
    let first = words(loadavg).next()?;
    let load: f64 = std::str::from_utf8(first).ok()?.parse().ok()?;
    load.is_finite().then_some(load)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lxcfs_covers_what_it_mounts() {
        let table = b"36 35 98:0 / /proc rw - proc proc rw\n\
            37 36 0:50 /proc/meminfo /proc/meminfo rw - fuse.lxcfs lxcfs rw\n";
        assert!(is_covered(table, b"/proc/meminfo"));
        assert!(!is_covered(table, b"/proc/stat"));
    }

    #[test]
    fn the_files_of_the_machine() {
        assert_eq!(cpus(b"cpu  1 2\ncpu0 1\ncpu1 1\nintr 5\n"), 2);
        assert_eq!(
            meminfo(b"MemTotal:  8 kB\n", b"MemTotal:"),
            Some(Bytes(8192))
        );
        assert_eq!(load_average(b"0.50 0.40 0.30 1/100 7\n"), Some(0.5));
        assert_eq!(load_average(b"inf 1"), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(text: Vec<u8>) {
            let _ = (is_covered(&text, b"/"), cpus(&text), meminfo(&text, b"MemTotal:"), load_average(&text));
        }
    }
}
