//! Tests of `host`.

use super::*;
use crate::check::facts::Want;
use crate::check::testing::elf::Elf;
use dunnage_host::HostRoot;
use std::fs;

fn plant(root: &Path, path: &str, content: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn read(root: &Path) -> HostFacts {
    let image = ImageFacts {
        wants: vec![Want {
            soname: "libcuda.so.1".to_owned(),
            path: "/x".to_owned(),
            machine: 62,
            versions: Vec::new(),
            symbols: Vec::new(),
        }],
        ..ImageFacts::default()
    };
    HostFacts::read(
        &HostRoot::new(root),
        &Inventory::default(),
        &image,
        Path::new("/"),
    )
}

#[test]
fn the_module_says_its_version_in_either_place() {
    for (path, text) in [
        ("sys/module/nvidia/version", "535.54.03\n"),
        (
            "proc/driver/nvidia/version",
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.54.03  Tue Jun  6 22:20:39 UTC 2023\nGCC version: 12\n",
        ),
        (
            "proc/driver/nvidia/version",
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  535.54.03  Release Build\n",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        plant(dir.path(), path, text.as_bytes());
        let module = read(dir.path()).nvidia_module.unwrap();
        assert_eq!(module.text, "535.54.03");
        assert_eq!(module.path, format!("/{path}"));
    }
    let dir = tempfile::tempdir().unwrap();
    plant(
        dir.path(),
        "proc/driver/nvidia/version",
        b"NVRM version: none\n",
    );
    assert_eq!(read(dir.path()).nvidia_module, None);
}

#[test]
fn a_library_is_found_by_its_files_name_where_the_link_is_missing() {
    let library = Elf {
        soname: Some("libcuda.so.1"),
        wants: vec![("libc.so.6", "GLIBC_2.17"), ("libm.so.6", "GLIBC_2.29")],
        defined: vec!["cuInit"],
        ..Elf::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let path = "usr/lib64/libcuda.so.535.54.03";
    plant(dir.path(), path, &library.bytes());
    plant(dir.path(), "usr/lib64/libcuda.so.backup", b"nothing");
    let facts = read(dir.path());
    let found = &facts.libraries["libcuda.so.1"];
    assert_eq!(found.path, format!("/{path}"));
    assert_eq!(found.glibc, Some(Version::of(&[2, 29])));
    assert!(found.exported.contains("cuInit") && !found.incomplete);
    plant(dir.path(), path, &library.bytes()[..300]);
    assert!(read(dir.path()).libraries["libcuda.so.1"].cut);
}

#[test]
fn a_link_out_of_the_hosts_root_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("usr/lib64")).unwrap();
    std::os::unix::fs::symlink("/proc/self/exe", dir.path().join("usr/lib64/libcuda.so.1"))
        .unwrap();
    assert!(read(dir.path()).libraries.is_empty());
}

#[test]
fn modules_engines_and_control_groups_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    plant(root, "proc/sys/kernel/osrelease", b"6.8.0-45-generic\n");
    plant(root, "proc/modules", b"amdgpu 1 0 - Live 0x0\n");
    plant(
        root,
        "lib/modules/6.8.0-45-generic/modules.dep",
        b"kernel/drivers/gpu/drm/xe/xe.ko.zst: a\n",
    );
    plant(
        root,
        "lib/modules/6.8.0-45-generic/modules.builtin",
        b"kernel/drivers/vfio/pci/vfio-pci.ko\n",
    );
    plant(root, "sys/fs/cgroup/cgroup.controllers", b"cpu\n");
    plant(root, "usr/bin/podman", b"");
    plant(root, "proc/sys/fs/binfmt_misc/qemu-aarch64", b"enabled\n");
    let facts = read(root);
    assert!(facts.has_module("amdgpu") && facts.has_module("vfio-pci") && !facts.has_module("xe"));
    assert!(facts.installed.contains("xe"));
    assert_eq!(facts.cgroup, Some("v2"));
    assert_eq!(facts.engines, ["podman"]);
    assert!(facts.emulated.contains(&183));
    assert_eq!(facts.kernel_version(), Some(Version::of(&[6, 8])));
}
