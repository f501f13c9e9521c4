//! Where NVIDIA's management library is.

use dunnage_host::HostRoot;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use std::path::{Path, PathBuf};

/// The soname.
const NAME: &str = "libnvidia-ml.so.1";

/// Folders of driver libraries below a root, for the dynamic linker's search does not cover a root
/// that is not the program's own, nor a driver in a container.
const FOLDERS: &[&str] = &[
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu/nvidia/current",
    "/usr/lib/aarch64-linux-gnu/nvidia/current",
    "/lib64",
    "/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib",
    // NixOS, Google's container-optimised system, WSL.
    "/run/opengl-driver/lib",
    "/home/kubernetes/bin/nvidia/lib64",
    "/usr/lib/wsl/lib",
];

/// Roots below the host's in which a driver may be installed as a whole: NVIDIA's driver container.
const ROOTS: &[&str] = &["/", "/run/nvidia/driver"];

/// The library to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Library(pub(crate) PathBuf);

impl Library {
    /// The library of this host. `None` where the host is only a copy of files: the library would
    /// speak of the machine that it runs on. A root whose `/proc` is the kernel's is a machine.
    pub(crate) fn of(host: &HostRoot) -> Option<Library> {
        if host.is_own() {
            // The dynamic linker knows the folders of its cache, which may be any others.
            return Some(below(host, ROOTS).unwrap_or_else(|| Library(PathBuf::from(NAME))));
        }
        let version = host.open("/proc/version").ok()?;
        let kernels = fstatfs(&version).ok()?.filesystem_type() == PROC_SUPER_MAGIC;
        kernels.then(|| below(host, ROOTS))?
    }
}

fn below(host: &HostRoot, roots: &[&str]) -> Option<Library> {
    roots.iter().find_map(|root| {
        FOLDERS.iter().find_map(|folder| {
            let inside = Path::new(root).join(folder.trim_start_matches('/'));
            let located = host.locate(inside.join(NAME)).ok()?;
            let library = located.metadata.is_file();
            library.then(|| Library(host.path(located.path)))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_files_is_not_asked() {
        let dir = tempfile::tempdir().unwrap();
        let lib = dir.path().join("usr/lib64");
        std::fs::create_dir_all(&lib).unwrap();
        std::fs::create_dir_all(dir.path().join("proc")).unwrap();
        std::fs::write(lib.join(NAME), "no library").unwrap();
        std::fs::write(dir.path().join("proc/version"), "Linux\n").unwrap();
        let host = HostRoot::new(dir.path());
        assert_eq!(Library::of(&host), None);
        assert_eq!(below(&host, ROOTS), Some(Library(lib.join(NAME))));
        assert!(Library::of(&HostRoot::default()).is_some());
    }

    #[test]
    fn a_driver_container_is_found_and_a_link_out_of_the_root_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let lib = dir.path().join("run/nvidia/driver/usr/lib64");
        let outside = dir.path().join("usr/lib64");
        std::fs::create_dir_all(&lib).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        std::os::unix::fs::symlink("/bin/sh", outside.join(NAME)).unwrap();
        std::fs::write(lib.join("libnvidia-ml.so.535.1"), "").unwrap();
        std::os::unix::fs::symlink("libnvidia-ml.so.535.1", lib.join(NAME)).unwrap();
        let found = below(&HostRoot::new(dir.path()), ROOTS);
        assert_eq!(found, Some(Library(lib.join("libnvidia-ml.so.535.1"))));
    }
}
