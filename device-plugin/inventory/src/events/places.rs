//! Where on a host changes of accelerators show as changes of files.

use dunnage_host::HostRoot;
use nix::sys::statfs::{SYSFS_MAGIC, statfs};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What is listened to in a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Listen {
    /// To files that were written to and closed. Not in `/dev`: whoever writes to `/dev/null` would
    /// wake us.
    pub(super) contents: bool,
    /// To changes of mode and owner.
    pub(super) attributes: bool,
}

/// A folder of which every entry, or those with certain names, matter.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    /// As the host names it.
    pub(super) path: PathBuf,
    /// How many levels of folders below it matter as well.
    pub(super) depth: usize,
    /// Which names in it matter.
    pub(super) names: fn(&OsStr) -> bool,
    /// Which folders in it are gone into.
    pub(super) enter: fn(&OsStr) -> bool,
    /// What is listened to.
    pub(super) listen: Listen,
}

/// All places.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// Whether the kernel itself stands behind `/sys`, so that it sends uevents for what is there.
    pub(super) live: bool,
    /// Folders.
    pub(super) folders: Vec<Folder>,
    /// Single files and folders that need not exist: each is watched for coming, going, being
    /// replaced, and for all of that along its path.
    pub(super) files: Vec<PathBuf>,
    /// Files whose closing matters: nobody opens them but to change something.
    pub(super) sessions: Vec<PathBuf>,
    /// Those given by the caller.
    pub(super) extra: Vec<PathBuf>,
}

/// Folders in which NVIDIA's and others' driver libraries lie.
const LIBRARY_FOLDERS: &[&str] = &[
    "/usr/lib64",
    "/usr/lib64/nvidia",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu/nvidia",
    "/usr/lib/x86_64-linux-gnu/nvidia/current",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu/nvidia",
    "/usr/lib/aarch64-linux-gnu/nvidia/current",
];

const FIRMWARE: &str = "/lib/firmware/nvidia";

/// The cache of the dynamic loader: a driver's installer writes it last.
const FILES: &[&str] = &["/etc/ld.so.cache"];

/// Whoever changes the partitions of an NVIDIA GPU holds `config` of MIG meanwhile (minor 1 of
/// nvidia-caps, by `/proc/driver/nvidia-caps/mig-minors`).
const SESSIONS: &[&str] = &["/dev/nvidia-caps/nvidia-cap1"];

impl Places {
    pub(super) fn of(host: &HostRoot, extra: &[PathBuf]) -> Places {
        let live = statfs(&host.path("/sys")).is_ok_and(|sys| sys.filesystem_type() == SYSFS_MAGIC);
        let mut files: Vec<PathBuf> = FILES.iter().map(PathBuf::from).collect();
        let mut folders = vec![devices()];
        folders.extend(LIBRARY_FOLDERS.iter().map(libraries));
        folders.push(whole(FIRMWARE, 2));
        if !live {
            // A tree of files: nobody but the files themselves tells.
            folders.extend([whole("/sys", 24), whole("/proc/driver", 8)]);
            files.push("/proc/modules".into());
        }
        Places {
            live,
            folders,
            files,
            sessions: SESSIONS.iter().map(PathBuf::from).collect(),
            extra: extra.to_vec(),
        }
    }
}

fn devices() -> Folder {
    Folder {
        path: "/dev".into(),
        depth: 2,
        names: is_no_terminal,
        enter: holds_accelerators,
        listen: Listen {
            contents: false,
            attributes: true,
        },
    }
}

fn libraries(path: &&str) -> Folder {
    Folder {
        path: (*path).into(),
        depth: 0,
        names: is_driver_library,
        enter: |_| false,
        listen: Listen {
            contents: true,
            attributes: false,
        },
    }
}

/// Everything at and below `path`.
fn whole(path: &str, depth: usize) -> Folder {
    Folder {
        path: path.into(),
        depth,
        names: |_| true,
        enter: |_| true,
        listen: Listen {
            contents: true,
            attributes: false,
        },
    }
}

/// Terminals, disks and logs come and go with every login and every image.
fn is_no_terminal(name: &OsStr) -> bool {
    const OTHERS: &[&[u8]] = &[
        b"tty", b"vcs", b"pts", b"loop", b"dm-", b"shm", b"log", b"mqueue",
    ];
    !OTHERS
        .iter()
        .any(|other| name.as_bytes().starts_with(other))
}

fn holds_accelerators(name: &OsStr) -> bool {
    const OTHERS: &[&str] = &[
        "pts",
        "shm",
        "mqueue",
        "hugepages",
        "char",
        "block",
        "disk",
        "bus",
        "input",
        "mapper",
        "net",
        "snd",
        "cpu",
        "fd",
        "serial",
        "usb",
    ];
    !OTHERS.iter().any(|other| name == *other)
}

fn is_driver_library(name: &OsStr) -> bool {
    const PREFIXES: &[&[u8]] = &[
        b"libcuda",
        b"libnv",
        b"libGLX_nvidia",
        b"libEGL_nvidia",
        b"nvidia",
    ];
    PREFIXES
        .iter()
        .any(|prefix| name.as_bytes().starts_with(prefix))
}
