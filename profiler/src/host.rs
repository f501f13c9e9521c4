//! Where the host is: the root in front of every path, and the facts that do not change.

use dunnage_model::cpuset::CpuSet;
use dunnage_model::observation::{CgroupLayout, Host};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// The longest answer taken for a one-line fact of the host.
const FACT_LIMIT: usize = 4096;

/// The directory that stands in front of every host path (`--host-root DIR`), `/` by default.
#[derive(Clone, Debug)]
pub struct HostRoot(Arc<Path>);

impl HostRoot {
    /// The host whose file system is mounted at `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> HostRoot {
        HostRoot(Arc::from(dir.into()))
    }

    /// `/proc/stat` becomes `<root>/proc/stat`. Parts that would climb out (`..`) are left out.
    #[must_use]
    pub fn path(&self, absolute: &str) -> PathBuf {
        let mut path = self.0.to_path_buf();
        path.extend(inner(Path::new(absolute)));
        path
    }

    /// Whether this is the file system the program itself lives in.
    #[must_use]
    pub fn is_own(&self) -> bool {
        &*self.0 == Path::new("/")
    }

    /// Reads a regular file of the host, at most `limit` bytes.
    ///
    /// Under another root than `/` symbolic links are resolved inside that root
    /// (`RESOLVE_IN_ROOT` of openat2(2)), so that a link planted there cannot show a file of this
    /// machine instead.
    ///
    /// # Errors
    /// As [`read_bounded`]; also `ENOSYS` falls back to an unguarded open on kernels before 5.6.
    pub fn read(&self, absolute: &str, limit: usize) -> io::Result<Vec<u8>> {
        if self.is_own() {
            return read_bounded(Path::new(absolute), limit);
        }
        let root = File::open(&*self.0)?;
        let relative: PathBuf = inner(Path::new(absolute)).collect();
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        match openat2(&root, &relative, how) {
            Ok(descriptor) => drain(regular(File::from(descriptor))?, limit),
            Err(nix::errno::Errno::ENOSYS) => read_bounded(&self.path(absolute), limit),
            Err(errno) => Err(errno.into()),
        }
    }

    /// A one-line fact: trimmed, lossily decoded; `None` where it cannot be read or is empty.
    fn fact(&self, absolute: &str) -> Option<String> {
        let bytes = self.read(absolute, FACT_LIMIT).ok()?;
        let text = String::from_utf8_lossy(&bytes).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }
}

impl Default for HostRoot {
    fn default() -> HostRoot {
        HostRoot::new("/")
    }
}

/// The parts of a path that lead downwards.
fn inner(path: &Path) -> impl Iterator<Item = &Path> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(Path::new(name)),
        _ => None,
    })
}

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

/// Reads a regular file (those of `/proc`, `/sys` and cgroups count as such), at most `limit`
/// bytes. The one bounded read; everything uses it.
///
/// # Errors
/// Whatever open(2) or read(2) say; `InvalidInput` where the path names something else than a
/// regular file (a fifo would block for ever); `FileTooLarge` where there is more than `limit`.
pub fn read_bounded(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    drain(open_regular(path)?, limit)
}

/// Opens a regular file for reading, without waiting for a fifo's writer and without a controlling
/// terminal; close-on-exec is what the standard library always sets.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    regular(
        OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(path)?,
    )
}

fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ))
    }
}

fn drain(file: File, limit: usize) -> io::Result<Vec<u8>> {
    // Most files of /proc and of cgroups fit, and are then read by one call.
    let mut bytes = Vec::with_capacity(limit.min(4096));
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("more than the {limit} bytes that are taken from such a file"),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn paths_stay_below_the_root() {
        let root = HostRoot::new("/host");
        assert_eq!(root.path("/proc/stat"), Path::new("/host/proc/stat"));
        assert_eq!(
            root.path("/../../etc/shadow"),
            Path::new("/host/etc/shadow")
        );
        assert!(!root.is_own());
        assert_eq!(
            HostRoot::default().path("/proc/stat"),
            Path::new("/proc/stat")
        );
        assert!(HostRoot::default().is_own());
    }

    #[test]
    fn links_are_resolved_inside_the_root() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/sys/kernel")).unwrap();
        std::fs::write(dir.path().join("inside"), "inside").unwrap();
        symlink("/etc/passwd", dir.path().join("proc/leak")).unwrap();
        symlink("/inside", dir.path().join("proc/kept")).unwrap();
        let root = HostRoot::new(dir.path());
        assert!(root.read("/proc/leak", 1 << 20).is_err());
        assert_eq!(root.read("/proc/kept", 64).unwrap(), b"inside");
    }

    #[test]
    fn a_fifo_and_an_endless_file_are_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(
            read_bounded(&fifo, 10).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        assert!(read_bounded(Path::new("/dev/zero"), 10).is_err());
        let long = dir.path().join("long");
        std::fs::write(&long, [0u8; 11]).unwrap();
        assert_eq!(
            read_bounded(&long, 10).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        assert_eq!(read_bounded(&long, 11).unwrap().len(), 11);
    }

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
