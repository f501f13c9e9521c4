//! All that the virtual machine of the end-to-end tests has, as one tree.

use super::{Tree, nodes, why};
use dunnage_inventory::{Config, Health, Inventory, scan};

fn inventory() -> Inventory {
    scan(&Tree::load("qemu-devices").host(), &Config::default())
}

#[test]
fn ports_of_the_kernels_own_stack() {
    let inventory = inventory();
    let ports: Vec<_> = inventory
        .devices
        .iter()
        .filter(|device| device.family == "dfl")
        .collect();
    let ids: Vec<_> = ports.iter().map(|device| device.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "0000:00:04.0-port0",
            "0000:00:05.0-port0",
            "0000:00:06.0-port0",
            "0000:00:07.0-port0"
        ]
    );
    assert_eq!(nodes(ports[1]), ["/dev/dfl-port.1", "/dev/dfl-fme.1"]);
    assert_eq!(ports[0].health, Health::Healthy);
    assert_eq!(
        ports[0].attributes["interface_id"],
        "69528db6eb31577a9926ab6d6c925a68"
    );
    assert_eq!(ports[0].attributes["bitstream_id"], "0x23000410010310");
    assert!(why(ports[2]).contains("errors=0x4"));
    assert!(why(ports[3]).contains("all ones"));
    assert_eq!(ports[0].vendor, "1af4");
}

#[test]
fn groups_functions_and_a_mediated_device() {
    let inventory = inventory();
    let disk = inventory.find("0000:01:00.1").unwrap();
    assert_eq!(disk.parent.as_deref(), Some("0000:01:00.0"));
    assert_eq!(disk.pci.as_ref().unwrap().path, ["0000:00:09.0"]);
    let mut own = std::collections::BTreeSet::new();
    for name in [
        "0000:00:08.0",
        "0000:01:00.1",
        "0000:01:00.2",
        "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
    ] {
        let device = inventory.find(name).unwrap();
        assert_eq!((device.family, &device.health), ("vfio", &Health::Healthy));
        assert_eq!(nodes(device)[1], "/dev/vfio/vfio");
        assert!(own.insert(nodes(device)[0].to_owned()));
    }
    let mediated = inventory
        .find("83b8f4f2-509f-382f-3c1e-e6bfe0fa1001")
        .unwrap();
    assert_eq!(mediated.attributes["mdev.type"], "mtty-2");
    assert_eq!(mediated.model.as_deref(), Some("Dual port serial"));
}

#[test]
fn nothing_is_listed_twice_and_nothing_is_lost() {
    let inventory = inventory();
    assert_eq!(inventory.gaps, []);
    let mut families: Vec<_> = inventory
        .devices
        .iter()
        .map(|device| device.family)
        .collect();
    families.sort_unstable();
    families.retain(|family| ["dfl", "vfio", "accel"].contains(family));
    let expected = [["accel"; 1].as_slice(), &["dfl"; 4], &["vfio"; 4]].concat();
    assert_eq!(families, expected);
}
