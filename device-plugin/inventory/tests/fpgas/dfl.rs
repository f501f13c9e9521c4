//! Ports of DFL cards.

use super::{Tree, devices, nodes, why};
use dunnage_inventory::{Device, Health, Kind, Role, Shares};

fn one(name: &str) -> Device {
    let found = devices(&Tree::load(name), "dfl");
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

#[test]
fn n3000_with_the_kernels_driver() {
    let device = one("dfl-n3000");
    assert_eq!(device.id, "0000:05:00.0-port0");
    assert_eq!(device.parent.as_deref(), Some("0000:05:00.0"));
    assert!(device.is_called("0000:05:00.0") && device.is_called("dfl-port.0"));
    assert_eq!((device.kind, device.vendor.as_str()), (Kind::Fpga, "intel"));
    assert_eq!(device.model.as_deref(), Some("Intel FPGA PAC N3000"));
    assert_eq!(device.health, Health::Healthy);
    assert_eq!(device.shares, Shares::Any);
    assert_eq!(
        device.attributes["afu_id"],
        "9aeffe5f84570612c000c9660d824272"
    );
    assert_eq!(
        device.attributes["interface_id"],
        "a5d72a3cc8b04939912cf715e5dc10ca"
    );
    assert_eq!(device.attributes["region"], "region0");
    assert_eq!(device.attributes["socket_id"], "0");
    assert_eq!(
        device
            .nodes
            .iter()
            .map(|node| node.role)
            .collect::<Vec<_>>(),
        [Role::Own, Role::Management]
    );
}

#[test]
fn n6001_has_a_port_without_a_function_of_its_own() {
    let device = one("dfl-n6001");
    assert_eq!(device.id, "0000:b1:00.0-port0");
    assert_eq!(nodes(&device), ["/dev/dfl-port.0", "/dev/dfl-fme.0"]);
    assert_eq!((device.nodes[0].major, device.nodes[0].minor), (237, 0));
    assert_eq!(
        device.model.as_deref(),
        Some("Intel FPGA SmartNIC N6001-PL")
    );
    assert_eq!(device.numa_node, Some(1));
    let place = device.pci.as_ref().unwrap();
    assert_eq!(place.path, ["0000:b0:02.0"]);
    assert_eq!(place.iommu_group, Some(185));
    assert_eq!(place.link.as_ref().unwrap().width, 16);
    assert_eq!(
        device.attributes["interface_id"],
        "ce3139c959cf528ca27751c50829797a"
    );
    assert_eq!(device.attributes["bitstream_id"], "0x5010202aecbd6e5");
    assert!(matches!(&device.health, Health::Unknown(why) if why.contains("afu_id")));
}

#[test]
fn c6100_has_no_interface_id() {
    let device = one("dfl-c6100");
    assert_eq!(device.model.as_deref(), Some("Intel IPU C6100"));
    assert!(!device.attributes.contains_key("interface_id"));
    assert_eq!(device.attributes["bitstream_id"], "0x5010102c03ea89a");
}

#[test]
fn cards_with_the_driver_of_opae() {
    let device = one("dfl-oot-pac-a10");
    assert_eq!(
        nodes(&device),
        ["/dev/intel-fpga-port.0", "/dev/intel-fpga-fme.0"]
    );
    assert_eq!(
        device.attributes["afu_id"],
        "d8424dc4a4a3c413f89e433683f9040b"
    );
    assert_eq!(
        device.attributes["interface_id"],
        "f64e598bea11517fa28e7bc65d885104"
    );
    assert_eq!(device.attributes["region"], "intel-fpga-dev.0");
    assert_eq!(device.health, Health::Healthy);
    let device = one("dfl-oot-xeon");
    assert_eq!(device.parent.as_deref(), Some("0000:5e:00.0"));
    assert_eq!(
        device.model.as_deref(),
        Some("Intel Xeon with integrated FPGA")
    );
    assert_eq!(device.health, Health::Healthy);
    let device = one("dfl-oot-n3000");
    assert_eq!(device.model.as_deref(), Some("Intel FPGA PAC N3000"));
    assert_eq!(device.health, Health::Healthy);
}

const PORT: &str =
    "/sys/devices/pci0000:00/0000:00:02.0/0000:05:00.0/fpga_region/region0/dfl-port.0";
const FME: &str = "/sys/devices/pci0000:00/0000:00:02.0/0000:05:00.0/fpga_region/region0/dfl-fme.0";

#[test]
fn what_is_wrong_with_a_port_is_said() {
    let ones = "f".repeat(32);
    for (change, wanted) in [
        (
            format!("F {PORT}/afu_id = {ones}\\n"),
            "afu_id reads as all ones",
        ),
        (
            format!("F {FME}/dfl-fme-region.0/fpga_region/region2/compat_id = {ones}\\n"),
            "interface_id reads as all ones",
        ),
        (format!("F {PORT}/errors/errors = 0x4\\n"), "errors=0x4"),
        (format!("F {FME}/errors/pcie0_errors = 0x1 0x2\\n"), ""),
        (
            format!("F {FME}/errors/pcie0_errors = 0x10\\n"),
            "pcie0_errors=0x10",
        ),
        (
            format!("F {FME}/errors/catfatal_errors = 0x8\\n"),
            "catfatal_errors=0x8",
        ),
        (format!("F {FME}/errors/inject_errors = 0x1\\n"), ""),
        (format!("F {PORT}/afu_id = not an id\\n"), "32 hexadecimal"),
    ] {
        let tree = Tree::load("dfl-n3000");
        tree.add(&change);
        let found = devices(&tree, "dfl");
        assert!(why(&found[0]).contains(wanted), "{change}: {found:?}");
        assert_eq!(
            found[0].health == Health::Healthy,
            wanted.is_empty(),
            "{change}"
        );
    }
}

#[test]
fn a_port_without_a_driver_cannot_be_used() {
    let tree = Tree::load("dfl-n3000");
    std::fs::remove_file(tree.path(&format!("{PORT}/driver"))).unwrap();
    tree.add(&format!(
        "F {PORT}/uevent = MAJOR=244\\nMINOR=0\\nDEVNAME=dfl-port.0\\n"
    ));
    let found = devices(&tree, "dfl");
    assert!(matches!(&found[0].health, Health::Unhealthy(why) if why.contains("no driver")));
    assert_eq!(nodes(&found[0])[0], "/dev/dfl-port.0");
}

#[test]
fn ports_of_virtual_functions_and_of_other_vendors() {
    // Two ports on one card of Silicom's, and a third that was given to a virtual function.
    let mut text = String::new();
    let mut function = |address: &str, device: &str| {
        let path = format!("/sys/devices/pci0000:3b/{address}");
        text += &format!(
            "F {path}/vendor = 0x1c2c\\n\nF {path}/device = {device}\\n\n\
             L /sys/bus/pci/devices/{address} -> ../../../devices/pci0000:3b/{address}\n"
        );
        path
    };
    let whole = function("0000:3b:00.0", "0x1000");
    let part = function("0000:3b:00.4", "0x1000");
    text += &format!("L {part}/physfn -> ../0000:3b:00.0\n");
    for (path, region, port, id) in [(&whole, 0, 0, 0), (&whole, 0, 2, 1), (&part, 3, 1, 2)] {
        let port = format!("{path}/fpga_region/region{region}/dfl-port.{port}");
        text += &format!(
            "F {port}/id = {id}\\n\nF {port}/dev = 244:{id}\\n\n\
             F {port}/uevent = DRIVER=dfl-port\\nDEVNAME=dfl-port.{id}\\n\n\
             F {port}/afu_id = D8424DC4A4A3C413F89E433683F9040B\\n\n"
        );
    }
    for (address, region) in [("0000:3b:00.0", 0), ("0000:3b:00.4", 3)] {
        text += &format!(
            "L /sys/class/fpga_region/region{region} -> \
             ../../devices/pci0000:3b/{address}/fpga_region/region{region}\n"
        );
    }
    let found = devices(&Tree::of(&text), "dfl");
    let ids: Vec<_> = found.iter().map(|device| device.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "0000:3b:00.0-port0",
            "0000:3b:00.0-port1",
            "0000:3b:00.4-port2"
        ]
    );
    for device in &found {
        assert_eq!(device.parent.as_deref(), Some("0000:3b:00.0"));
        assert_eq!(device.vendor, "silicom");
        assert_eq!(
            device.attributes["afu_id"],
            "d8424dc4a4a3c413f89e433683f9040b"
        );
        assert_eq!(device.health, Health::Healthy);
    }
    // One address for two ports means neither.
    assert!(!found[0].is_called("0000:3b:00.0"));
    assert!(found[2].is_called("0000:3b:00.4"));
}
