//! Who uses each device now: whose open files are its nodes (`/proc/PID/fd`, proc(5)).
//!
//! A file is told by its device number and not by its name, since a container may see the node under
//! another name. Nothing is opened: stat(2) follows the link and does not call the driver. Whoever
//! closed the node and only keeps a mapping of it is not seen.

use crate::device::{Node, Role};
use crate::scan::Inventory;
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, SFlag, fstatat, major, minor};
use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The most processes that are looked at: the kernel's largest `pid_max` is 2^22, a host of today has
/// some thousands.
const PROCESSES_LIMIT: usize = 131_072;

/// The most open files of one process, and of all together.
const FILES_LIMIT: usize = 65_536;
const ALL_FILES_LIMIT: usize = 2_000_000;

/// A cgroup path has at most `PATH_MAX` bytes; version 1 has a line for each controller.
const CGROUP_LIMIT: usize = 64 << 10;

/// A process that has a device open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct User {
    /// Its id in the namespace of the `/proc` that was read.
    pub pid: i32,
    /// The name that it gave itself (`/proc/PID/comm`); hostile text.
    pub comm: String,
    /// Its cgroup path as `/proc/PID/cgroup` shows it; absent where it could not be read.
    pub cgroup: Option<String>,
}

/// Who uses which device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// By [`Device::id`](crate::Device::id), in the order of the process ids. A device that nobody
    /// has open is not in it.
    pub by_device: BTreeMap<String, Vec<User>>,
    /// What could not be read: without it, a device that is not in `by_device` has no user.
    pub gaps: Vec<Gap>,
}

/// Looks for the users of the devices of `inventory`: whoever has a node of them open, control nodes
/// (`/dev/nvidiactl`, `/dev/kfd`) not counted.
#[must_use]
pub fn users(host: &HostRoot, inventory: &Inventory) -> Users {
    let wanted = Wanted::of(inventory);
    let mut found = Users::default();
    if wanted.is_empty() {
        return found;
    }
    let processes = match host.entries("/proc", PROCESSES_LIMIT) {
        Ok((names, more)) => {
            if more {
                found.gaps.push(too_many("processes"));
            }
            names
        }
        Err(error) => {
            let why = format!("cannot be listed ({error}): who uses the devices is not known");
            found
                .gaps
                .push(Gap::new(host.path("/proc").display().to_string(), why));
            return found;
        }
    };
    let mut look = Look::new(host);
    for name in processes {
        let pid = name.to_str().and_then(|name| name.parse::<i32>().ok());
        let Some(pid) = pid.filter(|pid| *pid > 0) else {
            continue;
        };
        let ids = look.process(&wanted, pid);
        if ids.is_empty() {
            continue;
        }
        let user = describe(host, pid);
        for id in ids {
            found.by_device.entry(id).or_default().push(user.clone());
        }
    }
    found.gaps.extend(look.gaps());
    for users in found.by_device.values_mut() {
        users.sort_unstable();
    }
    found
}

fn too_many(what: &str) -> Gap {
    let why = format!("there are more {what} than are looked at; some users may be missing");
    Gap::new("/proc", why)
}

/// The nodes that tell of a user, by what a `stat` or a link says of them.
#[derive(Debug, Default)]
struct Wanted {
    by_number: BTreeMap<(bool, u32, u32), Vec<String>>,
    by_path: BTreeMap<PathBuf, Vec<String>>,
}

impl Wanted {
    fn of(inventory: &Inventory) -> Wanted {
        let mut wanted = Wanted::default();
        for device in &inventory.devices {
            for node in device.nodes.iter().filter(|node| tells_of_use(node)) {
                let number = (node.block, node.major, node.minor);
                push(&mut wanted.by_number, number, &device.id);
                push(&mut wanted.by_path, node.path.clone(), &device.id);
            }
        }
        let parents = Parents::of(inventory);
        for ids in wanted.by_number.values_mut() {
            parents.keep_wholes(ids);
        }
        for ids in wanted.by_path.values_mut() {
            parents.keep_wholes(ids);
        }
        wanted
    }

    fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }
}

/// A control node is shared by all devices of the family, so that it tells of none.
fn tells_of_use(node: &Node) -> bool {
    node.role != Role::Control
}

fn push<K: Ord>(map: &mut BTreeMap<K, Vec<String>>, key: K, id: &str) {
    let ids = map.entry(key).or_default();
    if !ids.iter().any(|other| other == id) {
        ids.push(id.to_owned());
    }
}

/// Which device is part of which.
struct Parents<'a>(BTreeMap<&'a str, &'a str>);

impl Parents<'_> {
    fn of(inventory: &Inventory) -> Parents<'_> {
        let pairs = inventory.devices.iter();
        Parents(
            pairs
                .filter_map(|device| Some((device.id.as_str(), device.parent.as_deref()?)))
                .collect(),
        )
    }

    /// A node that the whole and its parts have in common (`/dev/nvidia0` of a GPU with MIG) does not
    /// tell which part is used: the whole has the user.
    fn keep_wholes(&self, ids: &mut Vec<String>) {
        let all: BTreeSet<String> = ids.iter().cloned().collect();
        ids.retain(|id| {
            !self
                .0
                .get(id.as_str())
                .is_some_and(|parent| all.contains(*parent))
        });
    }
}

/// One look at all processes.
struct Look<'a> {
    host: &'a HostRoot,
    /// Whether the kernel itself stands behind `/proc`, so that a link there leads to the open file.
    /// In a tree of files it only has a text.
    live: bool,
    files_left: usize,
    refused: usize,
    cut: bool,
}

impl<'a> Look<'a> {
    fn new(host: &'a HostRoot) -> Look<'a> {
        let live = statfs(&host.path("/proc"))
            .is_ok_and(|proc| proc.filesystem_type() == PROC_SUPER_MAGIC);
        Look {
            host,
            live,
            files_left: ALL_FILES_LIMIT,
            refused: 0,
            cut: false,
        }
    }

    /// The devices that the process has open. One that ended meanwhile has none.
    fn process(&mut self, wanted: &Wanted, pid: i32) -> BTreeSet<String> {
        let folder = PathBuf::from(format!("/proc/{pid}/fd"));
        let limit = FILES_LIMIT.min(self.files_left);
        let names = match self.host.entries(&folder, limit) {
            Ok((names, more)) => {
                self.cut |= more;
                self.files_left -= names.len();
                names
            }
            Err(error) => {
                if error.kind() == io::ErrorKind::PermissionDenied {
                    self.refused += 1;
                }
                return BTreeSet::new();
            }
        };
        let opened = self.live.then(|| self.open(&folder)).flatten();
        let mut ids = BTreeSet::new();
        for name in names {
            let devices = match &opened {
                Some(folder) => by_number(folder, &name, wanted),
                None => self.by_link(&folder.join(&name), wanted),
            };
            ids.extend(devices.into_iter().flatten().cloned());
        }
        ids
    }

    fn open(&self, folder: &Path) -> Option<OwnedFd> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_PATH | OFlag::O_CLOEXEC;
        nix::fcntl::open(&self.host.path(folder), flags, Mode::empty()).ok()
    }

    fn by_link<'w>(&self, link: &Path, wanted: &'w Wanted) -> Option<&'w Vec<String>> {
        wanted.by_path.get(&self.host.link(link).ok()?)
    }

    fn gaps(&self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        if self.refused > 0 {
            let why = format!(
                "the open files of {} processes may not be listed, so that users of devices may be \
                 missing; run it as root, or with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH",
                self.refused
            );
            gaps.push(Gap::new("/proc/PID/fd", why));
        }
        if self.cut {
            gaps.push(too_many("open files"));
        }
        gaps
    }
}

fn by_number<'w>(folder: &OwnedFd, name: &OsStr, wanted: &'w Wanted) -> Option<&'w Vec<String>> {
    let stat = fstatat(folder, name, AtFlags::empty()).ok()?;
    let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
    let block = match kind {
        SFlag::S_IFBLK => true,
        SFlag::S_IFCHR => false,
        _ => return None,
    };
    let major = u32::try_from(major(stat.st_rdev)).ok()?;
    let minor = u32::try_from(minor(stat.st_rdev)).ok()?;
    wanted.by_number.get(&(block, major, minor))
}

fn describe(host: &HostRoot, pid: i32) -> User {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let cgroup = host.read(folder.join("cgroup"), CGROUP_LIMIT).ok();
    User {
        pid,
        comm: host.fact(folder.join("comm")).unwrap_or_default(),
        cgroup: cgroup.and_then(|text| cgroup_path(&String::from_utf8_lossy(&text))),
    }
}

/// The path that tells most of `/proc/PID/cgroup` (cgroups(7)): that of version 2 where it has one
/// below the root, else the longest of version 1, as engines put a container into every hierarchy.
fn cgroup_path(text: &str) -> Option<String> {
    let mut best: Option<(&str, bool)> = None;
    for line in text.lines().take(256) {
        let Some((hierarchy, rest)) = line.split_once(':') else {
            continue;
        };
        let Some((_, path)) = rest.split_once(':') else {
            continue;
        };
        if !path.starts_with('/') {
            continue;
        }
        let v2 = hierarchy == "0" && path != "/";
        let better =
            best.is_none_or(|(other, other_v2)| (v2, path.len()) > (other_v2, other.len()));
        if better {
            best = Some((path, v2));
        }
    }
    best.map(|(path, _)| path.to_owned())
}

#[cfg(test)]
mod tests;
