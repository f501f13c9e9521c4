//! Where the host is: the root in front of every path, and the facts that do not change.

use dunnage_model::cpuset::CpuSet;
use dunnage_model::observation::{CgroupLayout, Host};

pub(crate) use dunnage_host::open_regular;
pub use dunnage_host::{HostRoot, read_bounded};

/// Name, kernel and online CPUs of the host. What cannot be read is `unknown`, or one CPU.
///
/// Sources: `/proc/sys/kernel/{hostname,osrelease}` (proc(5)) and
/// `/sys/devices/system/cpu/online` (`Documentation/admin-guide/cputopology.rst`).
#[must_use]
pub fn describe(root: &HostRoot, layout: CgroupLayout) -> Host {
    let unknown = || "unknown".to_owned();
    let online = root
        .fact("/sys/devices/system/cpu/online")
        .and_then(|list| CpuSet::parse(&list));
    let cpus = online
        .and_then(|set| u32::try_from(set.len()).ok())
        .unwrap_or(1)
        .max(1);
    Host {
        name: root
            .fact("/proc/sys/kernel/hostname")
            .unwrap_or_else(unknown),
        kernel: root
            .fact("/proc/sys/kernel/osrelease")
            .unwrap_or_else(unknown),
        cpus,
        cgroup: layout,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_does_not_tell_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let host = describe(&HostRoot::new(dir.path()), CgroupLayout::None);
        assert_eq!(
            (host.name.as_str(), host.kernel.as_str(), host.cpus),
            ("unknown", "unknown", 1)
        );
        let own = describe(&HostRoot::default(), CgroupLayout::V2);
        assert_ne!(own.kernel, "unknown");
        assert!(own.cpus >= 1);
    }
}
