//! A root file system in a folder, read as a container would see it.
//!
//! Each directory and file is opened below the one before it, by one name and without following links
//! (`openat` with `O_NOFOLLOW`), so nothing in the folder leads out of it, whoever changes it meanwhile.

use super::error::ImageError;
use super::limits::{FOLDER_DEPTH, GAPS, NAMES};
use super::{Interest, Look, Walked};
use dunnage_model::gap::Gap;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::sys::statfs::{
    CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC, FsType, PROC_SUPER_MAGIC,
    SECURITYFS_MAGIC, SYSFS_MAGIC, TRACEFS_MAGIC, fstatfs,
};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What no image has, and what would be read without end.
const KERNEL: [FsType; 7] = [
    PROC_SUPER_MAGIC,
    SYSFS_MAGIC,
    CGROUP_SUPER_MAGIC,
    CGROUP2_SUPER_MAGIC,
    DEBUGFS_MAGIC,
    TRACEFS_MAGIC,
    SECURITYFS_MAGIC,
];

/// One of these is in every root file system but the barest.
pub(super) const ROOT_FOLDERS: [&str; 6] = ["usr", "etc", "bin", "lib", "sbin", "var"];

struct Walk<'a, I: Interest> {
    look: I::Look,
    interest: &'a mut I,
    walked: Walked,
    names: usize,
    untold: u64,
}

/// Whether `path` is a folder that can be read.
pub(super) fn open(path: &Path) -> Result<OwnedFd, ImageError> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    nix::fcntl::open(path, flags, Mode::empty()).map_err(|errno| ImageError::Io {
        what: format!("the root folder {}", path.display()),
        error: errno.into(),
    })
}

/// Opens `path` where it looks like a root file system: it has one of the usual folders, or a program
/// at its top, as an image of one static program does. Any other folder asks for nothing and would pass.
pub(super) fn find(path: &Path) -> Result<OwnedFd, ImageError> {
    let root = open(path)?;
    let look = |name: &OsStr| fstatat(&root, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok();
    let usual = |name: &&str| look(OsStr::new(name)).is_some();
    let program = |name: OsString| {
        look(&name).is_some_and(|stat| kind(&stat) == SFlag::S_IFREG && stat.st_mode & 0o111 != 0)
    };
    let listing = || std::fs::read_dir(format!("/proc/self/fd/{}", root.as_raw_fd()));
    let has_program = || {
        listing().is_ok_and(|listing| {
            let names = listing.take(NAMES).flatten();
            names.map(|entry| entry.file_name()).any(program)
        })
    };
    if ROOT_FOLDERS.iter().any(usual) || has_program() {
        return Ok(root);
    }
    Err(ImageError::Unsupported {
        what: path.display().to_string(),
        why: "no root file system (no usr, etc or bin, and no program in it)".to_owned(),
    })
}

/// Shows all files of the folder to `interest`.
pub(super) fn walk<I: Interest>(path: &Path, interest: &mut I) -> Result<Walked, ImageError> {
    let root = open(path)?;
    let mut walk = Walk {
        look: interest.look(),
        interest,
        walked: Walked::default(),
        names: 0,
        untold: 0,
    };
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        match descend(&root, &folder) {
            Ok(opened) => walk.folder(&opened, &folder, &mut folders)?,
            Err(errno) => walk.gap(&folder, &format!("cannot be opened: {}", errno.desc())),
        }
    }
    if walk.untold > 0 {
        let why = format!("{} more of such things", walk.untold);
        walk.walked.gaps.push(Gap::new("root folder", why));
    }
    Ok(walk.walked)
}

/// Opens `folder`, name by name.
fn descend(root: &OwnedFd, folder: &Path) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut here = openat(root, ".", flags, Mode::empty())?;
    for name in folder {
        here = openat(&here, name, flags, Mode::empty())?;
    }
    Ok(here)
}

impl<I: Interest> Walk<'_, I> {
    fn folder(
        &mut self,
        opened: &OwnedFd,
        folder: &Path,
        folders: &mut Vec<PathBuf>,
    ) -> Result<(), ImageError> {
        if fstatfs(opened).is_ok_and(|about| KERNEL.contains(&about.filesystem_type())) {
            return Ok(());
        }
        for name in self.list(opened, folder) {
            self.names += 1;
            if self.names > NAMES {
                let why = format!("the folder has more than {NAMES} paths");
                return Err(ImageError::refused(folder.display().to_string(), why));
            }
            let below = folder.join(&name);
            let stat = match fstatat(opened, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(errno) => {
                    self.gap(&below, &format!("cannot be looked at: {}", errno.desc()));
                    continue;
                }
            };
            match kind(&stat) {
                SFlag::S_IFDIR if below.components().count() > FOLDER_DEPTH => {
                    self.gap(&below, "lies too deep; it is left out");
                }
                SFlag::S_IFDIR => folders.push(below),
                SFlag::S_IFREG => self.file(opened, &name, &below, &stat)?,
                SFlag::S_IFLNK => match readlinkat(opened, name.as_os_str()) {
                    Ok(target) => self.interest.link(&absolute(&below), Path::new(&target)),
                    Err(errno) => self.gap(&below, &format!("a link: {}", errno.desc())),
                },
                // Sockets, fifos and devices have no content.
                _ => {}
            }
        }
        Ok(())
    }

    /// The names in a folder.
    fn list(&mut self, opened: &OwnedFd, folder: &Path) -> Vec<OsString> {
        let listing = std::fs::read_dir(format!("/proc/self/fd/{}", opened.as_raw_fd()));
        let mut names = Vec::new();
        let listed = listing.and_then(|listing| {
            for entry in listing.take(NAMES + 1) {
                names.push(entry?.file_name());
            }
            Ok(())
        });
        if let Err(error) = listed {
            self.gap(folder, &format!("cannot be listed: {error}"));
        }
        names
    }

    fn file(
        &mut self,
        folder: &OwnedFd,
        name: &OsStr,
        below: &Path,
        stat: &FileStat,
    ) -> Result<(), ImageError> {
        let path = absolute(below);
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        self.walked.files += 1;
        self.walked.bytes = self.walked.bytes.saturating_add(size);
        if !self.look.wants(&path, size) {
            self.interest.file(&path, size, None);
            return Ok(());
        }
        match regular(folder, name) {
            // A file that grows is not followed.
            Ok(file) => {
                let found = (self.look.file(&path, size, &mut file.take(size)))
                    .map_err(|error| ImageError::reading(&path.display().to_string(), error))?;
                self.interest.file(&path, size, Some(found));
            }
            Err(errno) => self.gap(below, &format!("cannot be opened: {}", errno.desc())),
        }
        Ok(())
    }

    fn gap(&mut self, below: &Path, why: &str) {
        if self.walked.gaps.len() < GAPS {
            let what = absolute(below).to_string_lossy().into_owned();
            self.walked.gaps.push(Gap::new(what, why));
        } else {
            self.untold += 1;
        }
    }
}

/// Opens a file that was a regular one a moment ago, if it still is.
fn regular(folder: &OwnedFd, name: &OsStr) -> nix::Result<File> {
    let flags = OFlag::O_RDONLY
        | OFlag::O_NOFOLLOW
        | OFlag::O_NONBLOCK
        | OFlag::O_NOCTTY
        | OFlag::O_CLOEXEC;
    let opened = openat(folder.as_fd(), name, flags, Mode::empty())?;
    if kind(&fstat(&opened)?) == SFlag::S_IFREG {
        Ok(File::from(opened))
    } else {
        Err(Errno::EINVAL)
    }
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// As the image names it.
fn absolute(below: &Path) -> PathBuf {
    let mut path = OsString::from("/");
    path.push(OsStr::from_bytes(below.as_os_str().as_bytes()));
    PathBuf::from(path)
}
