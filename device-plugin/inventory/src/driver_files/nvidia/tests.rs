//! Tests of `nvidia`.

use super::super::FileKind;
use super::super::elf::tests::with_soname;
use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A driver laid out by hand as Debian lays it out; the libraries are the smallest that have a soname.
struct Tree(tempfile::TempDir);

const MULTIARCH: &str = "usr/lib/x86_64-linux-gnu";

impl Tree {
    fn new() -> Tree {
        Tree(tempfile::tempdir().unwrap())
    }

    fn with_driver(version: &str) -> Tree {
        let tree = Tree::new();
        tree.library(&format!("{MULTIARCH}/libcuda.so.{version}"), "libcuda.so.1");
        tree.library(
            &format!("{MULTIARCH}/libnvidia-ml.so.{version}"),
            "libnvidia-ml.so.1",
        );
        tree
    }

    fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn library(&self, path: &str, soname: &str) {
        self.file(path, with_soname(soname));
    }

    fn link(&self, target: &str, path: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn find(&self) -> Result<DriverFiles, DriverFilesError> {
        find(&HostRoot::new(self.0.path()), &Search::default())
    }

    fn paths(&self, kind: FileKind) -> Vec<String> {
        let files = self.find().unwrap().files;
        files
            .iter()
            .filter(|file| file.kind == kind)
            .map(|file| file.container_path.display().to_string())
            .collect()
    }
}

fn links_of(found: &DriverFiles, name: &str) -> Vec<PathBuf> {
    let file = found
        .files
        .iter()
        .find(|file| file.container_path.ends_with(name));
    file.unwrap().links.clone()
}

#[test]
fn the_version_is_the_suffix_of_libcuda() {
    let found = Tree::with_driver("535.261.03").find().unwrap();
    assert_eq!(found.version, "535.261.03");
    assert_eq!(
        found.library_directories,
        [Path::new("/usr/lib/x86_64-linux-gnu")]
    );
    assert_eq!(
        links_of(&found, "libcuda.so.535.261.03"),
        [Path::new("libcuda.so"), Path::new("libcuda.so.1")]
    );
    assert_eq!(
        links_of(&found, "libnvidia-ml.so.535.261.03"),
        [Path::new("libnvidia-ml.so.1")]
    );
    assert!(found.gaps.is_empty(), "{:?}", found.gaps);
}

#[test]
fn endless_and_odd_versions_are_none() {
    let tree = Tree::new();
    let digits = "9".repeat(200);
    for version in [&digits, "1", "535.", ".1", "535.x", "535..1", "535.1\n"] {
        tree.library(&format!("{MULTIARCH}/libcuda.so.{version}"), "libcuda.so.1");
    }
    let error = tree.find().unwrap_err().to_string();
    assert!(error.contains("neither libcuda.so.X.Y"), "{error}");
    assert!(error.contains("/usr/lib/x86_64-linux-gnu"), "{error}");
}

#[test]
fn the_loaded_driver_is_taken_where_there_are_several() {
    let tree = Tree::with_driver("535.261.03");
    tree.library(
        &format!("{MULTIARCH}/libcuda.so.550.163.01"),
        "libcuda.so.1",
    );
    let unknown = tree.find().unwrap();
    assert_eq!(unknown.version, "535.261.03");
    assert!(unknown.gaps[0].why.contains("535.261.03, 550.163.01"));
    tree.file("sys/module/nvidia/version", "550.163.01\n");
    let found = tree.find().unwrap();
    assert_eq!(found.version, "550.163.01");
    assert!(found.gaps.is_empty());
    tree.file("sys/module/nvidia/version", "570.1\x1b[2J\n");
    let swapped = tree.find().unwrap();
    assert!(swapped.gaps[0].why.contains("refuse to work together"));
    assert!(!swapped.gaps[0].why.contains('\x1b'));
}

#[test]
fn libraries_outside_the_usual_folders_are_found_by_the_cache() {
    let tree = Tree::new();
    tree.library("opt/nvidia/lib/libcuda.so.470.256.02", "libcuda.so.1");
    tree.link("libcuda.so.470.256.02", "opt/nvidia/lib/libcuda.so.1");
    // As Debian's tesla branches are: the rest of the driver in a usual folder.
    tree.library(
        &format!("{MULTIARCH}/libnvidia-glcore.so.470.256.02"),
        "libnvidia-glcore.so.470.256.02",
    );
    tree.file(
        "etc/ld.so.cache",
        cache("libcuda.so.1", "/opt/nvidia/lib/libcuda.so.1"),
    );
    let found = tree.find().unwrap();
    assert_eq!(found.version, "470.256.02");
    assert_eq!(tree.paths(FileKind::Library).len(), 2);
    assert_eq!(found.library_directories.len(), 2);
}

/// One library in a cache of the old format.
fn cache(name: &str, path: &str) -> Vec<u8> {
    let mut bytes = b"ld.so-1.7.0\0".to_vec();
    for value in [1, 0x0303, 0, u32::try_from(name.len()).unwrap() + 1] {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    bytes.extend_from_slice(format!("{name}\0{path}\0").as_bytes());
    bytes
}

#[test]
fn links_are_followed_inside_the_driver_root_and_no_further() {
    let tree = Tree::new();
    tree.library("drv/opt/real/libcuda.so.535.1", "libcuda.so.1");
    tree.link(
        "/opt/real/libcuda.so.535.1",
        &format!("drv/{MULTIARCH}/libcuda.so.535.1"),
    );
    tree.link(
        "/etc/passwd",
        &format!("drv/{MULTIARCH}/libnvidia-ml.so.535.1"),
    );
    tree.link("loop.so.535.1", &format!("drv/{MULTIARCH}/loop.so.535.1"));
    tree.link(
        "libcuda.so.535.1",
        "drv/usr/lib/x86_64-linux-gnu/libself.so.535.1",
    );
    tree.file("etc/passwd", "secret");
    let host = HostRoot::new(tree.0.path());
    let search = Search {
        driver_root: "/drv".into(),
    };
    let found = find(&host, &search).unwrap();
    // Two names lead to the one file: it is given once.
    assert_eq!(found.files.len(), 1, "{:?}", found.files);
    assert_eq!(
        found.files[0].host_path,
        Path::new("/drv/opt/real/libcuda.so.535.1")
    );
    assert_eq!(
        found.files[0].container_path,
        Path::new("/usr/lib/x86_64-linux-gnu/libcuda.so.535.1")
    );
    let missing = Search {
        driver_root: "/none".into(),
    };
    let error = find(&host, &missing).unwrap_err().to_string();
    assert!(error.contains("driver root /none"), "{error}");
}

#[test]
fn a_driver_root_may_be_a_folder_of_libraries() {
    let tree = Tree::new();
    tree.library("opt/cuda/libcuda.so.535.1", "libcuda.so.1");
    let search = Search {
        driver_root: "/opt/cuda".into(),
    };
    let found = find(&HostRoot::new(tree.0.path()), &search).unwrap();
    assert_eq!(
        found.files[0].host_path,
        Path::new("/opt/cuda/libcuda.so.535.1")
    );
    // A library of the version that goes away, or is a folder, is left out.
    std::fs::create_dir(tree.0.path().join("opt/cuda/libgone.so.535.1")).unwrap();
    tree.link("nowhere", "opt/cuda/libdangling.so.535.1");
    let again = find(&HostRoot::new(tree.0.path()), &search).unwrap();
    assert_eq!(again.files, found.files);
}

#[test]
fn programs_firmware_and_configuration_are_found() {
    let tree = Tree::with_driver("535.261.03");
    tree.file("usr/lib/nvidia/current/nvidia-smi", "");
    tree.link("/etc/alternatives/nvidia--nvidia-smi", "usr/bin/nvidia-smi");
    tree.link(
        "/usr/lib/nvidia/current/nvidia-smi",
        "etc/alternatives/nvidia--nvidia-smi",
    );
    assert!(tree.paths(FileKind::Binary).is_empty(), "not executable");
    let program = tree.0.path().join("usr/lib/nvidia/current/nvidia-smi");
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(tree.paths(FileKind::Binary), ["/usr/bin/nvidia-smi"]);

    for name in ["gsp_ga10x.bin", "ucodes_x.bin", "other.bin", "gsp.txt"] {
        tree.file(&format!("lib/firmware/nvidia/535.261.03/{name}"), "");
    }
    tree.file("lib/firmware/nvidia/470.1/gsp.bin", "");
    assert_eq!(
        tree.paths(FileKind::Firmware),
        [
            "/lib/firmware/nvidia/535.261.03/gsp_ga10x.bin",
            "/lib/firmware/nvidia/535.261.03/ucodes_x.bin"
        ]
    );

    tree.file("usr/share/vulkan/icd.d/nvidia_icd.json", "{}");
    tree.file("usr/local/share/glvnd/egl_vendor.d/10_nvidia.json", "{}");
    assert_eq!(
        tree.paths(FileKind::Configuration),
        [
            "/usr/share/glvnd/egl_vendor.d/10_nvidia.json",
            "/etc/vulkan/icd.d/nvidia_icd.json"
        ]
    );
}

#[test]
fn only_sockets_are_sockets() {
    let tree = Tree::with_driver("535.261.03");
    tree.file("run/nvidia-fabricmanager/socket", "a file");
    let folder = tree.0.path().join("run/nvidia-persistenced");
    fs::create_dir_all(&folder).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();
    assert_eq!(
        tree.paths(FileKind::Socket),
        ["/run/nvidia-persistenced/socket"]
    );
}

#[test]
fn modules_of_x_keep_their_place_and_have_their_link() {
    let tree = Tree::with_driver("535.261.03");
    tree.file("usr/lib/xorg/modules/drivers/nvidia_drv.so", "");
    tree.library(
        &format!("{MULTIARCH}/nvidia/xorg/libglxserver_nvidia.so.535.261.03"),
        "libglxserver_nvidia.so",
    );
    assert_eq!(
        tree.paths(FileKind::XorgModule),
        [
            "/usr/lib/xorg/modules/drivers/nvidia_drv.so",
            "/usr/lib/x86_64-linux-gnu/nvidia/xorg/libglxserver_nvidia.so.535.261.03"
        ]
    );
    assert_eq!(
        links_of(&tree.find().unwrap(), "libglxserver_nvidia.so.535.261.03"),
        [Path::new("libglxserver_nvidia.so")]
    );
}

#[test]
fn a_folder_of_endless_names_is_bounded_and_said() {
    let tree = Tree::with_driver("535.261.03");
    for number in 0..600 {
        tree.file(&format!("{MULTIARCH}/lib{number}.so.535.261.03"), "");
    }
    let found = tree.find().unwrap();
    assert_eq!(tree.paths(FileKind::Library).len(), 512);
    assert!(found.gaps[0].why.contains("512 libraries or more"));
}

#[test]
fn a_broken_cache_is_a_gap() {
    let tree = Tree::with_driver("535.261.03");
    tree.file("etc/ld.so.cache", "rubbish");
    let found = tree.find().unwrap();
    assert_eq!(found.gaps.len(), 1);
    assert_eq!(tree.paths(FileKind::Library).len(), 2);
}
