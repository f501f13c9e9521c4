//! On which NUMA nodes a cgroup may run: its cpuset, and the CPUs of each node.

use dunnage_host::HostRoot;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// Nodes of one machine: the kernel's `MAX_NUMNODES` on large ones.
const NODES_LIMIT: usize = 1024;
/// A list of CPUs as text: every second of 8,192.
const LIST_LIMIT: usize = 64 << 10;
/// Where cpusets are: version 2, version 1, version 2 beside version 1.
const CPUSETS: &[(&str, &str)] = &[
    ("/sys/fs/cgroup", "cpuset.cpus.effective"),
    ("/sys/fs/cgroup/cpuset", "cpuset.effective_cpus"),
    ("/sys/fs/cgroup/unified", "cpuset.cpus.effective"),
];

/// First and last CPU, both included.
type Range = (u32, u32);

/// The NUMA nodes of a host with their CPUs.
#[derive(Clone, Debug)]
pub struct Places {
    host: HostRoot,
    nodes: BTreeMap<u32, Vec<Range>>,
}

impl Places {
    /// Those of `host`; none where it has no NUMA nodes.
    #[must_use]
    pub fn of(host: &HostRoot) -> Places {
        let folder = Path::new("/sys/devices/system/node");
        let (names, _) = host.entries(folder, NODES_LIMIT).unwrap_or_default();
        let node = |name: &std::ffi::OsString| {
            let number = name.to_str()?.strip_prefix("node")?.parse().ok()?;
            let cpus = host.read(folder.join(name).join("cpulist"), LIST_LIMIT);
            Some((number, ranges(&cpus.ok()?)))
        };
        Places {
            host: host.clone(),
            nodes: names.iter().filter_map(node).collect(),
        }
    }

    /// Whether there is more than one place to be.
    #[must_use]
    pub fn differ(&self) -> bool {
        self.nodes.len() > 1
    }

    /// The nodes of the cgroup at `path`; all of them where no cpuset says less.
    #[must_use]
    pub fn of_cgroup(&self, path: &str) -> BTreeSet<u32> {
        let cpus = self.cpus(path);
        self.nodes
            .iter()
            .filter(|(_, of_node)| cpus.as_ref().is_none_or(|cpus| meet(cpus, of_node)))
            .map(|(node, _)| *node)
            .collect()
    }

    /// The CPUs of the nearest cgroup on the way up that has a cpuset.
    fn cpus(&self, path: &str) -> Option<Vec<Range>> {
        let down = |part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        };
        let inner: PathBuf = Path::new(path).components().filter_map(down).collect();
        inner.ancestors().find_map(|cgroup| {
            CPUSETS.iter().find_map(|(mount, file)| {
                let file = Path::new(mount).join(cgroup).join(file);
                let cpus = ranges(&self.host.read(file, LIST_LIMIT).ok()?);
                (!cpus.is_empty()).then_some(cpus)
            })
        })
    }
}

/// `0-3,8` as the kernel writes lists of CPUs (cpuset(7)); what is no list is empty.
fn ranges(text: &[u8]) -> Vec<Range> {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    text.trim().split(',').filter_map(range).collect()
}

fn meet(a: &[Range], b: &[Range]) -> bool {
    a.iter().any(|(first, last)| {
        b.iter()
            .any(|(other_first, other_last)| first <= other_last && other_first <= last)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn put(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_cgroup_is_where_its_cpuset_or_the_nearest_above_it_says() {
        let root = tempfile::tempdir().unwrap();
        let nodes = "sys/devices/system/node";
        put(root.path(), &format!("{nodes}/node0/cpulist"), "0-3,8-11\n");
        put(
            root.path(),
            &format!("{nodes}/node1/cpulist"),
            "4-7,12-15\n",
        );
        put(root.path(), &format!("{nodes}/has_cpu"), "0-1\n");
        let cpuset = "sys/fs/cgroup/kubepods/cpuset.cpus.effective";
        put(root.path(), cpuset, "12\n");
        put(
            root.path(),
            "sys/fs/cgroup/cpuset/old/cpuset.effective_cpus",
            "2-5\n",
        );
        let places = Places::of(&HostRoot::new(root.path()));
        assert!(places.differ());
        let of = |path: &str| places.of_cgroup(path).into_iter().collect::<Vec<u32>>();
        assert_eq!(of("/kubepods"), [1]);
        assert_eq!(of("/kubepods/pod1/c"), [1]);
        assert_eq!(of("/kubepods/../../../kubepods"), [1]);
        assert_eq!(of("/old"), [0, 1]);
        assert_eq!(of("/other"), [0, 1]);
    }

    #[test]
    fn a_host_without_nodes_has_no_places() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::of(&HostRoot::new(root.path()));
        assert!(!places.differ());
        assert!(places.of_cgroup("/x").is_empty());
    }

    #[test]
    fn lists_of_cpus_are_read_and_garbage_is_not() {
        assert_eq!(ranges(b"0-3,8\n"), [(0, 3), (8, 8)]);
        assert!(ranges(b"\n").is_empty());
        assert!(ranges(b"\xff\x00").is_empty());
        assert_eq!(ranges(b"x,4-,5"), [(5, 5)]);
        assert!(meet(&[(0, 3)], &[(3, 9)]));
        assert!(!meet(&[(0, 3)], &[(4, 9)]));
    }
}
