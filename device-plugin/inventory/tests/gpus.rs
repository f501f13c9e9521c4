//! GPUs on trees of real hosts: what a file's head says of its origin holds for the tests on it.

mod tree;

use dunnage_inventory::{Config, Device, Health, Kind, Role, scan};
use std::path::Path;
use tree::{Tree, inventory, of};

fn attribute<'a>(device: &'a Device, name: &str) -> Option<&'a str> {
    device.attributes.get(name).map(String::as_str)
}

fn paths(device: &Device, role: Role) -> Vec<&str> {
    device
        .nodes
        .iter()
        .filter(|node| node.role == role)
        .filter_map(|node| node.path.to_str())
        .collect()
}

#[test]
fn a_desktop_card_of_amd() {
    let inventory = inventory("amd-vega-desktop");
    let [vega] = of(&inventory, "amd-gpu")[..] else {
        panic!("{inventory:?}")
    };
    assert_eq!(
        (vega.id.as_str(), vega.vendor.as_str()),
        ("0000:09:00.0", "amd")
    );
    assert_eq!((vega.kind, &vega.health), (Kind::Gpu, &Health::Healthy));
    assert_eq!(vega.model.as_deref(), Some("AMD Radeon RX Vega"));
    assert_eq!(vega.memory.map(|bytes| bytes.0), Some(8_573_157_376));
    assert_eq!(vega.firmware.as_deref(), Some("115-D050PIL-100"));
    assert_eq!(vega.numa_node, None, "-1 is no node");
    assert_eq!(vega.driver.as_ref().unwrap().name, "amdgpu");
    for name in ["card0", "renderD128", "0123456789abcdef"] {
        assert!(vega.is_called(name), "{name}");
    }
    assert_eq!(paths(vega, Role::Render), ["/dev/dri/renderD128"]);
    assert_eq!(paths(vega, Role::Card), ["/dev/dri/card0"]);
    assert!(paths(vega, Role::Control).is_empty(), "no KFD, no /dev/kfd");
    let place = vega.pci.as_ref().unwrap();
    assert_eq!(place.path, ["0000:00:03.1"]);
    assert_eq!(place.link.as_ref().unwrap().width, 16);
    assert_eq!(attribute(vega, "memory.vendor"), Some("samsung"));
    assert!(inventory.gaps.iter().all(|gap| !gap.what.contains("card")));
}

#[test]
fn hives_are_told_apart_and_linked() {
    let inventory = inventory("amd-mi210-two-hives");
    let gpus = of(&inventory, "amd-gpu");
    let ids: Vec<_> = gpus.iter().map(|gpu| gpu.id.as_str()).collect();
    assert_eq!(ids, ["0000:43:00.0", "0000:63:00.0", "0000:e3:00.0"]);
    let first = gpus[1];
    let peers: Vec<_> = first
        .peers
        .iter()
        .map(|peer| (peer.id.as_str(), peer.over, peer.links))
        .collect();
    assert_eq!(
        peers,
        [("0000:43:00.0", "xgmi", 1), ("0000:e3:00.0", "pcie", 1)]
    );
    assert_eq!(attribute(first, "gfx.target"), Some("gfx90a"));
    assert_eq!(
        attribute(first, "xgmi.hive"),
        attribute(gpus[0], "xgmi.hive")
    );
    assert_ne!(
        attribute(first, "xgmi.hive"),
        attribute(gpus[2], "xgmi.hive")
    );
    assert_eq!(paths(first, Role::Control), ["/dev/kfd"]);
    assert_eq!(
        first.memory, None,
        "nothing tells it, and absent is not zero"
    );
    assert!(first.is_called("1901ead3a2ecd4a6"));
}

#[test]
fn partitions_that_are_in_use_are_devices() {
    let inventory = inventory("amd-mi308-partitions");
    let gpus = of(&inventory, "amd-gpu");
    let ids: Vec<_> = gpus.iter().map(|gpu| gpu.id.as_str()).collect();
    assert_eq!(ids, ["0000:a4:00.0", "0000:c8:00.0", "amdgpu_xcp_1"]);
    let (whole, part) = (gpus[0], gpus[2]);
    assert_eq!(part.parent.as_deref(), Some("0000:a4:00.0"));
    assert_eq!(attribute(part, "partition.index"), Some("1"));
    assert_eq!(attribute(whole, "partition.index"), Some("0"));
    assert_eq!(attribute(part, "partition.compute"), Some("CPX"));
    assert_eq!(paths(part, Role::Render), ["/dev/dri/renderD145"]);
    assert_eq!(paths(part, Role::Control), ["/dev/kfd"]);
    assert_eq!((part.vendor.as_str(), part.numa_node), ("amd", Some(1)));
    assert_eq!(part.driver.as_ref().unwrap().name, "amdgpu");
    // A partition has its own share of the memory, not the whole GPU's.
    assert_eq!(part.memory.map(|bytes| bytes.0), Some(51_522_830_336));
    assert_eq!(whole.memory, part.memory);
    assert!(whole.peers.iter().any(|peer| peer.id == "amdgpu_xcp_1"));
    assert_eq!(attribute(whole, "gfx.target"), Some("gfx942"));
    assert_eq!(attribute(whole, "firmware.mec"), Some("0x00000095"));
}

#[test]
fn error_counters_decide_over_health() {
    let inventory = inventory("amd-mi308-partitions");
    let gpus = of(&inventory, "amd-gpu");
    assert_eq!(
        gpus[0].health,
        Health::Healthy,
        "correctable errors are corrected"
    );
    assert_eq!(attribute(gpus[0], "ras.correctable"), Some("3"));
    assert_eq!(attribute(gpus[0], "ras.bad_pages"), Some("1"));
    let Health::Unhealthy(why) = &gpus[1].health else {
        panic!("{:?}", gpus[1].health)
    };
    assert!(why.contains("2 in umc"), "{why}");
}

#[test]
fn one_host_with_gpus_of_two_vendors() {
    let inventory = inventory("hades-canyon");
    let (intel, amd) = (of(&inventory, "intel-gpu"), of(&inventory, "amd-gpu"));
    assert_eq!((intel.len(), amd.len()), (1, 1));
    assert_eq!(
        amd[0].model.as_deref(),
        Some("Polaris 22 XT [Radeon RX Vega M GH]")
    );
    assert_eq!(intel[0].model.as_deref(), Some("HD Graphics 630"));
    assert_eq!(paths(intel[0], Role::Render), ["/dev/dri/renderD128"]);
    assert_eq!(paths(amd[0], Role::Render), ["/dev/dri/renderD129"]);
    assert_eq!(attribute(intel[0], "driver.origin"), Some("kernel"));
    assert_eq!(attribute(intel[0], "gts"), Some("1"));
    assert_eq!(attribute(intel[0], "last_hang"), None);
    assert_eq!(intel[0].memory, None);
}

#[test]
fn a_hang_that_passed_is_told_and_a_wedged_gpu_is_unhealthy() {
    let tree = Tree::load("intel-laptop");
    let before = scan(&tree.host(), &Config::default());
    let gpu = of(&before, "intel-gpu")[0];
    assert_eq!(gpu.health, Health::Healthy);
    assert_eq!(gpu.firmware.as_deref(), Some("guc 70.1.1"));
    assert_eq!(attribute(gpu, "firmware.huc"), Some("4.0.0"));
    assert!(attribute(gpu, "last_hang").unwrap().contains("GPU HANG"));

    tree.add("F /sys/kernel/debug/dri/1/i915_wedged = 1\\n");
    let after = scan(&tree.host(), &Config::default());
    let Health::Unhealthy(why) = &of(&after, "intel-gpu")[0].health else {
        panic!("{after:?}")
    };
    assert!(why.contains("i915_wedged"), "{why}");
}

#[test]
fn a_card_of_xe_beside_a_virtual_display() {
    let inventory = inventory("intel-b580-vm");
    let [card] = of(&inventory, "intel-gpu")[..] else {
        panic!("{inventory:?}")
    };
    assert_eq!(card.driver.as_ref().unwrap().name, "xe");
    assert_eq!(card.memory.map(|bytes| bytes.0), Some(12_709_789_696));
    assert_eq!(card.firmware.as_deref(), Some("guc 70.36.0"));
    assert_eq!(
        (attribute(card, "tiles"), attribute(card, "gts")),
        (Some("1"), Some("2"))
    );
    assert_eq!(paths(card, Role::Management), ["/dev/mei0"]);
    assert_eq!(attribute(card, "sriov.role"), None);
    assert!(of(&inventory, "drm-gpu").is_empty());
    let gap = inventory.gaps.iter().find(|gap| gap.what.contains("bochs"));
    assert!(gap.unwrap().why.contains("no render node"));
}

#[test]
fn a_gpu_with_damaged_firmware_is_shown_as_such() {
    let tree = Tree::load("intel-b580-vm");
    let place = "/sys/devices/pci0000:00/0000:00:1c.0/0000:01:00.0";
    tree.add(&format!("F {place}/survivability_mode = Boot\\n"));
    for name in ["card1", "renderD128"] {
        std::fs::remove_file(tree.path(&format!("/sys/class/drm/{name}"))).unwrap();
    }
    let inventory = scan(&tree.host(), &Config::default());
    let [card] = of(&inventory, "intel-gpu")[..] else {
        panic!("{inventory:?}")
    };
    assert!(matches!(&card.health, Health::Unhealthy(why) if why.contains("survivability")));
    assert!(card.nodes.is_empty());
}

#[test]
fn a_driver_that_made_no_node_is_no_silence() {
    let tree = Tree::load("amd-vega-desktop");
    std::fs::remove_dir_all(tree.path("/sys/class/drm")).unwrap();
    let inventory = scan(&tree.host(), &Config::default());
    let [vega] = of(&inventory, "amd-gpu")[..] else {
        panic!("{inventory:?}")
    };
    assert!(matches!(&vega.health, Health::Unhealthy(why) if why.contains("made no node")));
    assert_eq!(vega.id, "0000:09:00.0");
}

#[test]
fn virtual_functions_and_a_driver_from_elsewhere() {
    let inventory = inventory("intel-sriov-out-of-tree");
    let gpus = of(&inventory, "intel-gpu");
    assert_eq!(gpus.len(), 4);
    let (physical, virtual_one) = (gpus[0], gpus[1]);
    assert_eq!(attribute(physical, "sriov.role"), Some("physical"));
    assert_eq!(attribute(physical, "sriov.functions"), Some("3"));
    assert_eq!(attribute(virtual_one, "sriov.role"), Some("virtual"));
    assert_eq!(virtual_one.parent.as_deref(), Some("0000:00:02.0"));
    assert_eq!(physical.parent, None);
    assert_eq!(attribute(physical, "driver.origin"), Some("out-of-tree"));
}

#[test]
fn what_only_drives_a_display_is_no_gpu() {
    let inventory = inventory("displays-and-virtual");
    let gpus = of(&inventory, "drm-gpu");
    let ids: Vec<_> = gpus.iter().map(|gpu| gpu.id.as_str()).collect();
    assert_eq!(ids, ["0000:00:05.0"], "the virtio GPU with 3D alone");
    assert_eq!(gpus[0].driver.as_ref().unwrap().name, "virtio_gpu");
    assert_eq!(gpus[0].vendor, "redhat");
    let why = |what: &str| {
        inventory
            .gaps
            .iter()
            .find(|gap| gap.what.contains(what))
            .unwrap_or_else(|| panic!("{what}: {:?}", inventory.gaps))
            .why
            .as_str()
    };
    assert!(why("(ast)").contains("only drives a display"));
    assert!(why("card1 (virtio_gpu)").contains("no 3D"));
    assert!(why("card3").contains("no 3D"));
    assert!(why("vgem").contains("renders nothing"));
    assert!(why("vkms").contains("no render node"));
    assert!(why("0000:00:02.0").contains("without a driver"));
}

#[test]
fn gpus_of_boards_are_found_by_their_driver() {
    let board = inventory("rk3588");
    let [mali] = of(&board, "drm-gpu")[..] else {
        panic!("{board:?}")
    };
    assert_eq!(
        (mali.id.as_str(), mali.vendor.as_str()),
        ("fb000000.gpu", "rockchip")
    );
    assert_eq!(mali.driver.as_ref().unwrap().name, "panthor");
    assert_eq!(mali.nodes[0].path, Path::new("/dev/dri/renderD128"));
    assert_eq!(mali.pci, None);
    let old = inventory("raspberry-pi-3");
    assert_eq!(of(&old, "drm-gpu")[0].id, "soc:gpu");
    let new = inventory("raspberry-pi-4");
    assert_eq!(of(&new, "drm-gpu")[0].id, "fec00000.v3d");
    assert_eq!(of(&new, "drm-gpu").len(), 1, "the display apart is none");
}

#[test]
fn a_render_node_of_a_display_is_no_gpu() {
    let board = inventory("cix-p1-board");
    assert!(board.devices.is_empty(), "{board:?}");
    for card in 0..4 {
        let what = format!("card{card} (linlondp)");
        assert!(board.gaps.iter().any(|gap| gap.what == what), "{board:?}");
    }
}

#[test]
fn an_npu_with_a_render_node_is_no_gpu() {
    let board = inventory("rk3588-vendor-kernel");
    let [npu] = board.devices.as_slice() else {
        panic!("{board:?}")
    };
    assert_eq!((npu.id.as_str(), npu.kind), ("fdab0000.npu", Kind::Npu));
    assert_eq!(npu.model.as_deref(), Some("rockchip,rk3588-rknpu"));
    assert_eq!(attribute(npu, "sort"), Some("Rockchip NPU"));
    assert_eq!(npu.nodes[0].path, Path::new("/dev/dri/renderD129"));
    assert_eq!(board.gaps[0].what, "card0 (rockchip-drm)");
}

#[test]
fn a_loaded_driver_is_no_gpu() {
    // amdgpu is loaded there, and its KFD node is there, without any AMD hardware.
    let inventory = inventory("vm-kernel-6.1");
    assert!(inventory.devices.is_empty(), "{inventory:?}");
    for what in ["bochs-drm", "virtio_gpu", "vgem"] {
        assert!(
            inventory.gaps.iter().any(|gap| gap.what.contains(what)),
            "{what}"
        );
    }
}

#[test]
fn a_dump_of_a_crash_is_told() {
    let tree = Tree::load("rk3588");
    tree.add("L /sys/class/devcoredump/devcd3 -> ../../devices/virtual/devcoredump/devcd3\n\
              L /sys/devices/virtual/devcoredump/devcd3/failing_device -> ../../../platform/fb000000.gpu\n");
    let inventory = scan(&tree.host(), &Config::default());
    let mali = of(&inventory, "drm-gpu")[0];
    assert_eq!(
        attribute(mali, "last_hang"),
        Some("dump at /sys/class/devcoredump/devcd3/data")
    );
    assert_eq!(mali.health, Health::Healthy);
}

#[test]
fn laptops_whose_first_card_is_not_card0() {
    let inventory = inventory("amd-phoenix-laptop");
    let [gpu] = of(&inventory, "amd-gpu")[..] else {
        panic!("{inventory:?}")
    };
    assert_eq!(
        (gpu.id.as_str(), &gpu.health),
        ("0000:c4:00.0", &Health::Healthy)
    );
    assert_eq!(paths(gpu, Role::Card), ["/dev/dri/card1"]);
    assert_eq!(paths(gpu, Role::Render), ["/dev/dri/renderD128"]);
    assert_eq!(gpu.pci.as_ref().unwrap().path, ["0000:00:08.1"]);
    assert_eq!(gpu.pci.as_ref().unwrap().subsystem, Some((0x103c, 0x8c10)));
}

#[test]
fn a_laptop_with_gpus_of_two_vendors() {
    let inventory = inventory("dell-two-vendors");
    let (intel, amd) = (of(&inventory, "intel-gpu"), of(&inventory, "amd-gpu"));
    assert_eq!((intel.len(), amd.len()), (1, 1));
    assert_eq!(inventory.devices.len(), 2, "KFD's node is no device");
    assert_eq!(paths(intel[0], Role::Render), ["/dev/dri/renderD128"]);
    assert_eq!(paths(amd[0], Role::Render), ["/dev/dri/renderD129"]);
    assert_eq!(amd[0].pci.as_ref().unwrap().class, 0x03_8000);
    assert_eq!(intel[0].driver.as_ref().unwrap().name, "i915");
}

#[test]
fn a_gpu_and_an_npu_of_one_processor() {
    let inventory = inventory("lunar-lake-laptop");
    let found: Vec<_> = inventory
        .devices
        .iter()
        .map(|device| (device.family, device.id.as_str()))
        .collect();
    // The camera's processor has thirty-two video nodes, a program another, and none is a codec.
    assert_eq!(
        found,
        [("intel-gpu", "0000:00:02.0"), ("accel", "0000:00:0b.0")]
    );
    let (gpu, npu) = (&inventory.devices[0], &inventory.devices[1]);
    assert_eq!(gpu.driver.as_ref().unwrap().name, "xe");
    assert_eq!(attribute(gpu, "driver.origin"), Some("kernel"));
    assert_eq!(paths(gpu, Role::Card), ["/dev/dri/card1"]);
    assert_eq!(npu.model.as_deref(), Some("Intel NPU"));
    assert_eq!(paths(npu, Role::Own), ["/dev/accel/accel0"]);
    assert_eq!(npu.pci.as_ref().unwrap().class, 0x12_0000);
}

#[test]
fn gpus_behind_switches_with_nodes_of_their_own_each() {
    let inventory = inventory("nvidia-dgx-station");
    let gpus = of(&inventory, "nvidia");
    let found: Vec<_> = gpus
        .iter()
        .map(|gpu| (gpu.id.as_str(), paths(gpu, Role::Render)))
        .collect();
    assert_eq!(
        found,
        [
            ("0000:07:00.0", vec!["/dev/dri/renderD128"]),
            ("0000:08:00.0", vec!["/dev/dri/renderD129"]),
            ("0000:0e:00.0", vec!["/dev/dri/renderD130"]),
            ("0000:0f:00.0", vec!["/dev/dri/renderD131"])
        ]
    );
    let place = gpus[3].pci.as_ref().unwrap();
    assert_eq!(place.path, ["0000:00:03.0", "0000:0c:00.0", "0000:0d:10.0"]);
    // The driver's own files are no part of the capture.
    assert!(matches!(&gpus[0].health, Health::Unknown(why) if why.contains("/proc/driver/nvidia")));
    assert_eq!(inventory.devices.len(), 4, "{inventory:?}");
}

#[test]
fn a_server_before_anything_is_installed() {
    let inventory = inventory("nvidia-dgx-b200-unconfigured");
    let (gpus, engines) = (of(&inventory, "nvidia"), of(&inventory, "idxd"));
    assert_eq!((gpus.len(), engines.len()), (8, 2));
    assert_eq!(inventory.devices.len(), 10);
    for gpu in gpus {
        assert!(gpu.nodes.is_empty());
        assert_eq!(gpu.pci.as_ref().unwrap().path.len(), 5);
        assert!(
            matches!(&gpu.health, Health::Unhealthy(why) if why.contains("no driver is bound"))
        );
    }
    for engine in engines {
        assert!(matches!(&engine.health, Health::Unhealthy(why) if why.contains("config-wq")));
    }
    assert!(inventory.gaps.iter().any(|gap| gap.what.contains("(ast)")));
}
