//! Devices that are given through VFIO: groups, and QAT's virtual functions
//! (`Documentation/driver-api/vfio.rst`). A user opens the container `/dev/vfio/vfio`, which everybody
//! may open and which gives nothing by itself, and the group `/dev/vfio/N`, which is the device.

use super::edits::Edits;
use super::plain;
use dunnage_inventory::{Device, Inventory, Node, Role};
use std::path::Path;

/// The misc device's number in `include/linux/miscdevice.h` (`VFIO_MINOR`), under major 10.
const CONTROL: (u32, u32) = (10, 196);

/// Whether a device is given through VFIO.
pub(super) fn serves(device: &Device) -> bool {
    device.nodes.iter().any(is_group)
}

fn is_group(node: &Node) -> bool {
    node.path.starts_with("/dev/vfio") && node.path != Path::new("/dev/vfio/vfio")
}

/// The nodes, and `/dev/vfio/vfio` where the family did not name it.
pub(super) fn device_edits(device: &Device, _: &Inventory) -> Edits {
    let mut nodes: Vec<Node> = plain::ordinary(device).cloned().collect();
    let control = Path::new("/dev/vfio/vfio");
    if nodes.iter().all(|node| node.path != control) {
        nodes.push(Node {
            path: control.to_path_buf(),
            role: Role::Control,
            block: false,
            major: CONTROL.0,
            minor: CONTROL.1,
            access: None,
        });
    }
    plain::edits_of(nodes.iter())
}
