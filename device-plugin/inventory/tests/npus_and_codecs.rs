//! NPUs, Gaudi and codecs on trees of real hosts: what a file's head says of its origin holds for
//! the tests on it.

mod tree;

use dunnage_inventory::{Config, Device, Health, Kind, Role, Shares, scan};
use tree::{Tree, inventory, of};

fn paths(device: &Device) -> Vec<(&str, Role)> {
    device
        .nodes
        .iter()
        .filter_map(|node| Some((node.path.to_str()?, node.role)))
        .collect()
}

fn attribute<'a>(device: &'a Device, name: &str) -> Option<&'a str> {
    device.attributes.get(name).map(String::as_str)
}

#[test]
fn an_intel_npu_in_a_virtual_machine() {
    let inventory = inventory("accel-intel-npu-vm");
    let [npu] = of(&inventory, "accel")[..] else {
        panic!("{inventory:?}")
    };
    assert_eq!((npu.id.as_str(), npu.kind), ("0000:02:05.0", Kind::Npu));
    assert_eq!(
        (npu.vendor.as_str(), &npu.health),
        ("intel", &Health::Healthy)
    );
    assert_eq!(npu.model.as_deref(), Some("Intel NPU"));
    assert!(npu.firmware.as_ref().unwrap().contains("vpu_rc_20240726"));
    assert_eq!(paths(npu), [("/dev/accel/accel0", Role::Own)]);
    assert_eq!((npu.nodes[0].major, npu.nodes[0].minor), (261, 0));
    assert!(npu.is_called("accel0"));
}

#[test]
fn an_amd_npu_tells_its_name_and_firmware() {
    let inventory = inventory("accel-amd-npu");
    let [npu] = of(&inventory, "accel")[..] else {
        panic!("{inventory:?}")
    };
    assert_eq!(npu.id, "0000:c2:00.1");
    assert_eq!(npu.model.as_deref(), Some("RyzenAI-npu1"));
    assert_eq!(npu.firmware.as_deref(), Some("1.5.2.380"));
    assert_eq!(npu.vendor, "amd");
}

#[test]
fn an_npu_whose_cores_share_a_node() {
    let inventory = inventory("rk3588");
    let [npu] = of(&inventory, "accel")[..] else {
        panic!("{inventory:?}")
    };
    assert_eq!(npu.id, "rknn");
    assert_eq!(npu.driver.as_ref().unwrap().name, "rocket");
    assert_eq!(npu.model.as_deref(), Some("Rockchip NPU"));
}

#[test]
fn a_driver_that_nobody_knows_is_found_all_the_same() {
    let tree = Tree::of(
        "F /sys/devices/pci0000:00/0000:00:09.0/vendor = 0xdead\\n\n\
         F /sys/devices/pci0000:00/0000:00:09.0/device = 0xbeef\\n\n\
         L /sys/bus/pci/devices/0000:00:09.0 -> ../../../devices/pci0000:00/0000:00:09.0\n\
         L /sys/devices/pci0000:00/0000:00:09.0/driver -> ../../../bus/pci/drivers/tomorrow\n\
         F /sys/devices/pci0000:00/0000:00:09.0/accel/accel7/dev = 261:7\\n\n\
         L /sys/devices/pci0000:00/0000:00:09.0/accel/accel7/device -> ../../../0000:00:09.0\n\
         L /sys/class/accel/accel7 -> ../../devices/pci0000:00/0000:00:09.0/accel/accel7\n\
         F /sys/devices/pci0000:00/0000:00:09.0/accel/accel8/dev = 261:8\\n\n\
         L /sys/devices/pci0000:00/0000:00:09.0/accel/accel8/device -> ../../../0000:00:09.0\n\
         L /sys/class/accel/accel8 -> ../../devices/pci0000:00/0000:00:09.0/accel/accel8\n",
    );
    let inventory = scan(&tree.host(), &Config::default());
    let found: Vec<_> = of(&inventory, "accel")
        .iter()
        .map(|npu| (npu.id.as_str(), npu.vendor.as_str(), npu.model.as_deref()))
        .collect();
    // Two members of one function are two devices, as with the partitions of qaic.
    assert_eq!(
        found,
        [
            ("0000:00:09.0-accel7", "0xdead", None),
            ("0000:00:09.0-accel8", "0xdead", None)
        ]
    );
}

#[test]
fn gaudi_in_a_class_of_its_own() {
    let inventory = inventory("habana-gaudi-own-class");
    let gaudis = of(&inventory, "habana");
    assert_eq!(gaudis.len(), 2);
    let first = gaudis[0];
    assert_eq!(
        (first.id.as_str(), first.vendor.as_str()),
        ("0000:19:00.0", "habana")
    );
    assert_eq!(
        paths(first),
        [
            ("/dev/hl0", Role::Own),
            ("/dev/hl_controlD0", Role::Control)
        ]
    );
    assert_eq!(first.model.as_deref(), Some("Gaudi"));
    assert_eq!(first.shares, Shares::One);
    assert_eq!(first.health, Health::Healthy);
    assert_eq!(
        first.firmware.as_deref(),
        Some("hl-gaudi-1.1.0-fw-33.0.1-sec-2")
    );
    let version = &first.driver.as_ref().unwrap().version;
    assert_eq!(version.as_deref(), Some("1.1.0-5eba4a72"));
    assert!(matches!(&gaudis[1].health, Health::Unhealthy(why) if why.contains("in reset")));
    assert_eq!(attribute(gaudis[1], "resets.hard"), Some("1"));
}

#[test]
fn gaudi_of_the_accel_class_is_not_found_twice() {
    let inventory = inventory("habana-gaudi2-accel");
    let gaudis = of(&inventory, "habana");
    assert_eq!(inventory.devices.len(), 2, "{inventory:?}");
    assert_eq!(
        paths(gaudis[0]),
        [
            ("/dev/accel/accel0", Role::Own),
            ("/dev/accel/accel_controlD0", Role::Control)
        ]
    );
    assert_eq!(gaudis[0].model.as_deref(), Some("Gaudi 2"));
    assert!(matches!(&gaudis[1].health, Health::Unhealthy(why) if why.contains("disabled")));
}

#[test]
fn gaudi_beside_another_device_of_the_class() {
    let inventory = inventory("habana-gaudi3-accel");
    assert_eq!(of(&inventory, "habana")[0].id, "0000:9a:00.0");
    assert_eq!(
        of(&inventory, "habana")[0].model.as_deref(),
        Some("Gaudi 3")
    );
    assert_eq!(of(&inventory, "accel")[0].id, "0000:00:0b.0");
    assert_eq!(inventory.devices.len(), 2);
}

#[test]
fn codecs_of_a_board_with_their_controllers() {
    let inventory = inventory("rk3588");
    let codecs = of(&inventory, "media");
    let ids: Vec<_> = codecs.iter().map(|codec| codec.id.as_str()).collect();
    assert_eq!(ids, ["fdb50000.video-codec", "fdc38100.video-codec"]);
    assert_eq!(
        paths(codecs[1]),
        [("/dev/video1", Role::Own), ("/dev/media0", Role::Control)]
    );
    assert_eq!(attribute(codecs[1], "codec.api"), Some("stateless"));
    assert_eq!(codecs[1].vendor, "rockchip");
    assert_eq!(codecs[1].kind, Kind::Media);
    assert_eq!(codecs[1].model.as_deref(), Some("rockchip,rk3588-vdec"));
}

#[test]
fn codecs_of_a_firmware_without_its_camera_pipeline() {
    let inventory = inventory("raspberry-pi-3");
    let [codec] = of(&inventory, "media")[..] else {
        panic!("{inventory:?}")
    };
    assert_eq!(codec.id, "bcm2835-codec");
    assert_eq!(
        paths(codec),
        [
            ("/dev/video10", Role::Own),
            ("/dev/video11", Role::Own),
            ("/dev/media1", Role::Control)
        ]
    );
    assert_eq!(
        attribute(codec, "codec.nodes"),
        Some("bcm2835-codec-decode, bcm2835-codec-encode")
    );
}

#[test]
fn a_webcam_is_no_accelerator() {
    let inventory = inventory("raspberry-pi-4");
    let ids: Vec<_> = of(&inventory, "media")
        .iter()
        .map(|codec| codec.id.as_str())
        .collect();
    assert_eq!(ids, ["bcm2835-codec", "feb10000.codec"]);
    for device in &inventory.devices {
        assert!(!device.is_called("video0"), "{device:?}");
    }
}

#[test]
fn a_camera_made_by_a_program_is_none_either() {
    let inventory = inventory("vm-kernel-6.1");
    assert!(of(&inventory, "media").is_empty(), "vivid: {inventory:?}");
}

#[test]
fn devices_of_a_test_driver_in_a_virtual_machine() {
    let inventory = inventory("vm-kernel-6.12");
    let found: Vec<_> = inventory
        .devices
        .iter()
        .map(|device| (device.family, device.id.as_str(), device.vendor.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("drm-gpu", "fakegpu.0", "fakegpu"),
            ("drm-gpu", "fakegpu.1", "fakegpu"),
            ("accel", "fakegpu.2", "fakegpu")
        ]
    );
    assert_eq!(
        paths(&inventory.devices[2]),
        [("/dev/accel/accel0", Role::Own)]
    );
}

#[test]
fn an_amd_npu_of_a_newer_generation() {
    let inventory = inventory("accel-strix-halo");
    let [npu] = of(&inventory, "accel")[..] else {
        panic!("{inventory:?}")
    };
    assert_eq!(npu.id, "0000:c0:00.1");
    assert_eq!(npu.model.as_deref(), Some("RyzenAI-npu5"));
    assert_eq!(npu.firmware.as_deref(), Some("1.1.2.65"));
    assert_eq!(paths(npu), [("/dev/accel/accel0", Role::Own)]);
}

#[test]
fn eight_gaudi_tell_their_versions() {
    let inventory = inventory("habana-aws-dl1");
    let gaudis = of(&inventory, "habana");
    assert_eq!((gaudis.len(), inventory.devices.len()), (8, 8));
    // The driver counts in the order in which it was ready, not in that of the bus.
    let second = inventory.find("hl1").unwrap();
    assert_eq!(second.id, "0000:90:1d.0");
    for gaudi in &gaudis {
        let driver = gaudi.driver.as_ref().unwrap();
        assert_eq!(
            (driver.name.as_str(), driver.version.as_deref()),
            ("habanalabs", Some("1.10.0-416d95e"))
        );
        assert_eq!(
            gaudi.firmware.as_deref(),
            Some("hl-gaudi-1.2.3-fw-32.6.6-sec-4")
        );
        // The first line of that file is the boot loader's.
        assert_eq!(
            attribute(gaudi, "firmware.preboot"),
            Some("Preboot version hl-gaudi-0.14.10-fw-32.0.13-sec-4 (Aug 13 2021 - 17:47:26)")
        );
        assert!(matches!(&gaudi.health, Health::Unknown(why) if why.contains("status")));
    }
}

#[test]
fn codecs_of_raspberry_pis_on_another_system() {
    for (name, gpu) in [
        ("raspberry-pi-3b-ubuntu", "soc:gpu"),
        ("raspberry-pi-4b-ubuntu", "fec00000.v3d"),
    ] {
        let inventory = inventory(name);
        // Neither the image processor nor the display apart is an accelerator.
        assert_eq!(inventory.devices.len(), 2, "{name}: {inventory:?}");
        assert_eq!(of(&inventory, "drm-gpu")[0].id, gpu);
        let codec = of(&inventory, "media")[0];
        assert_eq!(
            (codec.id.as_str(), codec.vendor.as_str()),
            ("bcm2835-codec", "broadcom")
        );
        assert_eq!(
            paths(codec),
            [
                ("/dev/video10", Role::Own),
                ("/dev/video11", Role::Own),
                ("/dev/video12", Role::Own),
                ("/dev/media1", Role::Control)
            ]
        );
    }
}

#[test]
fn codecs_beside_a_camera_and_a_2d_engine() {
    let inventory = inventory("media-nanopc-t4");
    let found: Vec<_> = of(&inventory, "media")
        .iter()
        .map(|codec| (codec.id.as_str(), paths(codec)))
        .collect();
    assert_eq!(
        found,
        [
            (
                "ff650000.video-codec",
                vec![("/dev/video6", Role::Own), ("/dev/video7", Role::Own)]
            ),
            ("ff660000.video-codec", vec![("/dev/video5", Role::Own)])
        ]
    );
    assert_eq!(inventory.devices.len(), 2);
}
