//! Trees that no kernel writes: loops, giant and binary files, ids of nobody, links that lead out,
//! a thousand cards. Nothing may panic, hang, or read what is outside the root.

mod tree;

use dunnage_inventory::{Config, Health, scan};
use proptest::prelude::*;
use std::fmt::Write;
use std::time::{Duration, Instant};
use tree::Tree;

/// Far more than any of these takes, and little enough to find what never ends.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn loops_end() {
    let tree = Tree::of(
        "L /sys/class/drm/card0 -> ../../class/drm/card1\n\
         L /sys/class/drm/card1 -> ../../class/drm/card0\n\
         L /sys/class/drm/renderD128 -> renderD128\n\
         L /sys/class/accel/accel0 -> ..\n\
         L /sys/class/video4linux/video0 -> .\n\
         L /sys/class/kfd/kfd/topology/nodes/1 -> ../nodes\n\
         L /sys/bus/media/devices/media0 -> ../devices\n\
         L /sys/bus/pci/devices/0000:00:02.0 -> ../devices/0000:00:02.0\n\
         L /sys/bus/pci/drivers/amdgpu/0000:00:02.0 -> ../../../../bus/pci/devices/0000:00:02.0\n",
    );
    let begin = Instant::now();
    let inventory = scan(&tree.host(), &Config::default());
    assert!(inventory.devices.is_empty(), "{inventory:?}");
    assert!(begin.elapsed() < PATIENCE);
}

#[test]
fn links_do_not_lead_out_of_the_root() {
    let outside = Tree::of("F /secret = the secret\\n");
    let tree = Tree::load("amd-vega-desktop");
    let place = "/sys/devices/pci0000:00/0000:00:03.1/0000:09:00.0";
    let secret = outside.path("/secret");
    tree.add(&format!(
        "L {place}/vbios_new -> {}\nL {place}/fw_version/smc_fw_version -> {}\n",
        secret.display(),
        secret.display()
    ));
    let shown = format!("{:?}", scan(&tree.host(), &Config::default()));
    assert!(!shown.contains("the secret"), "{shown}");
}

#[test]
fn giant_and_binary_attributes_cost_one_fact() {
    let tree = Tree::load("amd-vega-desktop");
    let place = "/sys/devices/pci0000:00/0000:00:03.1/0000:09:00.0";
    std::fs::write(
        tree.path(&format!("{place}/vbios_version")),
        vec![b'x'; 64 << 20],
    )
    .unwrap();
    tree.add(&format!(
        "F {place}/product_name = \\xff\\xfe\\x00\\x1b[31m\\n\n\
         F {place}/mem_info_vram_total = 99999999999999999999999999\\n\n\
         F {place}/ras/umc_err_count = \\x00\\xff\n"
    ));
    let inventory = scan(&tree.host(), &Config::default());
    let vega = inventory.find("0000:09:00.0").unwrap();
    assert_eq!(vega.firmware, None, "too long to be a version");
    assert_eq!(vega.memory, None, "no number");
    assert_eq!(
        vega.health,
        Health::Healthy,
        "a counter without a number counts nothing"
    );
    assert!(vega.model.as_ref().unwrap().len() < 300);
}

#[test]
fn topologies_of_nonsense_are_survived() {
    let tree = Tree::load("amd-mi210-two-hives");
    let nodes = "/sys/devices/virtual/kfd/kfd/topology/nodes";
    tree.add(&format!(
        "F {nodes}/2/io_links/1/properties = type 11\\nnode_to 18446744073709551615\\n\n\
         F {nodes}/2/io_links/2/properties = type 11\\nnode_to 2\\n\n\
         F {nodes}/2/mem_banks/0/properties = heap_type 1\\nsize_in_bytes 18446744073709551615\\n\n\
         F {nodes}/2/mem_banks/1/properties = heap_type 1\\nsize_in_bytes 18446744073709551615\\n\n\
         F {nodes}/4294967295/properties = simd_count 1\\nlocation_id 18446744073709551615\\ndomain 18446744073709551615\\n\n\
         F {nodes}/99999999999999/properties = simd_count 1\\n\n\
         D {nodes}/7/properties\n"
    ));
    let inventory = scan(&tree.host(), &Config::default());
    let gpu = inventory.find("0000:63:00.0").unwrap();
    assert!(
        gpu.peers.iter().all(|peer| peer.id != gpu.id),
        "no peer of itself"
    );
    assert_eq!(gpu.memory.map(|bytes| bytes.0), Some(u64::MAX));
    assert!(
        inventory
            .gaps
            .iter()
            .any(|gap| gap.why.contains("could not be read"))
    );
}

#[test]
fn a_thousand_cards_are_found() {
    let mut text = String::new();
    for number in 0..1000 {
        let place = format!("/sys/devices/platform/gpu.{number}");
        write!(
            text,
            "F {place}/drm/renderD{number}/dev = 226:{number}\\n\n\
             L {place}/drm/renderD{number}/device -> ../../../gpu.{number}\n\
             L {place}/driver -> ../../../bus/platform/drivers/lima\n\
             L /sys/class/drm/renderD{number} -> ../../devices/platform/gpu.{number}/drm/renderD{number}\n"
        )
        .unwrap();
    }
    let tree = Tree::of(&text);
    let begin = Instant::now();
    let inventory = scan(&tree.host(), &Config::default());
    assert_eq!(inventory.devices.len(), 1000);
    assert!(begin.elapsed() < PATIENCE);
}

#[test]
fn names_that_lead_elsewhere_make_no_node() {
    let tree = Tree::load("accel-amd-npu");
    let place = "/sys/devices/pci0000:00/0000:00:08.2/0000:c2:00.1/accel/accel0";
    tree.add(&format!("F {place}/uevent = DEVNAME=../../etc/shadow\\n\n"));
    let inventory = scan(&tree.host(), &Config::default());
    let npu = inventory.find("accel0").unwrap();
    assert!(npu.nodes.is_empty(), "{npu:?}");
    assert!(matches!(npu.health, Health::Unknown(_)));
}

/// Every file of a tree, as the host names it.
fn files(name: &str) -> Vec<String> {
    let path = format!("{}/tests/trees/{name}.tree", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .filter_map(|line| Some(line.strip_prefix("F ")?.split_once(" =")?.0.to_owned()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_content_of_any_file_is_survived(
        tree in prop::sample::select(vec![
            "amd-mi308-partitions", "amd-vega-desktop", "intel-b580-vm", "intel-laptop",
            "habana-gaudi2-accel", "accel-amd-npu", "rk3588", "displays-and-virtual",
        ]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..80)), 1..12),
    ) {
        let all = files(tree);
        let disk = Tree::load(tree);
        for (index, content) in &changes {
            std::fs::write(disk.path(&all[index.index(all.len())]), content).unwrap();
        }
        let inventory = scan(&disk.host(), &Config::default());
        for device in &inventory.devices {
            for node in &device.nodes {
                prop_assert!(node.path.starts_with("/dev"), "{node:?}");
                prop_assert!(!node.path.to_string_lossy().contains(".."), "{node:?}");
            }
        }
    }
}
