//! Control groups: the layout and the controllers.

use super::{Check, read_text};
use crate::host::HostRoot;
use crate::sources::cgroup::CgroupReader;
use dunnage_model::observation::CgroupLayout;
use std::collections::BTreeSet;

/// Name in v2, name in v1, what is lost without it.
const CONTROLLERS: [(&str, &str, &str); 5] = [
    (
        "cpu",
        "cpu",
        "quotas and weights: verdicts take all parties to have equal claims",
    ),
    (
        "cpuset",
        "cpuset",
        "CPU sets: all parties are taken to be allowed on all CPUs",
    ),
    ("memory", "memory", "memory figures"),
    ("io", "blkio", "disk figures"),
    ("pids", "pids", "thread counts"),
];

pub(super) fn examine(root: &HostRoot) -> Vec<Check> {
    let mut checks = vec![layout(root)];
    let available = available(root);
    checks.extend(
        CONTROLLERS
            .iter()
            .map(|(v2, v1, lost)| controller(&available, v2, v1, lost)),
    );
    checks
}

fn layout(root: &HostRoot) -> Check {
    let name = "cgroup layout";
    match CgroupReader::open(root) {
        Ok(reader) => describe(name, reader.layout()),
        Err(error) => Check::missing(
            name,
            format!(
                "no hierarchy can be read: {error}. Lost: containers and services; only the machine is shown"
            ),
            "mount cgroup2 on /sys/fs/cgroup, or name the host's root by --host-root",
        ),
    }
}

fn describe(name: &str, layout: CgroupLayout) -> Check {
    match layout {
        CgroupLayout::V2 => Check::ok(name, "v2"),
        CgroupLayout::Hybrid => Check::ok(
            name,
            "hybrid: use and limits come from version 1, pressure from version 2",
        ),
        CgroupLayout::V1 => Check::degraded(
            name,
            "v1: no pressure of single containers. Lost: verdicts on containers where eBPF does not run either",
            "boot with systemd.unified_cgroup_hierarchy=1, or mount cgroup2 beside version 1",
        ),
        CgroupLayout::None => Check::missing(
            name,
            "none mounted. Lost: containers and services; only the machine is shown",
            "mount cgroup2 on /sys/fs/cgroup, or name the host's root by --host-root",
        ),
    }
}

/// The controllers in use in either version, by the names of both.
fn available(root: &HostRoot) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in [
        "/sys/fs/cgroup/cgroup.controllers",
        "/sys/fs/cgroup/unified/cgroup.controllers",
    ] {
        if let Ok(text) = read_text(root, path) {
            names.extend(text.split_whitespace().map(str::to_owned));
        }
    }
    if let Ok(text) = read_text(root, "/proc/cgroups") {
        names.extend(attached_v1(&text));
    }
    names
}

/// The controllers of `/proc/cgroups` (cgroups(7)) that are enabled and belong to a version 1
/// hierarchy. Hierarchy 0 is version 2 or none at all.
fn attached_v1(text: &str) -> Vec<String> {
    let attached = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields[..] {
            [name, hierarchy, _, "1"] if hierarchy != "0" => Some(name.to_owned()),
            _ => None,
        }
    };
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(attached)
        .collect()
}

fn controller(available: &BTreeSet<String>, v2: &str, v1: &str, lost: &str) -> Check {
    let name = format!("cgroup controller {v2}");
    if available.contains(v2) || available.contains(v1) {
        return Check::ok(name, "there");
    }
    let remedy = match v2 {
        "memory" => "boot with cgroup_enable=memory".to_owned(),
        _ => format!("use a kernel with the {v2} controller, and mount it"),
    };
    Check::missing(name, format!("not there. Lost: {lost}"), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn only_attached_controllers_of_version_1_count() {
        let text = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t5\t1\nmemory\t0\t5\t1\nblkio\t4\t1\t0\nbad\n";
        assert_eq!(attached_v1(text), ["cpu"]);
    }

    #[test]
    fn a_controller_counts_under_either_name() {
        let available = BTreeSet::from(["blkio".to_owned()]);
        assert_eq!(
            controller(&available, "io", "blkio", "x").status,
            Status::Ok
        );
        assert_eq!(
            controller(&available, "memory", "memory", "x").status,
            Status::Missing
        );
    }
}
