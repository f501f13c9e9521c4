//! The family on trees of machines, on hosts that are broken, and on hostile ones.

mod library;

use super::*;
use crate::device::{Health, Node, Role, Shares};
use crate::{Inventory, scan};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

fn fixture(name: &str) -> HostRoot {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nvidia");
    let root = fixtures.join(name);
    assert!(root.is_dir(), "{}", root.display());
    HostRoot::new(root)
}

fn of(host: &HostRoot) -> Found {
    Nvidia.scan(host, &Config::default())
}

fn paths(nodes: &[Node], role: Role) -> Vec<&str> {
    let of_role = nodes.iter().filter(|node| node.role == role);
    of_role.map(|node| node.path.to_str().unwrap()).collect()
}

/// A host with one GPU at `0000:65:00.0`, made by hand from the kernel's documentation; `driver` is
/// what is bound.
fn host_with(dir: &Path, driver: Option<&str>) -> HostRoot {
    card(dir, "0000:65:00.0", driver);
    HostRoot::new(dir)
}

fn card(dir: &Path, address: &str, driver: Option<&str>) {
    let function = dir.join("sys/bus/pci/devices").join(address);
    fs::create_dir_all(&function).unwrap();
    for (name, text) in [
        ("vendor", "0x10de\n"),
        ("device", "0x20b0\n"),
        ("class", "0x030200\n"),
        ("numa_node", "1\n"),
    ] {
        fs::write(function.join(name), text).unwrap();
    }
    if let Some(driver) = driver {
        let target = format!("../../../../bus/pci/drivers/{driver}");
        symlink(target, function.join("driver")).unwrap();
    }
}

/// What the driver tells of that GPU.
fn information(dir: &Path, text: &str) {
    let gpu = dir.join("proc/driver/nvidia/gpus/0000:65:00.0");
    fs::create_dir_all(&gpu).unwrap();
    fs::write(gpu.join("information"), text).unwrap();
}

const INFORMATION: &str = "Model: \t\t NVIDIA A100\n\
    GPU UUID: \t GPU-5269b708-678a-b1a8-60f0-c90406537486\nDevice Minor: \t 0\nGPU Excluded:\t No\n";

fn only(found: &Found) -> &Device {
    assert_eq!(found.devices.len(), 1, "{found:?}");
    &found.devices[0]
}

fn unhealthy(device: &Device, why: &str) {
    assert!(
        matches!(&device.health, Health::Unhealthy(text) if text.contains(why)),
        "{:?}",
        device.health
    );
}

#[test]
fn eight_gpus_whose_minors_are_not_their_indices() {
    let found = of(&fixture("eight-rtx4090"));
    assert_eq!((found.devices.len(), found.gaps.len()), (8, 0));
    let first = &found.devices[0];
    assert_eq!(first.id, "GPU-370465f5-30e0-6877-b85c-16729f41b90f");
    assert_eq!(first.aliases, ["0", "0000:01:00.0", "nvidia3"]);
    assert_eq!(first.model.as_deref(), Some("NVIDIA GeForce RTX 4090"));
    let driver = first.driver.as_ref().unwrap();
    assert_eq!(
        (driver.name.as_str(), driver.version.as_deref()),
        ("nvidia", Some("535.154.05"))
    );
    assert_eq!(first.attributes["driver.module"], "proprietary");
    assert_eq!(first.firmware, None);
    assert_eq!(first.attributes["vbios"], "95.02.18.c0.09");
    assert_eq!(first.health, Health::Healthy);
    assert_eq!(paths(&first.nodes, Role::Own), ["/dev/nvidia3"]);
    assert_eq!(
        paths(&first.nodes, Role::Control),
        [
            "/dev/nvidiactl",
            "/dev/nvidia-uvm",
            "/dev/nvidia-uvm-tools",
            "/dev/nvidia-modeset"
        ]
    );
    let numbers: Vec<_> = first.nodes.iter().map(|n| (n.major, n.minor)).collect();
    assert_eq!(
        numbers,
        [(195, 3), (195, 255), (509, 0), (509, 1), (195, 254)]
    );
    let pci = first.pci.as_ref().unwrap();
    assert_eq!(
        (pci.device, pci.subsystem),
        (0x2684, Some((0x10de, 0x167c)))
    );
    let link = pci.link.as_ref().unwrap();
    assert_eq!((link.speed.as_str(), link.width), ("2.5 GT/s PCIe", 16));
    let last = &found.devices[7];
    assert_eq!(last.aliases, ["7", "0000:e1:00.0", "nvidia4"]);
    // What only NVML tells is absent.
    assert_eq!((first.memory, first.peers.len()), (None, 0));
    assert!(!first.attributes.contains_key("cuda.capability"));
}

#[test]
fn instances_of_mig_without_nvml() {
    let found = of(&fixture("eight-a100-mig"));
    // Eight GPUs and two instances; the six switches are no GPUs.
    assert_eq!(found.devices.len(), 10);
    let [whole, first, second, other] = &found.devices[..4] else {
        panic!();
    };
    assert_eq!(whole.shares, Shares::UpTo(0));
    assert_eq!(whole.attributes["mig.mode"], "on");
    assert_eq!(whole.health, Health::Healthy);
    assert_eq!(whole.attributes["driver.module"], "open");
    assert_eq!(other.shares, Shares::Any);
    assert_eq!(first.id, format!("{}/gi1/ci0", whole.id));
    assert_eq!(first.aliases, ["gpu0/gi1/ci0"]);
    assert_eq!(first.parent.as_deref(), Some(whole.id.as_str()));
    assert_eq!(
        paths(&first.nodes, Role::Own),
        [
            "/dev/nvidia-caps/nvidia-cap12",
            "/dev/nvidia-caps/nvidia-cap13"
        ]
    );
    assert_eq!(
        paths(&second.nodes, Role::Own),
        [
            "/dev/nvidia-caps/nvidia-cap21",
            "/dev/nvidia-caps/nvidia-cap22"
        ]
    );
    assert_eq!(first.nodes[0].major, 234);
    assert_eq!(
        paths(&first.nodes, Role::Control),
        ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"]
    );
    assert_eq!(first.health, Health::Healthy);
}

#[test]
fn captures_that_know_little_say_so() {
    let p100 = of(&fixture("p100-in-vm"));
    let p100 = only(&p100);
    assert_eq!(p100.id, "0000:06:00.0");
    let pci = p100.pci.as_ref().unwrap();
    assert_eq!((pci.device, pci.class), (0x15f8, 0x03_0200));
    assert_eq!(pci.path, ["0000:00:01.5"]);
    assert_eq!(p100.numa_node, None);
    assert!(matches!(&p100.health, Health::Unknown(why) if why.contains("cannot be seen")));

    let power9 = of(&fixture("power9-six-v100"));
    let ids: Vec<_> = power9.devices.iter().map(|d| d.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "0004:05:00.0",
            "0004:06:00.0",
            "0006:00:00.0",
            "0007:00:00.0",
            "0035:04:00.0",
            "0035:05:00.0"
        ]
    );
    assert_eq!(power9.devices[0].attributes["memory.numa_node"], "255");
    assert!(matches!(power9.devices[0].health, Health::Unknown(_)));

    let a10g = of(&fixture("a10g-on-aws"));
    let a10g = only(&a10g);
    assert_eq!(a10g.aliases, ["0", "0000:00:1e.0", "nvidia3"]);
    assert_eq!((a10g.pci.as_ref(), a10g.driver.is_some()), (None, true));
    assert_eq!(a10g.nodes[2].path, Path::new("/dev/nvidia-uvm"));
    assert_eq!(a10g.nodes[2].major, 234);
}

#[test]
fn the_version_of_the_driver_and_where_it_stands() {
    let (version, path) = driver_version(&fixture("eight-rtx4090")).unwrap();
    assert_eq!(version, "535.154.05");
    assert_eq!(path, Path::new("/proc/driver/nvidia/version"));
    let dir = tempfile::tempdir().unwrap();
    let host = HostRoot::new(dir.path());
    assert_eq!(driver_version(&host), None);
    fs::create_dir_all(dir.path().join("sys/module/nvidia")).unwrap();
    fs::write(dir.path().join("sys/module/nvidia/version"), "470.256.02\n").unwrap();
    let (version, path) = driver_version(&host).unwrap();
    assert_eq!(version, "470.256.02");
    assert_eq!(path, Path::new("/sys/module/nvidia/version"));
}

#[test]
fn a_gpu_without_its_driver_is_shown_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let found = of(&host_with(dir.path(), None));
    unhealthy(only(&found), "no driver is bound");
    assert_eq!(
        (only(&found).numa_node, &only(&found).driver),
        (Some(1), &None)
    );

    let dir = tempfile::tempdir().unwrap();
    let found = of(&host_with(dir.path(), Some("nouveau")));
    let nouveau = only(&found);
    assert!(matches!(&nouveau.health, Health::Unknown(why) if why.contains("nouveau")));
    assert!(nouveau.nodes.is_empty() && nouveau.aliases.is_empty());

    for keeper in ["vfio-pci", "nvgrace_gpu_vfio_pci", "pci-stub"] {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(of(&host_with(dir.path(), Some(keeper))), Found::default());
    }
}

#[test]
fn a_gpu_that_the_driver_could_not_start_or_that_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let host = host_with(dir.path(), Some("nvidia"));
    fs::create_dir_all(dir.path().join("proc/driver/nvidia/gpus")).unwrap();
    unhealthy(only(&of(&host)), "information is missing");

    information(dir.path(), INFORMATION);
    assert_eq!(only(&of(&host)).health, Health::Healthy);
    information(dir.path(), &INFORMATION.replace("No", "Yes"));
    unhealthy(only(&of(&host)), "NVreg_ExcludedGpus");
    let started = INFORMATION.replace("GPU-5269b708", "GPU-????????");
    information(dir.path(), &started);
    assert!(matches!(only(&of(&host)).health, Health::Unknown(_)));
    assert_eq!(only(&of(&host)).id, "0000:65:00.0");

    information(dir.path(), INFORMATION);
    let function = dir.path().join("sys/bus/pci/devices/0000:65:00.0");
    fs::write(function.join("config"), [0xff; 64]).unwrap();
    unhealthy(only(&of(&host)), "fell off the bus");
    // A GPU that sleeps is not woken to look.
    fs::create_dir(function.join("power")).unwrap();
    fs::write(function.join("power/runtime_status"), "suspended\n").unwrap();
    assert_eq!(only(&of(&host)).health, Health::Healthy);
}

#[test]
fn gpus_that_the_driver_does_not_run_stand_behind_those_that_it_counts() {
    let dir = tempfile::tempdir().unwrap();
    card(dir.path(), "0000:01:00.0", Some("nouveau"));
    card(dir.path(), "0000:02:00.0", None);
    let host = host_with(dir.path(), Some("nvidia"));
    information(dir.path(), INFORMATION);
    let found = of(&host);
    let addresses: Vec<_> = found
        .devices
        .iter()
        .map(|d| d.pci.as_ref().unwrap().address.as_str())
        .collect();
    assert_eq!(addresses, ["0000:65:00.0", "0000:01:00.0", "0000:02:00.0"]);
    assert_eq!(found.devices[0].attributes["index"], "0");
}

#[test]
fn virtual_functions_that_nobody_drives_are_no_gpus() {
    let dir = tempfile::tempdir().unwrap();
    let host = host_with(dir.path(), None);
    let function = dir.path().join("sys/bus/pci/devices/0000:65:00.0");
    symlink("../0000:64:00.0", function.join("physfn")).unwrap();
    assert_eq!(of(&host), Found::default());
}

#[test]
fn drm_nodes_are_those_of_the_function() {
    let dir = tempfile::tempdir().unwrap();
    let host = host_with(dir.path(), Some("nvidia"));
    information(dir.path(), INFORMATION);
    let drm = dir.path().join("sys/bus/pci/devices/0000:65:00.0/drm");
    for (name, dev) in [
        ("card1", "226:1"),
        ("renderD129", "226:129"),
        ("card1-DP-1", ""),
    ] {
        fs::create_dir_all(drm.join(name)).unwrap();
        fs::write(drm.join(name).join("dev"), dev).unwrap();
        fs::write(
            drm.join(name).join("uevent"),
            format!("DEVNAME=dri/{name}\n"),
        )
        .unwrap();
    }
    let found = of(&host);
    assert_eq!(
        paths(&only(&found).nodes, Role::Render),
        ["/dev/dri/renderD129"]
    );
    assert_eq!(paths(&only(&found).nodes, Role::Card), ["/dev/dri/card1"]);
}

#[test]
fn hostile_trees_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let host = host_with(root, Some("nvidia"));
    let gpus = root.join("proc/driver/nvidia/gpus");
    information(
        root,
        "Model: \t\t \u{1b}]0;x\u{7}evil\nDevice Minor: \t 4294967296\nGPU UUID: \t GPU-../../x\n",
    );
    fs::write(root.join("proc/driver/nvidia/version"), vec![0xfe; 3 << 20]).unwrap();
    fs::create_dir_all(root.join("proc/driver/nvidia-caps")).unwrap();
    symlink(
        "/proc/driver/nvidia-caps/mig-minors",
        root.join("proc/driver/nvidia-caps/mig-minors"),
    )
    .unwrap();
    fs::create_dir_all(gpus.join("not an address")).unwrap();
    // A loop of folders, a link out of the root, a fifo in the place of a file.
    symlink("/proc/driver/nvidia/gpus", gpus.join("0000:66:00.0")).unwrap();
    symlink("/etc/passwd", root.join("proc/devices")).unwrap();
    fs::create_dir_all(gpus.join("0000:67:00.0")).unwrap();
    nix::unistd::mkfifo(
        &gpus.join("0000:67:00.0/information"),
        nix::sys::stat::Mode::S_IRWXU,
    )
    .unwrap();
    let found = of(&host);
    let first = found.devices.first().unwrap();
    assert_eq!(first.id, "0000:65:00.0");
    assert_eq!(first.model.as_deref(), Some("]0;xevil"));
    assert!(!first.attributes.contains_key("minor"));
    assert_eq!(first.driver.as_ref().unwrap().version, None);
    let ids: Vec<_> = found.devices.iter().map(|d| d.id.as_str()).collect();
    assert_eq!(ids, ["0000:65:00.0", "0000:66:00.0", "0000:67:00.0"]);
}

#[test]
fn a_host_without_any_has_none() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(of(&HostRoot::new(dir.path())), Found::default());
}

#[test]
fn the_whole_inventory_keeps_the_order_and_finds_by_any_name() {
    let inventory: Inventory = scan(&fixture("eight-a100-mig"), &Config::default());
    let ours: Vec<_> = inventory
        .devices
        .iter()
        .filter(|d| d.family == NAME)
        .collect();
    assert_eq!(ours.len(), 10);
    for name in [
        "0",
        "0001:00:00.0",
        "nvidia0",
        "GPU-5269b708-678a-b1a8-60f0-c90406537486",
    ] {
        assert_eq!(inventory.find(name).unwrap().id, ours[0].id, "{name}");
    }
}
