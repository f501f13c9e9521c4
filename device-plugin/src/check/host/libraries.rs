//! The driver's libraries on the host: where they are and what they offer. Only the tables of a
//! library are read, never the whole file.

use super::HostFacts;
use crate::check::facts::elf::{self, OnDisk};
use crate::check::facts::names;
use crate::check::machine;
use crate::check::version::Version;
use dunnage_host::HostRoot;
use dunnage_inventory::driver_files::libraries;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Entries of a folder that are looked at.
const ENTRIES: usize = 65_536;

/// One library of the driver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostLibrary {
    /// Where it really is.
    pub path: String,
    /// The version in its file's name.
    pub version: Option<Version>,
    /// `e_machine`.
    pub machine: Option<u16>,
    /// The newest glibc that it asks for.
    pub glibc: Option<Version>,
    /// The driver's symbols that it has.
    pub exported: BTreeSet<String>,
    /// The versions that it defines.
    pub defines: BTreeSet<String>,
    /// It could not be read as a library.
    pub incomplete: bool,
    /// It is shorter than it says: nothing can load it.
    pub cut: bool,
}

/// Looks for `wanted` below `root`, a folder of the host that the driver is installed in (`/`).
pub(super) fn read(host: &HostRoot, root: &Path, wanted: &BTreeSet<String>, facts: &mut HostFacts) {
    let folders = folders(host, root, facts.machine);
    let names = folders.iter().map(|folder| folder.to_string_lossy());
    facts.searched = names.collect::<Vec<_>>().join(":");
    let module = facts
        .nvidia_module
        .as_ref()
        .map(|module| module.text.clone());
    // What the linker of the host itself finds comes first; a driver below another root has none.
    let linked = (root == Path::new("/")).then(|| libraries(host));
    let of_linker = |soname: &str| {
        let path = &linked.as_ref()?.find(soname)?.path;
        let file = host.locate(path).ok()?.metadata.is_file();
        file.then(|| path.clone())
    };
    for soname in wanted {
        if let Some(path) =
            of_linker(soname).or_else(|| find(host, &folders, soname, module.as_deref()))
            && let Some(library) = look(host, &path)
        {
            facts.libraries.insert(soname.clone(), library);
        }
    }
}

/// The folders that hold a driver's libraries in the distributions.
fn folders(host: &HostRoot, root: &Path, machine: u16) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let mut below = |folder: String| {
        let folder = root.join(folder);
        if host.locate(&folder).is_ok() {
            folders.push(folder);
        }
    };
    if let Some(triplet) = machine::triplet(machine) {
        for base in ["usr/lib", "lib"] {
            below(format!("{base}/{triplet}"));
            below(format!("{base}/{triplet}/nvidia/current"));
        }
        // Debian keeps several branches beside each other.
        let others = root.join(format!("usr/lib/{triplet}/nvidia"));
        let (names, _) = host.entries(&others, 64).unwrap_or_default();
        for name in names.iter().filter_map(|name| name.to_str()) {
            below(format!("usr/lib/{triplet}/nvidia/{name}"));
        }
    }
    for folder in [
        "usr/lib64",
        "lib64",
        "usr/lib",
        "usr/lib/wsl/lib",
        "run/opengl-driver/lib",
    ] {
        below(folder.to_owned());
    }
    folders
}

/// The library by its own name, else by the name of its file, as packages have it whose links are made
/// only at installation.
fn find(
    host: &HostRoot,
    folders: &[PathBuf],
    soname: &str,
    module: Option<&str>,
) -> Option<PathBuf> {
    let is_file = |path: &PathBuf| {
        host.locate(path)
            .is_ok_and(|found| found.metadata.is_file())
    };
    let stem = soname.split(".so").next()?;
    let exact = |name: String| {
        folders
            .iter()
            .map(|folder| folder.join(&name))
            .find(is_file)
    };
    exact(soname.to_owned())
        .or_else(|| exact(format!("{stem}.so.{}", module?)))
        .or_else(|| {
            folders.iter().find_map(|folder| {
                let (names, _) = host.entries(folder, ENTRIES).ok()?;
                let versioned = names.iter().filter_map(|name| name.to_str()).find(|name| {
                    let version = name
                        .strip_prefix(stem)
                        .and_then(|rest| rest.strip_prefix(".so."));
                    version
                        .and_then(Version::parse)
                        .is_some_and(|version| version.len() >= 2)
                })?;
                Some(folder.join(versioned)).filter(is_file)
            })
        })
}

fn look(host: &HostRoot, path: &Path) -> Option<HostLibrary> {
    let located = host.locate(path).ok()?;
    let file = host.open(path).ok()?;
    let name = located.path.file_name()?.to_str()?;
    let mut library = HostLibrary {
        path: located.path.to_string_lossy().into_owned(),
        version: names::version_in(name).filter(|version| version.len() >= 2),
        ..HostLibrary::default()
    };
    let length = located.metadata.len();
    let file = OnDisk(&file);
    let Some(head) = elf::head(&file) else {
        library.incomplete = true;
        return Some(library);
    };
    let dynamic = elf::dynamic(&file, &head, &names::is_driver_symbol);
    library.machine = Some(head.machine);
    library.cut = head.segments.iter().any(|segment| {
        let end = segment.offset.checked_add(segment.size);
        segment.kind == elf::LOAD && end.is_none_or(|end| end > length)
    });
    library.incomplete = library.cut || dynamic.incomplete || dynamic.soname.is_none();
    library.glibc = dynamic
        .wants
        .iter()
        .filter_map(|(_, version)| Version::parse(version.strip_prefix("GLIBC_")?))
        .max();
    library.exported = dynamic.exported.into_iter().collect();
    library.defines = dynamic.defines.into_iter().collect();
    Some(library)
}
