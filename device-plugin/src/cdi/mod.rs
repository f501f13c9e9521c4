//! The Container Device Interface: names, files, and keeping them fresh.

mod fresh;
mod gone;
pub mod names;
mod others;
pub mod spec;
mod write;

pub use fresh::{FreshError, Keeper, Round};
pub use names::qualified_name;
pub use spec::{Spec, specs};
pub use write::{Report, Store, Withheld, WriteError};

use dunnage_host::HostRoot;
use std::path::{Path, PathBuf};

/// The folder for specifications that are made by a program, of `host`: `/var/run/cdi`, with the links
/// on its way resolved inside the host root (`/var/run` is one to `/run`).
///
/// Of the two folders that engines read it is the one that is empty after a start of the machine, so
/// that nothing in it outlives the hardware that it tells of, and the one that counts where `/etc/cdi`
/// names the same device.
#[must_use]
pub fn default_directory(host: &HostRoot) -> PathBuf {
    let run = host
        .locate("/var/run")
        .map_or_else(|_| PathBuf::from("/run"), |located| located.path);
    host.path(run.join(Path::new("cdi")))
}
