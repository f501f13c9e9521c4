//! Cgroups that Dunnage makes for processes of its own: where they may stand, and whose they are.
//!
//! Where hierarchies are mounted comes from `/proc/self/mountinfo` (proc_pid_mountinfo(5)), where
//! this process lives from `/proc/self/cgroup` (cgroups(7)).

use std::fs;
use std::path::{Path, PathBuf};

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// Where it is mounted.
    pub(crate) mount: PathBuf,
    /// The cgroup of this process, below the mount point, without a slash in front; may be empty.
    pub(crate) own: String,
    /// Version 2; else version 1.
    pub(crate) unified: bool,
    /// Whether CPU time is accounted by it: version 2, `cpu` or `cpuacct`.
    pub(crate) cpu: bool,
}

/// The version 2 hierarchy and those of version 1 with one of `controllers`, out of the texts of
/// `mountinfo` and `cgroup`; each only once, however often it is mounted.
pub(crate) fn hierarchies(
    mountinfo: &str,
    own_cgroups: &str,
    controllers: &[&str],
) -> Vec<Hierarchy> {
    let mut found: Vec<(String, Hierarchy)> = Vec::new();
    for line in mountinfo.lines() {
        let Some((mount, filesystem)) = line.split_once(" - ") else {
            continue;
        };
        let mount: Vec<&str> = mount.split(' ').collect();
        let filesystem: Vec<&str> = filesystem.split(' ').collect();
        let (Some(root), Some(point)) = (mount.get(3), mount.get(4)) else {
            continue;
        };
        let (Some(kind), Some(options)) = (filesystem.first(), filesystem.get(2)) else {
            continue;
        };
        let controllers: Vec<&str> = options
            .split(',')
            .filter(|option| controllers.contains(option))
            .collect();
        let unified = *kind == "cgroup2";
        if !unified && (*kind != "cgroup" || controllers.is_empty()) {
            continue;
        }
        let key = if unified {
            String::new()
        } else {
            controllers.join(",")
        };
        if found.iter().any(|(known, _)| *known == key) {
            continue;
        }
        let own = own_path(
            own_cgroups,
            controllers.first().copied().filter(|_| !unified),
        );
        let hierarchy = Hierarchy {
            mount: PathBuf::from(unescaped(point)),
            own: below(&own, root),
            unified,
            cpu: unified || controllers.iter().any(|c| matches!(*c, "cpu" | "cpuacct")),
        };
        found.push((key, hierarchy));
    }
    found.into_iter().map(|(_, hierarchy)| hierarchy).collect()
}

/// The path in `/proc/self/cgroup` of the hierarchy with `controller`, or of version 2.
fn own_path(own_cgroups: &str, controller: Option<&str>) -> String {
    own_cgroups
        .lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            Some((fields.next()?, fields.next()?, fields.next()?))
        })
        .find(|(id, names, _)| match controller {
            Some(controller) => names.split(',').any(|name| name == controller),
            None => *id == "0" && names.is_empty(),
        })
        .map_or_else(|| "/".to_owned(), |(_, _, path)| path.to_owned())
}

/// `path` as seen below a mount of the sub-tree `root`; empty where it lies outside.
fn below(path: &str, root: &str) -> String {
    let inside = path.strip_prefix(root.trim_end_matches('/')).unwrap_or("");
    let inside = inside.trim_matches('/');
    if inside.split('/').any(|part| part == "..") {
        String::new()
    } else {
        inside.to_owned()
    }
}

/// `mountinfo` writes blanks and backslashes in octal.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}

/// The process id in the name of a folder that begins with `prefix`.
pub(crate) fn maker(folder: &Path, prefix: &str) -> Option<u32> {
    let name = folder.file_name()?.to_str()?;
    name.strip_prefix(prefix)?.parse().ok()
}

/// The folders at the places `bases` whose name is `prefix` and the id of a process that is gone.
pub(crate) fn left_behind<'a>(
    bases: impl Iterator<Item = PathBuf> + 'a,
    prefix: &'a str,
) -> impl Iterator<Item = PathBuf> + 'a {
    let is_gone = |pid: u32| !Path::new("/proc").join(pid.to_string()).exists();
    bases
        .filter_map(|base| fs::read_dir(base).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(move |folder| maker(folder, prefix).is_some_and(is_gone))
}

/// A version 1 cpuset takes no process before it has CPUs and memory nodes
/// (`Documentation/admin-guide/cgroup-v1/cpusets.rst`): it gets those of its parent.
pub(crate) fn inherit_places(folder: &Path) {
    let Some(parent) = folder.parent() else {
        return;
    };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if let Ok(all) = fs::read_to_string(parent.join(file)) {
            let _ = fs::write(folder.join(file), all.trim());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 20 0:25 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 30 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
34 30 0:29 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw
35 20 0:29 / /mnt/again rw - cgroup2 cgroup2 rw
";

    #[test]
    fn every_hierarchy_that_matters_is_found_once() {
        let found = hierarchies(
            HYBRID,
            "3:memory:/a/b\n2:cpu,cpuacct:/\n0::/user.slice/x.scope\n",
            &["cpu", "cpuacct", "memory"],
        );
        let short: Vec<(&str, &str, bool, bool)> = found
            .iter()
            .map(|h| (h.mount.to_str().unwrap(), h.own.as_str(), h.unified, h.cpu))
            .collect();
        assert_eq!(
            short,
            [
                ("/sys/fs/cgroup/cpu,cpuacct", "", false, true),
                ("/sys/fs/cgroup/memory", "a/b", false, false),
                ("/sys/fs/cgroup/unified", "user.slice/x.scope", true, true),
            ]
        );
    }

    #[test]
    fn a_mount_of_a_sub_tree_and_a_namespace_are_understood() {
        assert_eq!(below("/docker/9f/inner", "/docker/9f"), "inner");
        assert_eq!(below("/../elsewhere", "/"), "");
        assert_eq!(below("/", "/"), "");
    }

    #[test]
    fn lines_that_are_no_mounts_are_passed_over() {
        assert_eq!(
            hierarchies("nonsense\n1 2 3 - \n - cgroup2 x rw\n", "garbage", &["cpu"]),
            []
        );
    }

    #[test]
    fn a_folder_tells_its_maker() {
        let of = |path: &str| maker(Path::new(path), "dunnage-run-");
        assert_eq!(of("/sys/fs/cgroup/dunnage-run-77"), Some(77));
        for other in [
            "/",
            "/x/dunnage-run-",
            "/x/dunnage-run-7x",
            "/x/dunnage-demo-7",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
