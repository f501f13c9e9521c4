//! Which cgroups there are: the union, by path, of the directories of all hierarchies.
//!
//! A directory's link count tells how many children it has (kernfs keeps it, as old Unix file
//! systems do), so that leaves, which are nearly all cgroups, cost one stat and no listing.

use super::layout::{Controller, Hierarchy, Mounts, as_path};
use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

/// Levels below the root that are looked at.
pub(crate) const MOST_LEVELS: usize = 64;

/// Cgroups that are looked at.
pub(crate) const MOST_CGROUPS: usize = 100_000;

/// Where a cgroup was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Bits of the [`Controller`]s in whose hierarchy it has a directory.
    pub(crate) present: u8,
    /// Inode of its version 2 directory.
    pub(crate) v2_id: Option<u64>,
    /// Inode of its version 1 `cpu` (else `cpuacct`) directory.
    pub(crate) v1_id: Option<u64>,
    /// Inode of its version 1 `blkio` directory.
    pub(crate) blkio_id: Option<u64>,
    /// Inode of its version 1 `memory` directory.
    pub(crate) memory_id: Option<u64>,
}

/// The outcome of one walk.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// By path from the cgroup root, in bytes, without leading slash; the root is empty.
    pub(crate) found: HashMap<Vec<u8>, Found>,
    /// A bound was met: there are more cgroups than were looked at.
    pub(crate) cut: Option<&'static str>,
}

impl Walk {
    /// Walks the hierarchies of `controllers`, each once, though controllers may share it.
    pub(crate) fn over(mounts: &Mounts, controllers: &[Controller]) -> Walk {
        let mut walk = Walk::default();
        let mut done: Vec<&Hierarchy> = Vec::new();
        for &controller in controllers {
            let Some(hierarchy) = mounts.of(controller) else {
                continue;
            };
            if !done.contains(&hierarchy) {
                done.push(hierarchy);
                walk.hierarchy(mounts, hierarchy);
            }
        }
        walk
    }

    fn hierarchy(&mut self, mounts: &Mounts, hierarchy: &Hierarchy) {
        let is = |controller| mounts.of(controller) == Some(hierarchy);
        let present = Controller::ALL
            .into_iter()
            .filter(|&c| is(c))
            .fold(0, |bits, c| bits | c.bit());
        let names_v2 = is(Controller::Unified);
        let names_v1 = is(Controller::Cpu)
            || (is(Controller::Cpuacct) && mounts.of(Controller::Cpu).is_none());
        let mut path = Vec::new();
        let mut pending = vec![(hierarchy.prefix.clone(), 0)];
        while let Some((raw, level)) = pending.pop() {
            if self.found.len() >= MOST_CGROUPS {
                self.cut = Some("there are more than 100,000 cgroups; the rest was left out");
                return;
            }
            // What vanished since its parent was listed is no error.
            let Some(()) = hierarchy.dir_of(&raw, &mut path) else {
                continue;
            };
            let Ok(directory) = fs::symlink_metadata(as_path(&path)) else {
                continue;
            };
            if !directory.is_dir() {
                continue;
            }
            if directory.nlink() != 2 {
                if level < MOST_LEVELS {
                    children(&path, &raw, level + 1, &mut pending);
                } else {
                    self.cut = Some("cgroups nested deeper than 64 levels were left out");
                }
            }
            let found = self.found.entry(raw).or_default();
            found.present |= present;
            if names_v2 {
                found.v2_id = Some(directory.ino());
            }
            if names_v1 {
                found.v1_id = Some(directory.ino());
            }
            if is(Controller::Blkio) {
                found.blkio_id = Some(directory.ino());
            }
            if is(Controller::Memory) {
                found.memory_id = Some(directory.ino());
            }
        }
    }
}

fn children(dir: &[u8], raw: &[u8], level: usize, pending: &mut Vec<(Vec<u8>, usize)>) {
    let Ok(entries) = fs::read_dir(as_path(dir)) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && pending.len() < MOST_CGROUPS {
            let mut child = raw.to_vec();
            if !child.is_empty() {
                child.push(b'/');
            }
            child.extend_from_slice(entry.file_name().as_bytes());
            pending.push((child, level));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::HostRoot;
    use std::ffi::OsStr;

    fn hybrid(dir: &std::path::Path, places: &[&str]) -> Mounts {
        let top = dir.join("sys/fs/cgroup");
        for place in ["cpu", "cpuacct", "unified"] {
            fs::create_dir_all(top.join(place)).unwrap();
            fs::write(top.join(place).join("cgroup.procs"), "").unwrap();
        }
        fs::write(top.join("unified/cgroup.controllers"), "").unwrap();
        for place in places {
            fs::create_dir_all(top.join(place)).unwrap();
        }
        Mounts::discover(&HostRoot::new(dir)).unwrap()
    }

    #[test]
    fn hierarchies_are_joined_by_path() {
        let dir = tempfile::tempdir().unwrap();
        let mounts = hybrid(
            dir.path(),
            &["cpu/a/b", "cpuacct/a", "unified/a", "unified/c"],
        );
        let walk = Walk::over(&mounts, &Controller::ALL);
        let mut paths: Vec<&[u8]> = walk.found.keys().map(Vec::as_slice).collect();
        paths.sort_unstable();
        assert_eq!(paths, [&b""[..], b"a", b"a/b", b"c"]);
        let both = walk.found.get(b"a".as_slice()).unwrap();
        assert!(both.v2_id.is_some() && both.v1_id.is_some() && both.v1_id != both.v2_id);
        let v1 = walk.found.get(b"a/b".as_slice()).unwrap();
        assert_eq!((v1.v2_id, v1.present), (None, Controller::Cpu.bit()));
        assert_eq!(walk.found.get(b"c".as_slice()).unwrap().v1_id, None);
    }

    #[test]
    fn bad_names_are_kept_and_depth_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let deep = format!("cpu{}", "/d".repeat(MOST_LEVELS + 3));
        let mounts = hybrid(dir.path(), &[&deep]);
        let odd = OsStr::from_bytes(b"dir/\xff\x1b[2J");
        fs::create_dir_all(mounts.of(Controller::Cpu).unwrap().dir.join(odd)).unwrap();
        let walk = Walk::over(&mounts, &Controller::ALL);
        assert!(walk.found.contains_key(b"dir/\xff\x1b[2J".as_slice()));
        assert!(walk.cut.is_some());
        assert_eq!(walk.found.len(), 1 + MOST_LEVELS + 2);
    }
}
