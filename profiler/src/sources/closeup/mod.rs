//! One party read closely: the limits of its cgroup and of every parent, how often each was met,
//! the context switches of its tasks, and what the machine's files show inside.
//!
//! For `dunnage why`, which looks at one party; too much for all of them.

mod levels;
mod tasks;
mod view;

use super::cgroup::{CgroupError, Mounts};
use crate::host::HostRoot;
use dunnage_model::observation::{CloseReading, CloseUp};

/// Reads one party.
#[derive(Debug)]
pub struct CloseReader {
    root: HostRoot,
    mounts: Mounts,
    /// Its cgroup's path, with the slash in front.
    cgroup: String,
}

impl CloseReader {
    /// A reader of the party whose cgroup is `cgroup`, as the host's cgroup root shows it.
    ///
    /// # Errors
    /// Where the host shows no cgroups.
    pub fn open(root: &HostRoot, cgroup: &str) -> Result<CloseReader, CgroupError> {
        Ok(CloseReader {
            root: root.clone(),
            mounts: Mounts::discover(root)?,
            cgroup: cgroup.to_owned(),
        })
    }

    /// The party as it is now.
    #[must_use]
    pub fn read(&self) -> CloseReading {
        CloseReading {
            levels: levels::read(&self.mounts, &self.cgroup),
            tasks: tasks::read(&self.root, &self.mounts, &self.cgroup),
            memory_available: view::memory_available(&self.root),
        }
    }

    /// The window that began with `before` and ends now.
    #[must_use]
    pub fn close(&self, before: CloseReading) -> CloseUp {
        CloseUp {
            before,
            after: self.read(),
            view: view::read(&self.root, &self.mounts, &self.cgroup),
        }
    }
}
