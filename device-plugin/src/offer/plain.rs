//! Devices that need nothing but their own nodes: NPUs, codecs, DSA, FPGAs, what a rule names. And
//! how a node of the host becomes one of the container, for all vendors.
//!
//! An FPGA is its port, or its user function: the management node loads designs into the card and
//! serves all its ports, so it is given only where it is asked for (`Options::management`).

use super::edits::{DeviceNode, Edits, NodeKind};
use dunnage_inventory::{Device, Inventory, Node, Role};

/// All nodes for ordinary use.
pub(super) fn device_edits(device: &Device, _: &Inventory) -> Edits {
    edits_of(ordinary(device))
}

/// The nodes for administration.
pub(super) fn management_edits(device: &Device) -> Edits {
    edits_of(
        device
            .nodes
            .iter()
            .filter(|node| node.role == Role::Management),
    )
}

/// The nodes of a device that are no administration.
pub(super) fn ordinary(device: &Device) -> impl Iterator<Item = &Node> {
    device
        .nodes
        .iter()
        .filter(|node| node.role != Role::Management)
}

/// The nodes under their host's names, with the groups that may open them.
pub(super) fn edits_of<'n>(nodes: impl Iterator<Item = &'n Node>) -> Edits {
    let mut edits = Edits::default();
    for node in nodes {
        edits.additional_gids.extend(opening_group(node));
        if edits.nodes.iter().all(|other| other.path != node.path) {
            edits.nodes.push(container_node(node));
        }
    }
    edits.additional_gids.sort_unstable();
    edits.additional_gids.dedup();
    edits
}

/// A node of the host as the container gets it: the same name, numbers and permission bits.
///
/// Owner and group are the host's where a group other than root's may open it; the container's user is
/// then put into that group. Else they are left to the engine, which makes the node belong to the
/// container's user (`container-edits.go` of the CDI library), so that a node of root's alone
/// (`/dev/vfio/12`) can be opened by that user too.
fn container_node(node: &Node) -> DeviceNode {
    let by_group = opening_group(node).is_some();
    let owned = node.access.filter(|_| by_group);
    DeviceNode {
        path: node.path.clone(),
        host_path: node.path.clone(),
        kind: if node.block {
            NodeKind::Block
        } else {
            NodeKind::Char
        },
        major: node.major,
        minor: node.minor,
        mode: node.access.map(|access| access.mode),
        uid: owned.map(|access| access.uid),
        gid: owned.map(|access| access.gid),
        // Making further nodes of the device is nothing that using it needs.
        permissions: "rw",
    }
}

/// The group that a user must be in to open the node; `None` where everybody may, or only root.
fn opening_group(node: &Node) -> Option<u32> {
    let access = node.access?;
    let (group, others) = (access.mode >> 3 & 0o6, access.mode & 0o6);
    (group & !others != 0 && access.gid != 0).then_some(access.gid)
}
