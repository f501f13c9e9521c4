//! Which cgroup hierarchies the host has, and where they are mounted.
//!
//! From `mountinfo` (proc_pid_mountinfo(5)); where that does not help, by looking at the usual
//! places below `/sys/fs/cgroup`.

use super::CgroupError;
use crate::host::HostRoot;
use dunnage_model::observation::CgroupLayout;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The longest mount table that is read; a host with 10,000 containers stays below it.
const MOUNTINFO_LIMIT: usize = 32 << 20;

/// Where something is accounted: the version 2 hierarchy, or a controller of version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// The version 2 hierarchy.
    Unified,
    /// Version 1 `cpu`.
    Cpu,
    /// Version 1 `cpuacct`.
    Cpuacct,
    /// Version 1 `cpuset`.
    Cpuset,
    /// Version 1 `memory`.
    Memory,
    /// Version 1 `blkio`.
    Blkio,
    /// Version 1 `pids`.
    Pids,
    /// Version 1 `freezer`, which accounts for nothing and is not walked.
    Freezer,
}

impl Controller {
    /// All that account for something; the first three carry the ids and are walked most often.
    pub(crate) const ALL: [Controller; 7] = [
        Controller::Unified,
        Controller::Cpu,
        Controller::Cpuacct,
        Controller::Cpuset,
        Controller::Memory,
        Controller::Blkio,
        Controller::Pids,
    ];

    /// All whose hierarchies are looked for.
    const MOUNTED: [Controller; 8] = [
        Controller::Unified,
        Controller::Cpu,
        Controller::Cpuacct,
        Controller::Cpuset,
        Controller::Memory,
        Controller::Blkio,
        Controller::Pids,
        Controller::Freezer,
    ];

    /// The name in the mount options of version 1.
    fn option(self) -> Option<&'static str> {
        match self {
            Controller::Unified => None,
            Controller::Cpu => Some("cpu"),
            Controller::Cpuacct => Some("cpuacct"),
            Controller::Cpuset => Some("cpuset"),
            Controller::Memory => Some("memory"),
            Controller::Blkio => Some("blkio"),
            Controller::Pids => Some("pids"),
            Controller::Freezer => Some("freezer"),
        }
    }

    /// Its bit in a set of controllers.
    pub(crate) fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted, the host root in front.
    pub dir: PathBuf,
    /// The cgroup that the mount shows at its top, without slashes around it; empty for the root.
    pub(crate) prefix: Vec<u8>,
}

impl Hierarchy {
    /// The directory of the cgroup `raw` (a path without leading slash); `None` where it lies
    /// outside of what the mount shows.
    /// It is written into `path`, whose room is reused.
    pub(crate) fn dir_of(&self, raw: &[u8], path: &mut Vec<u8>) -> Option<()> {
        let rest = if self.prefix.is_empty() {
            raw
        } else {
            let rest = raw.strip_prefix(self.prefix.as_slice())?;
            if rest.is_empty() {
                rest
            } else {
                rest.strip_prefix(b"/")?
            }
        };
        path.clear();
        path.extend_from_slice(self.dir.as_os_str().as_bytes());
        if !rest.is_empty() {
            path.push(b'/');
            path.extend_from_slice(rest);
        }
        Some(())
    }
}

/// The mounted hierarchies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mounts {
    hierarchies: [Option<Hierarchy>; 8],
}

impl Mounts {
    /// Looks for the hierarchies of the host.
    ///
    /// # Errors
    /// [`CgroupError::None`] where there are none.
    pub fn discover(root: &HostRoot) -> Result<Mounts, CgroupError> {
        // The mount points are those that this process sees, or that the host's first process sees.
        let tables: &[&str] = if root.is_own() {
            &["/proc/self/mountinfo", "/proc/1/mountinfo"]
        } else {
            &["/proc/1/mountinfo", "/proc/self/mountinfo"]
        };
        for table in tables {
            let Ok(text) = root.read(table, MOUNTINFO_LIMIT) else {
                continue;
            };
            let mut mounts = Mounts::parse(&text, root);
            mounts.keep_visible(root);
            if mounts.layout() != CgroupLayout::None {
                return Ok(mounts);
            }
        }
        let mut mounts = Mounts::probe(root);
        mounts.keep_visible(root);
        if mounts.layout() == CgroupLayout::None {
            return Err(CgroupError::None {
                place: root.path("/sys/fs/cgroup"),
            });
        }
        Ok(mounts)
    }

    /// The hierarchy that accounts for `controller`.
    #[must_use]
    pub fn of(&self, controller: Controller) -> Option<&Hierarchy> {
        self.hierarchies.get(controller as usize)?.as_ref()
    }

    /// V1, hybrid, v2 or none. Named hierarchies (`name=systemd`, as systemd-nspawn leaves them on
    /// version 2 hosts) and controllers that account for nothing do not count.
    #[must_use]
    pub fn layout(&self) -> CgroupLayout {
        let [unified, rest @ .., _freezer] = &self.hierarchies;
        match (unified.is_some(), rest.iter().any(Option::is_some)) {
            (true, true) => CgroupLayout::Hybrid,
            (true, false) => CgroupLayout::V2,
            (false, true) => CgroupLayout::V1,
            (false, false) => CgroupLayout::None,
        }
    }

    /// The root cgroup's directories that account for CPU time. A process without a cgroup of its
    /// own sits in all of them: systemd on hybrid hosts leaves its services in the root of `cpu`
    /// and gives them a cgroup in the version 2 hierarchy alone.
    #[must_use]
    pub fn root_dirs(&self) -> Vec<&Path> {
        let old = self
            .of(Controller::Cpu)
            .or_else(|| self.of(Controller::Cpuacct));
        old.into_iter()
            .chain(self.of(Controller::Unified))
            .map(|h| h.dir.as_path())
            .collect()
    }

    fn set(&mut self, controller: Controller, found: Hierarchy) {
        if let Some(place) = self.hierarchies.get_mut(controller as usize) {
            // A hierarchy can be mounted more than once: the mount that shows most of it counts.
            if place
                .as_ref()
                .is_none_or(|known| found.prefix.len() < known.prefix.len())
            {
                *place = Some(found);
            }
        }
    }

    fn parse(mountinfo: &[u8], root: &HostRoot) -> Mounts {
        let mut mounts = Mounts::default();
        for line in mountinfo.split(|&byte| byte == b'\n') {
            let Some(mount) = Mount::parse(line) else {
                continue;
            };
            let point = String::from_utf8_lossy(&mount.point);
            let hierarchy = Hierarchy {
                dir: root.path(&*point),
                prefix: prefix(&mount.root),
            };
            if mount.kind == b"cgroup2" {
                mounts.set(Controller::Unified, hierarchy);
            } else if mount.kind == b"cgroup" {
                for controller in Controller::MOUNTED {
                    let Some(option) = controller.option() else {
                        continue;
                    };
                    if mount
                        .options
                        .split(|&byte| byte == b',')
                        .any(|o| o == option.as_bytes())
                    {
                        mounts.set(controller, hierarchy.clone());
                    }
                }
            }
        }
        mounts
    }

    /// Drops what the mount table names and this process cannot see, and what a symbolic link
    /// would show from outside of the host's root.
    fn keep_visible(&mut self, root: &HostRoot) {
        let Ok(top) = root.path("/").canonicalize() else {
            return;
        };
        for place in &mut self.hierarchies {
            let Some(hierarchy) = place else { continue };
            match hierarchy.dir.canonicalize() {
                Ok(dir) if dir.starts_with(&top) && dir.join("cgroup.procs").exists() => {
                    hierarchy.dir = dir;
                }
                _ => *place = None,
            }
        }
    }

    fn probe(root: &HostRoot) -> Mounts {
        let mut mounts = Mounts::default();
        let top = root.path("/sys/fs/cgroup");
        let whole = |dir: PathBuf| Hierarchy {
            dir,
            prefix: Vec::new(),
        };
        for place in [top.clone(), top.join("unified")] {
            if place.join("cgroup.controllers").exists() {
                mounts.set(Controller::Unified, whole(place));
                break;
            }
        }
        let Ok(entries) = std::fs::read_dir(&top) else {
            return mounts;
        };
        for name in entries.flatten().map(|entry| entry.file_name()) {
            let dir = top.join(&name);
            if dir.join("cgroup.controllers").exists() || !dir.join("cgroup.procs").exists() {
                continue;
            }
            for controller in Controller::MOUNTED {
                let Some(option) = controller.option() else {
                    continue;
                };
                let mut parts = name.as_bytes().split(|&byte| byte == b',');
                if parts.any(|part| part == option.as_bytes()) && !v2_only(&mounts, &top) {
                    mounts.set(controller, whole(dir.clone()));
                }
            }
        }
        mounts
    }
}

/// Whether the version 2 hierarchy itself is mounted at the top, so that `cpu` below it is a
/// cgroup of that name and no hierarchy.
fn v2_only(mounts: &Mounts, top: &Path) -> bool {
    mounts
        .of(Controller::Unified)
        .is_some_and(|unified| unified.dir == top)
}

/// The cgroup at the top of a mount. One that lies above the reader's cgroup namespace reads as
/// `/..` and shows more than the namespace's root: it counts as the root.
fn prefix(mount_root: &[u8]) -> Vec<u8> {
    if mount_root.starts_with(b"/..") {
        return Vec::new();
    }
    mount_root.strip_prefix(b"/").unwrap_or(mount_root).to_vec()
}

/// One line of `mountinfo`.
struct Mount<'a> {
    root: Vec<u8>,
    point: Vec<u8>,
    kind: &'a [u8],
    options: &'a [u8],
}

impl Mount<'_> {
    fn parse(line: &[u8]) -> Option<Mount<'_>> {
        let mut fields = line.split(|&byte| byte == b' ');
        let root = unescape(fields.nth(3)?);
        let point = unescape(fields.next()?);
        let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
        let kind = rest.next()?;
        let options = rest.nth(1)?;
        Some(Mount {
            root,
            point,
            kind,
            options,
        })
    }
}

/// `\040` and its like back into bytes.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = tail
            .get(..3)
            .filter(|digits| digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        match (byte, octal) {
            (b'\\', Some(&[a, b, c])) => {
                bytes.push((a - b'0').wrapping_mul(64) | ((b - b'0') << 3) | (c - b'0'));
                rest = tail.get(3..).unwrap_or_default();
            }
            _ => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    bytes
}

/// Bytes as a path.
pub(crate) fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn layout_of(text: &str) -> Mounts {
        Mounts::parse(text.as_bytes(), &HostRoot::default())
    }

    #[test]
    fn a_hybrid_host_with_separate_cpu_and_cpuacct() {
        let mounts = layout_of(
            "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
             33 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        );
        assert_eq!(mounts.layout(), CgroupLayout::Hybrid);
        assert_eq!(
            mounts.of(Controller::Cpu).unwrap().dir,
            Path::new("/sys/fs/cgroup/cpu")
        );
        assert_eq!(
            mounts.of(Controller::Cpuacct).unwrap().dir,
            Path::new("/sys/fs/cgroup/cpuacct")
        );
        assert!(mounts.of(Controller::Memory).is_none());
    }

    #[test]
    fn co_mounted_controllers_share_a_hierarchy() {
        let mounts = layout_of(
            "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n",
        );
        assert_eq!(mounts.layout(), CgroupLayout::V1);
        assert_eq!(mounts.of(Controller::Cpu), mounts.of(Controller::Cpuacct));
    }

    #[test]
    fn a_named_hierarchy_does_not_make_a_v2_host_hybrid() {
        let mounts = layout_of(
            "46 25 0:35 / /sys/fs/cgroup rw shared:14 - cgroup2 cgroup2 rw,nsdelegate\n\
             330 304 0:132 /x /sys/fs/cgroup/systemd rw shared:94 - cgroup cgroup rw,name=systemd\n",
        );
        assert_eq!(mounts.layout(), CgroupLayout::V2);
    }

    #[test]
    fn the_mount_that_shows_most_counts_and_keeps_its_prefix() {
        let mounts = layout_of(
            "1 1 0:35 /docker/a\\040b /mnt/own rw - cgroup2 cgroup2 rw\n\
             2 1 0:35 /docker /mnt/all rw - cgroup2 cgroup2 rw\n",
        );
        let unified = mounts.of(Controller::Unified).unwrap();
        assert_eq!(
            (unified.dir.as_path(), unified.prefix.as_slice()),
            (Path::new("/mnt/all"), &b"docker"[..])
        );
        let mut path = Vec::new();
        assert_eq!(unified.dir_of(b"docker/a b", &mut path), Some(()));
        assert_eq!(as_path(&path), Path::new("/mnt/all/a b"));
        assert_eq!(unified.dir_of(b"dockerx", &mut path), None);
        assert_eq!(prefix(b"/../.."), b"");
    }

    #[test]
    fn without_a_mount_table_the_usual_places_are_probed() {
        let dir = tempfile::tempdir().unwrap();
        let root = HostRoot::new(dir.path());
        assert!(matches!(
            Mounts::discover(&root),
            Err(CgroupError::None { .. })
        ));
        for place in ["cpu,cpuacct", "memory", "unified", "systemd"] {
            let place = root.path("/sys/fs/cgroup").join(place);
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join("cgroup.procs"), "").unwrap();
        }
        fs::write(root.path("/sys/fs/cgroup/unified/cgroup.controllers"), "").unwrap();
        let mounts = Mounts::discover(&root).unwrap();
        assert_eq!(mounts.layout(), CgroupLayout::Hybrid);
        assert_eq!(mounts.of(Controller::Cpu), mounts.of(Controller::Cpuacct));
        assert!(mounts.of(Controller::Pids).is_none());
        assert_eq!(mounts.root_dirs().len(), 2);
    }

    #[test]
    fn a_link_does_not_lead_out_of_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let host = dir.path().join("host");
        let outside = dir.path().join("outside");
        for place in [&host.join("sys/fs"), &outside] {
            fs::create_dir_all(place).unwrap();
        }
        for name in ["cgroup.controllers", "cgroup.procs"] {
            fs::write(outside.join(name), "").unwrap();
        }
        std::os::unix::fs::symlink(&outside, host.join("sys/fs/cgroup")).unwrap();
        assert!(Mounts::discover(&HostRoot::new(&host)).is_err());
        assert!(Mounts::discover(&HostRoot::new(dir.path())).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_mount_tables_never_panic(text: Vec<u8>) {
            let _ = Mounts::parse(&text, &HostRoot::new("/host"));
            let _ = unescape(&text);
        }
    }
}
