//! Specification files on disk: written so that no reader ever sees a half one, and without touching
//! what others wrote.
//!
//! A file is written beside its place under a name that readers pass over (they take `*.json` and
//! `*.yaml`), brought to the disk, and renamed over the old one. Where that fails the old one stays.
//! Names that begin with `dunnage-` are ours; nothing else is ever changed or removed. Two of our
//! writers take turns by a lock on the folder.

use super::others;
use super::spec::{FILE_PREFIX, Spec};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, FlockArg, OFlag, openat, renameat};
use nix::sys::stat::{Mode, SFlag, fchmod, fstatat};
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The most entries of the folder that are looked at.
const ENTRIES_LIMIT: usize = 4096;

/// How long another writer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Everybody may read a specification: engines without root do.
const MODE: Mode = Mode::from_bits_truncate(0o644);

/// Why a folder or a file in it could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {path}: {source}{remedy}", path = path.display(), remedy = remedy(source))]
pub struct WriteError {
    /// What was tried: `write`, `remove`, `make the folder`.
    pub what: &'static str,
    /// On which path.
    pub path: PathBuf,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

impl WriteError {
    fn new(what: &'static str, path: &Path, source: impl Into<io::Error>) -> WriteError {
        WriteError {
            what,
            path: path.to_path_buf(),
            source: source.into(),
        }
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; nothing was changed: make room there"
        }
        io::ErrorKind::ReadOnlyFilesystem => "; choose another folder with --output",
        io::ErrorKind::PermissionDenied => {
            "; run it as root, or choose another folder with --output"
        }
        io::ErrorKind::NotADirectory => "; it must be a folder",
        io::ErrorKind::WouldBlock => "; another program writes there: try again when it is done",
        _ => "",
    }
}

/// What one update did.
#[derive(Debug, Default)]
pub struct Report {
    /// Files that are new or changed.
    pub written: Vec<String>,
    /// Files that were as they should be.
    pub unchanged: Vec<String>,
    /// Files of ours that nothing stands behind any more.
    pub removed: Vec<String>,
    /// Kinds that are not written because another file names the same devices.
    pub withheld: Vec<Withheld>,
    /// What could not be written or removed.
    pub failed: Vec<WriteError>,
}

/// A kind that another writer has already.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Withheld {
    /// `nvidia.com/gpu`.
    pub kind: String,
    /// The other file.
    pub by: PathBuf,
    /// A name that both have.
    pub name: String,
}

impl Withheld {
    /// In words, with the remedy.
    #[must_use]
    pub fn why(&self) -> String {
        format!(
            "{} names {}={} too, and engines drop a device that two files of one folder name; remove \
             that file, or choose another folder with --output",
            self.by.display(),
            self.kind,
            self.name
        )
    }
}

/// A folder of specifications.
pub struct Store {
    path: PathBuf,
    folder: Flock<File>,
}

impl Store {
    /// Opens the folder, makes it where it is missing, and waits for its other writers of ours.
    ///
    /// # Errors
    /// Where it is no folder, cannot be made, or another program holds it for long.
    pub fn open(path: &Path) -> Result<Store, WriteError> {
        fs::create_dir_all(path).map_err(|e| WriteError::new("make the folder", path, e))?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let mut folder = nix::fcntl::open(path, flags, Mode::empty())
            .map(File::from)
            .map_err(|e| WriteError::new("open the folder", path, e))?;
        let started = Instant::now();
        loop {
            match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
                Ok(folder) => {
                    let path = path.to_path_buf();
                    return Ok(Store { path, folder });
                }
                Err((back, Errno::EWOULDBLOCK)) if started.elapsed() < PATIENCE => {
                    folder = back;
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err((_, errno)) => return Err(WriteError::new("lock", path, errno)),
            }
        }
    }

    /// Brings the folder to hold exactly `specs` of ours. What cannot be done for one of them is in
    /// the report and does not stop the others.
    ///
    /// # Errors
    /// Where the folder cannot be listed.
    pub fn update(&self, specs: &[Spec]) -> Result<Report, WriteError> {
        let names = self.list()?;
        let others = others::read(&self.folder, &self.path, &names);
        let mut report = Report::default();
        let mut wanted = BTreeSet::new();
        for spec in specs {
            if let Some((by, name)) = others::clash(&others, spec) {
                report.withheld.push(Withheld {
                    kind: spec.kind.clone(),
                    by,
                    name,
                });
                continue;
            }
            let name = spec.file_name();
            match self.put(&name, spec.to_json().as_bytes()) {
                Ok(true) => report.written.push(name.clone()),
                Ok(false) => report.unchanged.push(name.clone()),
                Err(error) => report.failed.push(error),
            }
            wanted.insert(name);
        }
        for name in names.iter().filter(|name| is_ours(name)) {
            if !wanted.contains(name) {
                match self.remove(name) {
                    Ok(true) if is_spec(name) => report.removed.push(name.clone()),
                    Ok(_) => {}
                    Err(error) => report.failed.push(error),
                }
            }
        }
        if !report.written.is_empty() || !report.removed.is_empty() {
            // Some file systems cannot; then the rename is as durable as it gets.
            let _ = fsync(&*self.folder);
        }
        Ok(report)
    }

    /// Takes a file of ours back.
    ///
    /// # Errors
    /// As unlink(2); that it is not there is none.
    pub fn withdraw(&self, name: &str) -> Result<(), WriteError> {
        if is_spec(name) {
            self.remove(name)?;
        }
        Ok(())
    }

    /// The names of all files, ours and others', sorted.
    fn list(&self) -> Result<Vec<String>, WriteError> {
        let fail = |error: io::Error| WriteError::new("list", &self.path, error);
        // The folder that is locked, whatever its path leads to by now.
        let folder = format!("/proc/self/fd/{}", self.folder.as_raw_fd());
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).map_err(fail)?.take(ENTRIES_LIMIT) {
            names.extend(entry.map_err(fail)?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Whether it had to be written.
    fn put(&self, name: &str, content: &[u8]) -> Result<bool, WriteError> {
        let path = self.path.join(name);
        match self.kind_of(name) {
            Some(SFlag::S_IFREG) if self.holds(name, content) => return Ok(false),
            None | Some(SFlag::S_IFREG) => {}
            Some(_) => {
                let source = io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "something that is no regular file stands there; remove it",
                );
                return Err(WriteError::new("write", &path, source));
            }
        }
        let fresh = format!(".{FILE_PREFIX}{name}.tmp");
        let outcome = self.write(&fresh, content).and_then(|()| {
            Ok(renameat(
                &*self.folder,
                fresh.as_str(),
                &*self.folder,
                name,
            )?)
        });
        if outcome.is_err() {
            let _ = unlinkat(&*self.folder, fresh.as_str(), UnlinkatFlags::NoRemoveDir);
        }
        outcome
            .map(|()| true)
            .map_err(|error| WriteError::new("write", &path, error))
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        // Left by one of us that was killed: the lock says that nobody writes it now.
        let _ = unlinkat(&*self.folder, name, UnlinkatFlags::NoRemoveDir);
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut file = File::from(openat(&*self.folder, name, flags, MODE)?);
        file.write_all(content)?;
        // Whatever the umask is.
        fchmod(&file, MODE)?;
        file.sync_all()
    }

    fn holds(&self, name: &str, content: &[u8]) -> bool {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let Ok(file) = openat(&*self.folder, name, flags, Mode::empty()).map(File::from) else {
            return false;
        };
        let most = u64::try_from(content.len()).unwrap_or(u64::MAX);
        let mut there = Vec::with_capacity(content.len());
        let read = file.take(most.saturating_add(1)).read_to_end(&mut there);
        read.is_ok() && there == content
    }

    /// What stands under `name` itself, no link followed.
    fn kind_of(&self, name: &str) -> Option<SFlag> {
        let stat = fstatat(&*self.folder, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
        Some(SFlag::from_bits_truncate(
            stat.st_mode & SFlag::S_IFMT.bits(),
        ))
    }

    /// Whether it was there. Only regular files: we write no others.
    fn remove(&self, name: &str) -> Result<bool, WriteError> {
        if self.kind_of(name) != Some(SFlag::S_IFREG) {
            return Ok(false);
        }
        match unlinkat(&*self.folder, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(WriteError::new("remove", &self.path.join(name), errno)),
        }
    }
}

/// Whether a file is one of ours, finished or not.
pub(super) fn is_ours(name: &str) -> bool {
    let name_of_ours = name.strip_prefix('.').unwrap_or(name);
    name_of_ours.starts_with(FILE_PREFIX)
        && (is_spec(name) || (name.starts_with('.') && name.ends_with(".tmp")))
}

fn is_spec(name: &str) -> bool {
    name.starts_with(FILE_PREFIX) && name.ends_with(".json")
}

#[cfg(test)]
mod tests;
