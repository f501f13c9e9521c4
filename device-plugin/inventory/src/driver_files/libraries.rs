//! The shared libraries of the host by name: what the dynamic linker would find.

use super::elf::is_file_name;
use super::ld_cache;
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The folders that glibc searches without being told (Debian's multiarch, and the others).
pub(super) const DEFAULT_DIRECTORIES: &[&str] = &[
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];

/// The most names that are taken of one folder; a desktop's largest has some ten thousand.
pub(super) const NAMES_LIMIT: usize = 65_536;

/// A library as the linker finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLibrary {
    /// Where it is, as the host names it; as a rule a link to the file.
    pub path: PathBuf,
    /// Whether it came from `ld.so.cache`; else from a default folder.
    pub cached: bool,
}

/// The host's libraries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Libraries {
    /// By the name that programs ask for (`libcuda.so.1`), in the order of the linker's search.
    pub by_name: BTreeMap<String, Vec<HostLibrary>>,
    /// What could not be read, and why.
    pub gaps: Vec<Gap>,
}

impl Libraries {
    /// The library that the linker takes for `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&HostLibrary> {
        self.by_name.get(name)?.first()
    }
}

/// The 64-bit libraries that the host's dynamic linker finds: those of `ld.so.cache`, then those in the
/// default folders.
///
/// Nothing is opened but the cache and the folders; whether a name leads anywhere is for the caller
/// to see ([`HostRoot::locate`]). A driver below another root is asked with a [`HostRoot`] of that root.
#[must_use]
pub fn libraries(host: &HostRoot) -> Libraries {
    let mut found = Libraries::default();
    match ld_cache::read(host) {
        Ok(entries) => {
            for entry in entries.into_iter().filter(ld_cache::Entry::is_64_bit) {
                found.add(entry.name, entry.path, true);
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => found.gaps.push(Gap::new(
            ld_cache::PATH,
            format!("cannot be read: {error}; the default folders alone were searched"),
        )),
    }
    for directory in DEFAULT_DIRECTORIES {
        found.add_directory(host, Path::new(directory));
    }
    found
}

impl Libraries {
    fn add_directory(&mut self, host: &HostRoot, directory: &Path) {
        let Ok((names, more)) = host.entries(directory, NAMES_LIMIT) else {
            return;
        };
        if more {
            self.gaps.push(Gap::new(
                directory.display().to_string(),
                format!("has more than {NAMES_LIMIT} files; the rest was not looked at"),
            ));
        }
        for name in names.into_iter().filter_map(|name| name.into_string().ok()) {
            if name.contains(".so") && is_file_name(&name) {
                self.add(name.clone(), directory.join(name), false);
            }
        }
    }

    fn add(&mut self, name: String, path: PathBuf, cached: bool) {
        let of_name = self.by_name.entry(name).or_default();
        if !of_name.iter().any(|library| library.path == path) {
            of_name.push(HostLibrary { path, cached });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_library_of_the_own_host_is_found_by_name() {
        let found = libraries(&HostRoot::default());
        let libc = found.find("libc.so.6").map(|library| library.path.clone());
        // A host of musl has none; where glibc runs, its library is found.
        if Path::new("/lib64/ld-linux-x86-64.so.2").exists() {
            assert!(libc.is_some_and(|path| path.ends_with("libc.so.6")));
        }
    }

    #[test]
    fn default_folders_serve_where_there_is_no_cache() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("usr/lib/x86_64-linux-gnu");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("libcuda.so.1"), "").unwrap();
        fs::write(folder.join("README"), "").unwrap();
        fs::write(folder.join("lib\nx.so"), "").unwrap();
        let found = libraries(&HostRoot::new(dir.path()));
        assert_eq!(found.by_name.len(), 1);
        let cuda = found.find("libcuda.so.1").unwrap();
        assert_eq!(
            cuda.path,
            Path::new("/usr/lib/x86_64-linux-gnu/libcuda.so.1")
        );
        assert!(!cuda.cached);
        assert!(found.gaps.is_empty());
    }

    #[test]
    fn a_broken_cache_is_a_gap() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("etc/ld.so.cache"), "rubbish").unwrap();
        let found = libraries(&HostRoot::new(dir.path()));
        assert!(found.by_name.is_empty());
        assert_eq!(found.gaps.len(), 1);
    }
}
