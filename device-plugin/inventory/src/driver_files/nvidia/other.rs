//! What belongs to the driver and is no library: programs, firmware, sockets, configuration.

use super::super::elf::is_file_name;
use super::super::{DriverFile, FileKind};
use super::place::Place;
use dunnage_host::{HostRoot, Located};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where programs are, as an interactive root has it in PATH.
const PROGRAM_DIRECTORIES: &[&str] = &[
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

const PROGRAMS: &[&str] = &[
    "nvidia-smi",
    "nvidia-debugdump",
    "nvidia-persistenced",
    "nvidia-cuda-mps-control",
    "nvidia-cuda-mps-server",
    "nvidia-imex",
    "nvidia-imex-ctl",
    "nvidia-xconfig",
];

/// Sockets below `/run`. The pipes of the multi-process service in `/tmp/nvidia-mps` are none: who has
/// them can stop the service for everybody.
const SOCKETS: &[&str] = &["nvidia-persistenced/socket", "nvidia-fabricmanager/socket"];

/// Below `/usr/share` in a container.
const SHARED_CONFIGURATION: &[&str] = &[
    "glvnd/egl_vendor.d/10_nvidia.json",
    "egl/egl_external_platform.d/15_nvidia_gbm.json",
    "egl/egl_external_platform.d/10_nvidia_wayland.json",
    "egl/egl_external_platform.d/09_nvidia_wayland2.json",
    "egl/egl_external_platform.d/20_nvidia_xcb.json",
    "egl/egl_external_platform.d/20_nvidia_xlib.json",
    "nvidia/nvoptix.bin",
    "X11/xorg.conf.d/10-nvidia.conf",
    "X11/xorg.conf.d/nvidia-drm-outputclass.conf",
];

/// Below `/etc` in a container.
const ETC_CONFIGURATION: &[&str] = &[
    "OpenCL/vendors/nvidia.icd",
    "vulkan/icd.d/nvidia_icd.json",
    "vulkan/icd.d/nvidia_layers.json",
    "vulkan/implicit_layer.d/nvidia_layers.json",
    // Packages in RPM form have the processor in the name.
    "vulkan/icd.d/nvidia_icd.x86_64.json",
    "vulkan/icd.d/nvidia_icd.aarch64.json",
];

/// Where either sort is looked for.
const CONFIGURATION_DIRECTORIES: &[&str] = &["/etc", "/usr/local/share", "/usr/share"];

/// Firmware files that a version has at most.
const FIRMWARE_LIMIT: usize = 256;

pub(super) fn binaries(place: &Place) -> Vec<DriverFile> {
    let executable =
        |located: &Located| located.metadata.is_file() && located.metadata.mode() & 0o111 != 0;
    PROGRAMS
        .iter()
        .filter_map(|name| {
            first(place, PROGRAM_DIRECTORIES, name, executable)
                .map(|(path, host_path)| file(FileKind::Binary, host_path, path))
        })
        .collect()
}

/// The firmware of the driver's version in the folders that the kernel searches
/// (`Documentation/driver-api/firmware/fw_search_path.rst`).
pub(super) fn firmware(host: &HostRoot, place: &Place, version: &str) -> Vec<DriverFile> {
    let mut directories: Vec<PathBuf> = Vec::new();
    directories.extend(
        host.fact("/sys/module/firmware_class/parameters/path")
            .filter(|path| path.starts_with('/'))
            .map(PathBuf::from),
    );
    let release = host
        .fact("/proc/sys/kernel/osrelease")
        .filter(|name| is_file_name(name));
    for base in ["/lib/firmware/updates", "/lib/firmware"] {
        directories.extend(release.iter().map(|release| Path::new(base).join(release)));
        directories.push(PathBuf::from(base));
    }
    let mut files = Vec::new();
    for directory in directories {
        let directory = directory.join("nvidia").join(version);
        let Ok((names, _)) = place.inside.entries(&directory, FIRMWARE_LIMIT) else {
            continue;
        };
        for name in names.iter().filter_map(|name| name.to_str()) {
            let wanted = name.starts_with("gsp") || name.starts_with("ucodes");
            if !wanted || !name.ends_with(".bin") {
                continue;
            }
            let path = directory.join(name);
            let found = place.file(&path).filter(|found| found.metadata.is_file());
            files.extend(
                found.map(|found| file(FileKind::Firmware, place.on_host(&found.path), path)),
            );
        }
    }
    files
}

pub(super) fn sockets(place: &Place) -> Vec<DriverFile> {
    let socket = |located: &Located| located.metadata.file_type().is_socket();
    SOCKETS
        .iter()
        .filter_map(|name| {
            first(place, &["/run", "/var/run"], name, socket)
                .map(|(path, host_path)| file(FileKind::Socket, host_path, path))
        })
        .collect()
}

pub(super) fn configuration(place: &Place) -> Vec<DriverFile> {
    let regular = |located: &Located| located.metadata.is_file();
    let found = |names: &[&str], root: &str| -> Vec<DriverFile> {
        let root = Path::new(root);
        names
            .iter()
            .filter_map(|name| {
                first(place, CONFIGURATION_DIRECTORIES, name, regular)
                    .map(|(_, host_path)| file(FileKind::Configuration, host_path, root.join(name)))
            })
            .collect()
    };
    let mut files = found(SHARED_CONFIGURATION, "/usr/share");
    files.extend(found(ETC_CONFIGURATION, "/etc"));
    files
}

/// The first of the folders that has `name` and satisfies `wanted`: its path in the driver root, and
/// the file itself as the host names it.
fn first(
    place: &Place,
    directories: &[&str],
    name: &str,
    wanted: impl Fn(&Located) -> bool,
) -> Option<(PathBuf, PathBuf)> {
    directories.iter().find_map(|directory| {
        let path = Path::new(directory).join(name);
        let located = place.file(&path).filter(&wanted)?;
        Some((path, place.on_host(&located.path)))
    })
}

fn file(kind: FileKind, host_path: PathBuf, container_path: PathBuf) -> DriverFile {
    DriverFile {
        kind,
        host_path,
        container_path,
        links: Vec::new(),
    }
}
