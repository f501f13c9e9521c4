//! Folders of links that are prepared on the host and mounted read-only: the container sees real
//! symbolic links, which neither a CDI file nor a `--device` line can make.
//!
//! A folder is named by its content, so it never changes once it is there: whoever mounted it keeps
//! what was promised, and two programs that prepare the same one agree.

use super::edits::Mount;
use dunnage_host::HostRoot;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A folder of links, and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFolder {
    /// Where it is on the host, as the host names it.
    pub host_path: PathBuf,
    /// Where it is mounted.
    pub container_path: PathBuf,
    /// Names and what they point to.
    pub links: BTreeMap<String, String>,
}

/// Why a folder of links could not be made.
#[derive(Debug, thiserror::Error)]
#[error("make the folder of links {path}: {source}; the container goes without its by-path links")]
pub struct LinksError {
    path: PathBuf,
    source: io::Error,
}

impl LinkFolder {
    /// A folder below `parent`, named by what is in it.
    pub(super) fn new(
        parent: &Path,
        container_path: &Path,
        links: BTreeMap<String, String>,
    ) -> LinkFolder {
        let mut hash = Sha256::new();
        for (name, target) in &links {
            hash.update(name.as_bytes());
            hash.update([0]);
            hash.update(target.as_bytes());
            hash.update([0]);
        }
        let mut name = String::from("by-path-");
        for byte in &hash.finalize()[..8] {
            // Writing to a string does not fail.
            let _ = write!(name, "{byte:02x}");
        }
        LinkFolder {
            host_path: parent.join(name),
            container_path: container_path.to_path_buf(),
            links,
        }
    }

    /// The mount that shows it in the container.
    #[must_use]
    pub fn mount(&self) -> Mount {
        Mount {
            host_path: self.host_path.clone(),
            container_path: self.container_path.clone(),
            options: vec!["ro", "nosuid", "nodev", "noexec", "rbind", "rprivate"],
        }
    }

    /// Makes the folder on the host where it is missing or not as it should be; it appears, or is
    /// exchanged, in one step.
    ///
    /// # Errors
    /// As mkdir(2), symlink(2) and rename(2).
    pub fn make(&self, host: &HostRoot) -> Result<(), LinksError> {
        self.try_make(&host.path(&self.host_path))
            .map_err(|source| LinksError {
                path: self.host_path.clone(),
                source,
            })
    }

    fn try_make(&self, path: &Path) -> io::Result<()> {
        if self.is_at(path) {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent)?;
        let fresh = parent.join(format!(
            ".{}.{}",
            path.file_name().unwrap_or_default().to_string_lossy(),
            std::process::id()
        ));
        // Left by a process of this number that was killed.
        let _ = fs::remove_dir_all(&fresh);
        let outcome = self.fill(&fresh).and_then(|()| put(&fresh, path));
        let _ = fs::remove_dir_all(&fresh);
        // Another program may have been first with the same content.
        if self.is_at(path) { Ok(()) } else { outcome }
    }

    fn fill(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir(folder)?;
        for (name, target) in &self.links {
            symlink(target, folder.join(name))?;
        }
        // Whatever the umask is, a container's user must be able to look.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
    }

    fn is_at(&self, path: &Path) -> bool {
        let Ok(entries) = fs::read_dir(path) else {
            return false;
        };
        if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink()) {
            return false;
        }
        let mut found = 0_usize;
        for entry in entries.take(self.links.len() + 1) {
            let Ok(entry) = entry else { return false };
            let right = entry
                .file_name()
                .to_str()
                .and_then(|name| self.links.get(name))
                .is_some_and(|target| {
                    fs::read_link(entry.path()).is_ok_and(|is| is == Path::new(target))
                });
            if !right {
                return false;
            }
            found += 1;
        }
        found == self.links.len()
    }
}

/// Moves a folder to its place, or exchanges it with what is there.
fn put(fresh: &Path, path: &Path) -> io::Result<()> {
    match fs::rename(fresh, path) {
        Ok(()) => Ok(()),
        Err(_) if path.symlink_metadata().is_ok() => Ok(renameat2(
            AT_FDCWD,
            fresh,
            AT_FDCWD,
            path,
            RenameFlags::RENAME_EXCHANGE,
        )?),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(parent: &Path) -> LinkFolder {
        let links = BTreeMap::from([("pci-a-render".to_owned(), "../renderD128".to_owned())]);
        LinkFolder::new(parent, Path::new("/dev/dri/by-path"), links)
    }

    #[test]
    fn a_folder_is_made_once_and_repaired_when_it_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let host = HostRoot::new(dir.path());
        let folder = folder(Path::new("/var/lib/links"));
        folder.make(&host).unwrap();
        let at = host.path(&folder.host_path);
        let link = at.join("pci-a-render");
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("../renderD128"));
        let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
        let before = inode(&at);
        folder.make(&host).unwrap();
        assert_eq!(inode(&at), before, "it is left alone while it is right");

        fs::write(at.join("planted"), "x").unwrap();
        folder.make(&host).unwrap();
        assert!(!at.join("planted").exists());
        fs::remove_dir_all(&at).unwrap();
        symlink("/etc", &at).unwrap();
        folder.make(&host).unwrap();
        assert!(!fs::symlink_metadata(&at).unwrap().is_symlink());
        let left: Vec<_> = fs::read_dir(at.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing half made stays: {left:?}");
    }

    #[test]
    fn another_content_is_another_folder() {
        let one = folder(Path::new("/l"));
        let links = BTreeMap::from([("pci-b-render".to_owned(), "../renderD128".to_owned())]);
        let other = LinkFolder::new(Path::new("/l"), Path::new("/dev/dri/by-path"), links);
        assert_ne!(one.host_path, other.host_path);
    }
}
