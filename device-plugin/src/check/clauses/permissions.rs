//! Who may open the nodes, and who could start the image. Neither decides: engines give the nodes to
//! the container, and an engine can be installed.

use super::Clause;
use crate::check::host::HostFacts;
use dunnage_inventory::{Device, Role};

/// Whether a program that is not root can open the device's own nodes.
pub(super) fn nodes(device: &Device) -> Option<Clause> {
    let access = device.nodes.iter().filter_map(|node| {
        let opened = matches!(node.role, Role::Own | Role::Render | Role::Control);
        Some((node, node.access.filter(|_| opened)?))
    });
    let closed = access
        .clone()
        .find(|(_, access)| access.mode & 0o006 != 0o006);
    let clause = Clause::new("permission to open the device").beside();
    match closed {
        Some((node, access)) => Some(
            clause
                .wanted("read and write", "whoever the program runs as")
                .there(format!("{:04o}, group {}", access.mode, access.gid))
                .there_by(node.path.to_string_lossy())
                .unknown(format!(
                    "run as root or with the group {} (--group-add {})",
                    access.gid, access.gid
                )),
        ),
        None => {
            let (node, access) = access.clone().next()?;
            Some(
                clause
                    .wanted("read and write", "whoever the program runs as")
                    .there(format!("{:04o}", access.mode))
                    .there_by(node.path.to_string_lossy())
                    .yes(),
            )
        }
    }
}

/// Whether there is an engine to start it with.
pub(super) fn engine(host: &HostFacts) -> Option<Clause> {
    let clause = Clause::new("container engine").beside();
    Some(if host.engines.is_empty() {
        clause
            .there("none found")
            .there_by("/run")
            .unknown("start Docker, Podman, containerd or another engine")
    } else {
        clause.there(host.engines.join(", ")).there_by("/run").yes()
    })
}
