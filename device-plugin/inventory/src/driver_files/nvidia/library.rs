//! The driver's libraries: where they are, which version they are, by which names they are asked for.

use super::super::elf::{self, Machine, is_file_name};
use super::super::libraries::NAMES_LIMIT;
use super::super::{DriverFile, DriverFilesError, FileKind, ld_cache};
use super::place::Place;
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where distributions put the driver's libraries.
const DIRECTORIES: &[&str] = &[
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu/nvidia/current",
    "/usr/lib/aarch64-linux-gnu/nvidia/current",
    "/lib64",
    "/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/lib/x86_64-linux-gnu/nvidia/current",
    "/lib/aarch64-linux-gnu/nvidia/current",
    // A driver root may be no more than a folder of libraries.
    "/",
];

/// Libraries of the driver that have versions of their own: for them any `.so.X.Y` counts.
const OTHER_VERSIONS: &[&str] = &[
    "libnvidia-egl-gbm.so.",
    "libnvidia-egl-wayland.so.",
    "libnvidia-egl-wayland2.so.",
    "libnvidia-egl-xcb.so.",
    "libnvidia-egl-xlib.so.",
    // The compiler behind the JIT: branch 470 has it as libnvidia-nvvm.so.4.0.0.
    "libnvidia-nvvm.so.",
    "libnvidia-nvvm70.so.",
];

/// The libraries that tell the driver's version, the better witness first.
const WITNESSES: &[&str] = &["libcuda.so.", "libnvidia-ml.so."];

/// The most libraries that a driver has; real ones have about fifty.
const LIBRARIES_LIMIT: usize = 512;

/// A folder and the names in it.
pub(super) struct Folder {
    path: PathBuf,
    names: Vec<String>,
}

/// The folders that may hold the driver's libraries: those where distributions put them, then those
/// to which `ld.so.cache` leads. No folder twice, whatever it is called.
pub(super) fn places(place: &Place, gaps: &mut Vec<Gap>) -> Vec<Folder> {
    let host = &place.inside;
    let mut candidates: Vec<PathBuf> = DIRECTORIES.iter().map(PathBuf::from).collect();
    match ld_cache::read(host) {
        Ok(entries) => candidates.extend(cached(host, &entries)),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => gaps.push(Gap::new(
            place
                .on_host(Path::new(ld_cache::PATH))
                .display()
                .to_string(),
            format!("cannot be read: {error}; libraries outside the usual folders are not found"),
        )),
    }
    let mut seen = BTreeSet::new();
    let mut folders = Vec::new();
    for candidate in candidates {
        let Ok(located) = host.locate(&candidate) else {
            continue;
        };
        if located.metadata.is_dir() && seen.insert(located.path.clone()) {
            folders.extend(listed(place, located.path, gaps));
        }
    }
    folders
}

/// The folders of the libraries in the cache that look like the driver's, links followed.
fn cached(host: &HostRoot, entries: &[ld_cache::Entry]) -> Vec<PathBuf> {
    let of_driver = |name: &str| {
        name.contains("nvidia") || name.starts_with("libcuda.") || name.starts_with("libnv")
    };
    entries
        .iter()
        .filter(|entry| entry.is_64_bit() && of_driver(&entry.name))
        .take(LIBRARIES_LIMIT)
        .filter_map(|entry| host.locate(&entry.path).ok())
        .filter_map(|located| Some(located.path.parent()?.to_path_buf()))
        .collect()
}

/// The libraries among the names in a folder.
fn listed(place: &Place, path: PathBuf, gaps: &mut Vec<Gap>) -> Option<Folder> {
    let (names, more) = place.inside.entries(&path, NAMES_LIMIT).ok()?;
    if more {
        gaps.push(Gap::new(
            place.on_host(&path).display().to_string(),
            format!("has more than {NAMES_LIMIT} files; libraries among the rest are not found"),
        ));
    }
    let names = names
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.contains(".so") && is_file_name(name))
        .collect();
    Some(Folder { path, names })
}

/// The driver's version: that of the loaded kernel module where its libraries are there, else the
/// first that is found.
pub(super) fn version(
    place: &Place,
    folders: &[Folder],
    loaded: Option<&str>,
    gaps: &mut Vec<Gap>,
) -> Result<String, DriverFilesError> {
    let mut found: Vec<&str> = Vec::new();
    for witness in WITNESSES {
        for folder in folders {
            for name in &folder.names {
                let version = name.strip_prefix(witness).filter(|text| is_version(text));
                let there = |version: &&str| {
                    !found.contains(version) && place.file(folder.path.join(name)).is_some()
                };
                if let Some(version) = version.filter(there) {
                    found.push(version);
                }
            }
        }
    }
    let Some(first) = found.first() else {
        return Err(DriverFilesError::NoDriver {
            root: place.root().to_path_buf(),
            looked: looked(folders),
        });
    };
    let chosen = found.iter().find(|version| Some(**version) == loaded);
    if let (Some(loaded), None) = (loaded, chosen) {
        gaps.push(Gap::new(
            "NVIDIA driver",
            format!(
                "the kernel has loaded version {}, the libraries are of {first}: they refuse to work \
                 together; load the module of {first} (reboot) or install the libraries of the other",
                loaded.escape_debug()
            ),
        ));
    } else if chosen.is_none() && found.len() > 1 {
        gaps.push(Gap::new(
            "NVIDIA driver",
            format!(
                "there are libraries of versions {}, and no kernel module is loaded that tells which; \
                 {first} was taken",
                found.join(", ")
            ),
        ));
    }
    Ok((*chosen.unwrap_or(first)).to_owned())
}

fn looked(folders: &[Folder]) -> String {
    if folders.is_empty() {
        return "the usual folders, of which none is there".to_owned();
    }
    let paths: Vec<_> = folders
        .iter()
        .take(16)
        .map(|folder| folder.path.display().to_string())
        .collect();
    paths.join(", ")
}

/// `535.261.03`: numbers with dots between, at least two, and not endless.
fn is_version(text: &str) -> bool {
    text.len() <= 32
        && text.contains('.')
        && text
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The libraries of `version`, the folders that hold them, and their processor.
pub(super) fn libraries(
    place: &Place,
    folders: &[Folder],
    version: &str,
    gaps: &mut Vec<Gap>,
) -> (Machine, Vec<PathBuf>, Vec<DriverFile>) {
    let suffix = format!(".so.{version}");
    let of_version = |name: &str| name.ends_with(&suffix);
    let of_other_version = |name: &str| {
        OTHER_VERSIONS
            .iter()
            .filter_map(|prefix| name.strip_prefix(prefix))
            .any(is_version)
    };
    let mut found = Found::default();
    for folder in folders {
        let before = found.files.len();
        for name in folder.names.iter().filter(|name| of_version(name)) {
            found.add(place, &folder.path, name, &folder.names, version);
        }
        // The modules of VDPAU lie in a folder of their own below the libraries.
        let vdpau = folder.path.join("vdpau");
        if let Some(modules) = listed(place, vdpau, gaps) {
            for name in modules.names.iter().filter(|name| of_version(name)) {
                found.add(place, &modules.path, name, &modules.names, version);
            }
        }
        if found.files.len() > before {
            found.directories.push(folder.path.clone());
        }
        for name in folder.names.iter().filter(|name| of_other_version(name)) {
            found.add(place, &folder.path, name, &folder.names, version);
        }
    }
    if found.files.len() == LIBRARIES_LIMIT {
        gaps.push(Gap::new(
            "NVIDIA driver",
            format!("has {LIBRARIES_LIMIT} libraries or more; the rest was left out"),
        ));
    }
    let machine = found.machine.unwrap_or(Machine::X86_64);
    (machine, found.directories, found.files)
}

#[derive(Default)]
struct Found {
    machine: Option<Machine>,
    directories: Vec<PathBuf>,
    files: Vec<DriverFile>,
    taken: BTreeSet<PathBuf>,
}

impl Found {
    fn add(&mut self, place: &Place, folder: &Path, name: &str, beside: &[String], version: &str) {
        let located = place.file(folder.join(name));
        // A file that vanished since the listing belongs to a driver that is being swapped.
        let Some(located) = located.filter(|located| located.metadata.is_file()) else {
            return;
        };
        if self.files.len() >= LIBRARIES_LIMIT || !self.taken.insert(located.path.clone()) {
            return;
        }
        let library = elf::library(&place.inside, &located.path);
        let machine = library.as_ref().map(|library| library.machine);
        // One container has one processor: libraries of another are not the driver's.
        if machine.is_some() && self.machine.is_some() && machine != self.machine {
            return;
        }
        self.machine = self.machine.or(machine);
        let soname = library.and_then(|library| library.soname);
        self.files.push(DriverFile {
            kind: FileKind::Library,
            host_path: place.on_host(&located.path),
            links: links(name, soname.as_deref(), beside, version),
            container_path: folder.join(name),
        });
    }
}

/// The further names of a library: its soname; the bare `.so` where the host has it; and those few
/// that programs expect although the host may lack them.
fn links(name: &str, soname: Option<&str>, beside: &[String], version: &str) -> Vec<PathBuf> {
    let bare = name.split_once(".so").map(|(stem, _)| format!("{stem}.so"));
    let mut links = BTreeSet::new();
    links.extend(soname.map(PathBuf::from));
    links.extend(bare.filter(|bare| beside.contains(bare)).map(PathBuf::from));
    let more = match name.strip_suffix(version).unwrap_or_default() {
        // Many programs load it without the number.
        "libcuda.so." => Some("libcuda.so"),
        "libnvidia-opticalflow.so." => Some("libnvidia-opticalflow.so"),
        // GLVND asks for it when a display is on another host.
        "libGLX_nvidia.so." => Some("libGLX_indirect.so.0"),
        // libgbm takes the driver's name from the kernel, and the module's from the driver's.
        "libnvidia-allocator.so." => Some("gbm/nvidia-drm_gbm.so"),
        "libnvidia-vulkan-producer.so." => Some("libnvidia-vulkan-producer.so"),
        "libglxserver_nvidia.so." => Some("libglxserver_nvidia.so"),
        _ => None,
    };
    links.extend(more.map(PathBuf::from));
    links.remove(Path::new(name));
    links.into_iter().collect()
}

/// The driver's modules for the X server: they stay where the host has them, because its
/// configuration names the folder.
pub(super) fn xorg_modules(
    place: &Place,
    library_directories: &[PathBuf],
    version: &str,
) -> Vec<DriverFile> {
    const MODULES: &[&str] = &[
        "modules/drivers",
        "modules/extensions",
        "modules/updates/drivers",
        "modules/updates/extensions",
    ];
    let mut folders = Vec::new();
    for library in library_directories {
        folders.push(library.join("nvidia/xorg"));
        folders.extend(
            MODULES
                .iter()
                .map(|module| library.join("xorg").join(module)),
        );
    }
    for base in [
        "/usr/lib/xorg",
        "/usr/lib64/xorg",
        "/usr/X11R6/lib",
        "/usr/X11R6/lib64",
    ] {
        folders.extend(MODULES.iter().map(|module| Path::new(base).join(module)));
    }
    let extension = format!("libglxserver_nvidia.so.{version}");
    ["nvidia_drv.so", &extension]
        .into_iter()
        .filter_map(|name| {
            folders.iter().find_map(|folder| {
                let path = folder.join(name);
                let located = place.file(&path)?;
                Some(DriverFile {
                    kind: FileKind::XorgModule,
                    host_path: place.on_host(&located.path),
                    container_path: path,
                    links: links(name, None, &[], version),
                })
            })
        })
        .collect()
}
