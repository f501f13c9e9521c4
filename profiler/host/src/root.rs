//! The root in front of every path of the host.

use crate::read::{drain, open_regular, regular};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// The longest answer taken for a one-line fact of the host, in bytes: a page, as sysfs writes it.
pub const FACT_LIMIT: usize = 4096;

/// How often a path is resolved anew because of a rename elsewhere, before that is an error.
const RACES_LIMIT: u32 = 1000;

/// The directory that stands in front of every host path (`--host-root DIR`), `/` by default.
///
/// Under another root than `/` every method that opens something resolves symbolic links inside
/// that root (`RESOLVE_IN_ROOT` of openat2(2)), so that a link planted there cannot show a file of
/// this machine instead. Kernels before 5.6 lack openat2: there links are followed as they are.
#[derive(Clone, Debug)]
pub struct HostRoot(Arc<Path>);

/// What a path of the host leads to once all links are followed.
#[derive(Debug)]
pub struct Located {
    /// Where it is, as the host names it: absolute, without the root in front.
    pub path: PathBuf,
    /// What it is.
    pub metadata: Metadata,
}

impl HostRoot {
    /// The host whose file system is mounted at `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> HostRoot {
        HostRoot(Arc::from(dir.into()))
    }

    /// Whether there is such a directory: a root that is not there would read as a host without
    /// anything.
    ///
    /// # Errors
    /// Which directory it is, and what stat(2) said.
    pub fn check(&self) -> io::Result<()> {
        let is_dir = fs::metadata(&*self.0).map(|metadata| metadata.is_dir());
        let error = match is_dir {
            Ok(true) => return Ok(()),
            Ok(false) => io::Error::from(io::ErrorKind::NotADirectory),
            Err(error) => error,
        };
        let place = self.0.display();
        Err(io::Error::new(
            error.kind(),
            format!(
                "cannot read the host at {place}: {error}; --host-root names the folder that holds its proc and sys"
            ),
        ))
    }

    /// `/proc/stat` becomes `<root>/proc/stat`. Parts that would climb out (`..`) are left out.
    /// Follows no link: for what is opened use the other methods.
    #[must_use]
    pub fn path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let mut path = self.0.to_path_buf();
        path.extend(inner(absolute.as_ref()));
        path
    }

    /// Whether this is the file system the program itself lives in.
    #[must_use]
    pub fn is_own(&self) -> bool {
        &*self.0 == Path::new("/")
    }

    /// Reads a regular file of the host, at most `limit` bytes.
    ///
    /// # Errors
    /// As [`crate::read_bounded`].
    pub fn read(&self, absolute: impl AsRef<Path>, limit: usize) -> io::Result<Vec<u8>> {
        drain(self.open(absolute)?, limit)
    }

    /// Opens a regular file of the host for reading.
    ///
    /// # Errors
    /// As open(2); `InvalidInput` where it is no regular file.
    pub fn open(&self, absolute: impl AsRef<Path>) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        match self.resolve(absolute.as_ref(), flags)? {
            Some(file) => regular(file),
            None => open_regular(&self.path(absolute)),
        }
    }

    /// What `absolute` leads to once all links are followed, without opening it: a device node is
    /// looked at and its driver is not called.
    ///
    /// # Errors
    /// As openat2(2) with `O_PATH`.
    pub fn locate(&self, absolute: impl AsRef<Path>) -> io::Result<Located> {
        let file = match self.resolve(absolute.as_ref(), OFlag::O_PATH)? {
            Some(file) => file,
            None => File::from(nix::fcntl::open(
                &self.path(absolute),
                OFlag::O_PATH | OFlag::O_CLOEXEC,
                nix::sys::stat::Mode::empty(),
            )?),
        };
        let full = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let root = fs::canonicalize(&*self.0)?;
        let below = full.strip_prefix(&root).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, "leads out of the host's root")
        })?;
        Ok(Located {
            path: Path::new("/").join(below),
            metadata: file.metadata()?,
        })
    }

    /// The names in a directory, sorted, without `.` and `..`; at most `limit` of them, and whether
    /// there were more.
    ///
    /// # Errors
    /// As open(2) and readdir(3).
    pub fn entries(
        &self,
        directory: impl AsRef<Path>,
        limit: usize,
    ) -> io::Result<(Vec<OsString>, bool)> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let opened = self.resolve(directory.as_ref(), flags)?;
        let listing = match &opened {
            Some(file) => fs::read_dir(format!("/proc/self/fd/{}", file.as_raw_fd()))?,
            None => fs::read_dir(self.path(directory))?,
        };
        let mut names = Vec::new();
        for entry in listing {
            if names.len() == limit {
                names.sort_unstable();
                return Ok((names, true));
            }
            names.push(entry?.file_name());
        }
        names.sort_unstable();
        Ok((names, false))
    }

    /// Where the symbolic link `absolute` points to, as it is written there: not followed, not
    /// checked.
    ///
    /// # Errors
    /// As readlink(2); where it is no link, `EINVAL` under `/` and `ENOENT` under another root.
    pub fn link(&self, absolute: impl AsRef<Path>) -> io::Result<PathBuf> {
        let absolute = absolute.as_ref();
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
        match self.resolve(absolute, flags)? {
            Some(file) => Ok(PathBuf::from(nix::fcntl::readlinkat(&file, "")?)),
            None => fs::read_link(self.path(absolute)),
        }
    }

    /// A one-line fact, as the files of sysfs hold it: at most a page, trimmed, lossily decoded;
    /// `None` where it cannot be read or is empty.
    #[must_use]
    pub fn fact(&self, absolute: impl AsRef<Path>) -> Option<String> {
        let bytes = self.read(absolute, FACT_LIMIT).ok()?;
        let text = String::from_utf8_lossy(&bytes).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// Opens below the root, links resolved inside it; `None` where nothing guards: under `/`, where
    /// links lead where they should, and on kernels without openat2.
    fn resolve(&self, absolute: &Path, flags: OFlag) -> io::Result<Option<File>> {
        if self.is_own() {
            return Ok(None);
        }
        let root = File::open(&*self.0)?;
        let mut relative: PathBuf = inner(absolute).collect();
        if relative.as_os_str().is_empty() {
            relative.push(".");
        }
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let mut tries = 0;
        loop {
            match openat2(&root, &relative, how) {
                Ok(descriptor) => return Ok(Some(File::from(descriptor))),
                Err(Errno::ENOSYS) => return Ok(None),
                // Something was renamed or mounted, anywhere on the machine, while a `..` was
                // followed: the kernel cannot tell whether it stayed inside, and asks for another try.
                Err(Errno::EAGAIN) if tries < RACES_LIMIT => tries += 1,
                Err(errno) => return Err(errno.into()),
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_root_that_is_no_folder_is_told_from_an_empty_host() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let ring = dir.path().join("ring");
        std::os::unix::fs::symlink(&ring, &ring).unwrap();
        assert!(HostRoot::new(dir.path()).check().is_ok());
        for wrong in [file, ring, dir.path().join("absent")] {
            let error = HostRoot::new(&wrong).check().unwrap_err().to_string();
            assert!(error.contains(&*wrong.to_string_lossy()), "{error}");
        }
    }

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
        fs::create_dir_all(dir.path().join("proc/sys/kernel")).unwrap();
        fs::write(dir.path().join("inside"), "inside").unwrap();
        symlink("/etc/passwd", dir.path().join("proc/leak")).unwrap();
        symlink("/inside", dir.path().join("proc/kept")).unwrap();
        let root = HostRoot::new(dir.path());
        assert!(root.read("/proc/leak", 1 << 20).is_err());
        assert_eq!(root.read("/proc/kept", 64).unwrap(), b"inside");
        assert_eq!(
            root.locate("/proc/kept").unwrap().path,
            Path::new("/inside")
        );
        assert!(root.locate("/proc/leak").is_err());
        assert_eq!(root.link("/proc/leak").unwrap(), Path::new("/etc/passwd"));
        assert!(root.link("/inside").is_err());
    }

    #[test]
    fn a_rename_elsewhere_hides_no_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("fact"), "here").unwrap();
        symlink("../../fact", dir.path().join("a/b/link")).unwrap();
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("x"), "").unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    for (from, to) in [("x", "y"), ("y", "x")] {
                        fs::rename(other.path().join(from), other.path().join(to)).unwrap();
                    }
                }
            });
            let root = HostRoot::new(dir.path());
            let lost = (0..20_000)
                .filter(|_| root.fact("/a/b/link").is_none())
                .count();
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(lost, 0);
        });
    }

    #[test]
    fn listings_are_sorted_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "c", "a"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let root = HostRoot::new(dir.path());
        let (all, more) = root.entries("/", 3).unwrap();
        assert_eq!(
            (all, more),
            (vec!["a".into(), "b".into(), "c".into()], false)
        );
        let (some, more) = root.entries("/", 2).unwrap();
        assert_eq!((some.len(), more), (2, true));
        assert!(root.entries("/none", 2).is_err());
    }

    #[test]
    fn the_own_root_is_read_as_it_is() {
        let own = HostRoot::default();
        assert!(own.fact("/proc/sys/kernel/osrelease").is_some());
        assert!(own.locate("/dev/null").unwrap().metadata.len() == 0);
        assert_eq!(
            own.locate("/proc/self/stat")
                .unwrap()
                .path
                .file_name()
                .unwrap(),
            "stat"
        );
        assert!(own.fact("/no/such/file").is_none());
    }
}
