//! The files of NVIDIA's driver: the same that `nvidia-ctk cdi generate` lists, found in the same
//! places (version 1.20.1 of the NVIDIA Container Toolkit, `pkg/nvcdi` and `internal/discover`).
//!
//! The version is the suffix of `libcuda.so.*.*`; whatever has the same suffix belongs to the driver.
//! Two things differ on purpose. Every folder that holds a library of that version counts, not only
//! those of the first place that has one (Debian's branches beside the current one are spread over two
//! folders). And where several versions lie on the disk, the one that the kernel has loaded is taken.

mod library;
mod other;
mod place;

use super::{DriverFile, DriverFiles, DriverFilesError, Search};
use dunnage_host::HostRoot;
use place::Place;
use std::collections::BTreeSet;

/// Finds the files of the driver below `search.driver_root` of `host`.
///
/// # Errors
/// Where the driver root is not there, or no library tells which driver is installed.
pub fn find(host: &HostRoot, search: &Search) -> Result<DriverFiles, DriverFilesError> {
    let place = Place::open(host, search)?;
    let mut gaps = Vec::new();
    let loaded = host.fact("/sys/module/nvidia/version");
    let places = library::places(&place, &mut gaps);
    let version = library::version(&place, &places, loaded.as_deref(), &mut gaps)?;
    let (machine, library_directories, libraries) =
        library::libraries(&place, &places, &version, &mut gaps);
    let mut files = libraries;
    files.extend(library::xorg_modules(
        &place,
        &library_directories,
        &version,
    ));
    files.extend(other::binaries(&place));
    files.extend(other::firmware(host, &place, &version));
    files.extend(other::sockets(&place));
    files.extend(other::configuration(&place));
    Ok(DriverFiles {
        version,
        machine,
        library_directories,
        files: once_each(files),
        gaps,
    })
}

/// Two files cannot lie at one place of a container; the first that was found does.
fn once_each(files: Vec<DriverFile>) -> Vec<DriverFile> {
    let mut taken = BTreeSet::new();
    files
        .into_iter()
        .filter(|file| taken.insert(file.container_path.clone()))
        .collect()
}

#[cfg(test)]
mod tests;
