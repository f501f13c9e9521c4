//! The root of a driver's installation: its own file system, the host's names in front.

use super::super::{DriverFilesError, Search};
use dunnage_host::{HostRoot, Located};
use std::path::{Path, PathBuf};

/// The driver root, opened.
pub(super) struct Place {
    /// The driver's files, with the driver root as `/`: links stay inside it.
    pub(super) inside: HostRoot,
    /// The driver root as the host names it.
    root: PathBuf,
}

impl Place {
    pub(super) fn open(host: &HostRoot, search: &Search) -> Result<Place, DriverFilesError> {
        let failed = |source| DriverFilesError::Root {
            root: search.driver_root.clone(),
            source,
        };
        let located = host.locate(&search.driver_root).map_err(failed)?;
        if !located.metadata.is_dir() {
            return Err(failed(std::io::ErrorKind::NotADirectory.into()));
        }
        let inside = if located.path == Path::new("/") {
            host.clone()
        } else {
            HostRoot::new(host.path(&located.path))
        };
        Ok(Place {
            inside,
            root: located.path,
        })
    }

    /// What `path` of the driver root leads to; `None` where it leads nowhere, to a folder, or to a
    /// name that cannot be written into a specification.
    pub(super) fn file(&self, path: impl AsRef<Path>) -> Option<Located> {
        let located = self.inside.locate(path).ok()?;
        (!located.metadata.is_dir() && is_plain(&located.path)).then_some(located)
    }

    /// A path of the driver root as the host names it.
    pub(super) fn on_host(&self, path: &Path) -> PathBuf {
        match path.strip_prefix("/") {
            Ok(relative) if self.root != Path::new("/") => self.root.join(relative),
            _ => path.to_path_buf(),
        }
    }

    /// The driver root as the host names it.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}

/// Whether a path is text without control characters: names of files are whatever somebody made them.
fn is_plain(path: &Path) -> bool {
    path.to_str()
        .is_some_and(|text| !text.chars().any(char::is_control))
}
