//! Trees that nobody should make: loops, links that lead out, giant and binary attributes, numbers
//! out of range. Nothing panics, nothing hangs, nothing of this machine shows.

use super::{Tree, devices};
use dunnage_inventory::{Config, Health, scan};

#[test]
fn loops_and_links_that_lead_out() {
    let tree = Tree::of(
        "L /sys/class/fpga_region/region0 -> region0\n\
         L /sys/class/fpga_region/region1 -> ../../../../../../../../etc\n\
         L /sys/class/fpga -> /sys/class/fpga\n\
         L /sys/kernel/iommu_groups/1/devices -> ..\n\
         L /sys/kernel/iommu_groups/2 -> /proc/self\n\
         L /sys/bus/dsa/devices/dsa0 -> dsa1\n\
         L /sys/bus/dsa/devices/dsa1 -> dsa0\n\
         L /sys/bus/pci/devices/0000:00:00.0 -> ../devices\n\
         L /sys/class/loop/a -> ../../..\n",
    );
    let config = "[[rule]]\nname = \"a\"\nclass = \"loop\"\n[[rule]]\nname = \"b\"\ndriver = \"x\"\n\
                  [[rule]]\nname = \"c\"\nnodes = [\"/dev/*/*/*\"]\n";
    let inventory = scan(&tree.host(), &Config::parse(config).unwrap());
    for device in inventory.devices {
        assert_ne!(device.health, Health::Healthy, "{device:?}");
        assert!(device.nodes.is_empty(), "{device:?}");
    }
}

#[test]
fn values_of_no_sense() {
    let port = "/sys/devices/pci0000:3b/0000:3b:00.0/fpga_region/region0/dfl-port.0";
    let big = "9".repeat(100);
    let tree = Tree::of(&format!(
        "L /sys/class/fpga_region/region0 -> ../../devices/pci0000:3b/0000:3b:00.0/fpga_region/region0\n\
         D /sys/class/fpga_region/region{big}\n\
         D /sys/class/fpga_region/region+1/dfl-port.7\n\
         L /sys/bus/pci/devices/0000:3b:00.0 -> ../../../devices/pci0000:3b/0000:3b:00.0\n\
         F /sys/devices/pci0000:3b/0000:3b:00.0/vendor = 0x{big}\\n\n\
         F {port}/id = {big}\\n\n\
         F {port}/dev = {big}:-1\\n\n\
         F {port}/uevent = DEVNAME=../../etc/shadow\\nDRIVER=\\x1b[2J\\n\n\
         F {port}/errors/errors = 0x{big}{big}\\n\n\
         F {port}/afu_id = \\xff\\xfe\\x00\\n\n"
    ));
    let found = devices(&tree, "dfl");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id, "dfl-port.0");
    assert!(found[0].nodes.is_empty() && found[0].pci.is_none());
    assert!(!found[0].attributes.contains_key("afu_id"));
}

#[test]
fn attributes_of_any_size_are_not_read_whole() {
    let tree = Tree::load("dfl-n3000");
    let port = "/sys/devices/pci0000:00/0000:00:02.0/0000:05:00.0/fpga_region/region0/dfl-port.0";
    let file = std::fs::File::create(tree.path(&format!("{port}/afu_id"))).unwrap();
    file.set_len(1 << 40).unwrap();
    let found = devices(&tree, "dfl");
    assert!(matches!(&found[0].health, Health::Unknown(_)));
}

#[test]
fn a_fifo_in_place_of_an_attribute_does_not_block() {
    let tree = Tree::load("idxd-dedicated");
    let state = tree.path("/sys/devices/pci0000:6a/0000:6a:01.0/dsa0/wq0.0/state");
    std::fs::remove_file(&state).unwrap();
    nix::unistd::mkfifo(&state, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let found = devices(&tree, "idxd");
    assert!(matches!(&found[0].health, Health::Unknown(_)));
}
