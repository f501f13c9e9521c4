//! A root file system in a folder, read as a container would see it.
//!
//! Each directory and file is opened below the one before it, by one name and without following links
//! (`openat` with `O_NOFOLLOW`), so nothing in the folder leads out of it, whoever changes it meanwhile.
//! Names are taken in the order of their inodes, in which a disk has them side by side; [`readers`] look
//! into the files while the walk goes on.

mod readers;

use super::error::ImageError;
use super::limits::{FOLDER_DEPTH, GAPS, NAMES};
use super::{FoundBy, Interest, Look, Walked};
use dunnage_model::gap::Gap;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};
use nix::sys::statfs::{
    CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC, FsType, PROC_SUPER_MAGIC,
    SECURITYFS_MAGIC, SYSFS_MAGIC, TRACEFS_MAGIC, fstatfs,
};
use readers::{Answer, Job, Outcome, Readers};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
/// How ELF files begin.
pub(super) const PROGRAM_MAGIC: &[u8; 4] = b"\x7fELF";
/// The barest have a program at the top, or in a folder there (`/app/server`, `/ko-app/server`).
pub(super) const PROGRAM_DEPTH: usize = 2;

struct Walk<'a, I: Interest> {
    look: Arc<I::Look>,
    readers: Readers<I::Look>,
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
/// where an image of one static program has it. Any other folder asks for nothing and would pass.
pub(super) fn find(path: &Path) -> Result<OwnedFd, ImageError> {
    let root = open(path)?;
    let usual = |name: &&str| fstatat(&root, *name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok();
    if ROOT_FOLDERS.iter().any(usual) || has_program(&root, PROGRAM_DEPTH) {
        return Ok(root);
    }
    Err(ImageError::Unsupported {
        what: path.display().to_string(),
        why: "no root file system (no usr, etc or bin, and no program in it)".to_owned(),
    })
}

/// Whether `folder` has a program, at most `depth` folders down, itself counted.
fn has_program(folder: &OwnedFd, depth: usize) -> bool {
    let Ok(listing) = std::fs::read_dir(format!("/proc/self/fd/{}", folder.as_raw_fd())) else {
        return false;
    };
    listing.take(NAMES).flatten().any(|entry| {
        let name = entry.file_name();
        let Ok(stat) = fstatat(folder, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) else {
            return false;
        };
        match kind(&stat) {
            SFlag::S_IFREG => stat.st_mode & 0o111 != 0 && is_program(folder, &name),
            SFlag::S_IFDIR if depth > 1 => {
                below(folder, &name).is_ok_and(|opened| has_program(&opened, depth - 1))
            }
            _ => false,
        }
    })
}

fn is_program(folder: &OwnedFd, name: &OsStr) -> bool {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let mut magic = [0; PROGRAM_MAGIC.len()];
    let read = openat(folder, name, flags, Mode::empty())
        .map_err(io::Error::from)
        .and_then(|file| File::from(file).read_exact(&mut magic));
    read.is_ok() && magic == *PROGRAM_MAGIC
}

/// Shows all files of the folder to `interest`.
pub(super) fn walk<I: Interest>(path: &Path, interest: &mut I) -> Result<Walked, ImageError> {
    let root = open(path)?;
    let look = Arc::new(interest.look());
    let readers = Readers::start(&look)
        .map_err(|error| ImageError::reading(&path.display().to_string(), error))?;
    let mut walk = Walk {
        look,
        readers,
        interest,
        walked: Walked::default(),
        names: 0,
        untold: 0,
    };
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        match descend(&root, &folder) {
            Ok(opened) => walk.folder(&Arc::new(opened), &folder, &mut folders)?,
            Err(errno) => walk.gap(&folder, &format!("cannot be opened: {}", errno.desc())),
        }
    }
    loop {
        let rest = walk.readers.rest();
        let rest = rest.map_err(|error| ImageError::reading(&path.display().to_string(), error))?;
        if rest.is_empty() {
            break;
        }
        walk.show(rest)?;
    }
    if walk.untold > 0 {
        let why = format!("{} more of such things", walk.untold);
        walk.walked.gaps.push(Gap::new("root folder", why));
    }
    Ok(walk.walked)
}

/// Opens `folder`, name by name.
fn descend(root: &OwnedFd, folder: &Path) -> nix::Result<OwnedFd> {
    let mut here = below(root, OsStr::new("."))?;
    for name in folder {
        here = below(&here, name)?;
    }
    Ok(here)
}

/// Opens the folder `name` of `folder`, unless it is a link.
fn below(folder: &OwnedFd, name: &OsStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(folder, name, flags, Mode::empty())
}

impl<I: Interest> Walk<'_, I> {
    fn folder(
        &mut self,
        opened: &Arc<OwnedFd>,
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

    /// The names in a folder, in the order of their inodes.
    fn list(&mut self, opened: &OwnedFd, folder: &Path) -> Vec<OsString> {
        let listing = std::fs::read_dir(format!("/proc/self/fd/{}", opened.as_raw_fd()));
        let mut names = Vec::new();
        let listed = listing.and_then(|listing| {
            for entry in listing.take(NAMES + 1) {
                let entry = entry?;
                names.push((entry.ino(), entry.file_name()));
            }
            Ok(())
        });
        if let Err(error) = listed {
            self.gap(folder, &format!("cannot be listed: {error}"));
        }
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name).collect()
    }

    fn file(
        &mut self,
        folder: &Arc<OwnedFd>,
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
        self.readers.give(Job {
            folder: Arc::clone(folder),
            name: name.to_owned(),
            path,
            size,
        });
        let ready = self.readers.ready();
        self.show(ready.map_err(|error| ImageError::reading(&below.to_string_lossy(), error))?)
    }

    /// Shows what the readers found.
    fn show(&mut self, answers: Vec<Answer<FoundBy<I>>>) -> Result<(), ImageError> {
        for Answer { path, size, found } in answers {
            match found {
                Outcome::Found(found) => self.interest.file(&path, size, Some(found)),
                Outcome::Unopened(errno) => {
                    let below = path.strip_prefix("/").unwrap_or(&path);
                    self.gap(below, &format!("cannot be opened: {}", errno.desc()));
                }
                Outcome::Failed(error) => {
                    return Err(ImageError::reading(&path.display().to_string(), error));
                }
            }
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

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// As the image names it.
fn absolute(below: &Path) -> PathBuf {
    let mut path = OsString::from("/");
    path.push(OsStr::from_bytes(below.as_os_str().as_bytes()));
    PathBuf::from(path)
}
