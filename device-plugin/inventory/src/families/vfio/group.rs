//! One IOMMU group, and whether VFIO can give it away.

use super::GROUPS;
use crate::device::{Node, Role};
use crate::{nodes, pci};
use dunnage_host::HostRoot;
use std::path::{Path, PathBuf};

/// The most devices of one group that are looked at. A bridge without access control (ACS) puts all
/// that is below it into one group.
const MEMBERS_LIMIT: usize = 4096;

/// A device of a group.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// The PCI address, or the name on another bus.
    pub(crate) name: String,
    /// Its directory in sysfs.
    pub(crate) directory: PathBuf,
    /// Whether it is a mediated device.
    pub(crate) mediated: bool,
    /// The driver that is bound.
    driver: Option<String>,
}

impl Member {
    /// Whether a VFIO driver is bound. Those of vendors carry the word in their name
    /// (`mlx5_vfio_pci`, `nvgrace-gpu-vfio-pci`, `xe-vfio-pci`); what is bound to a mediated device
    /// always is one.
    pub(crate) fn is_vfio(&self) -> bool {
        self.driver
            .as_deref()
            .is_some_and(|driver| self.mediated || driver.contains("vfio"))
    }

    /// Whether the kernel leaves the group's memory mappings to VFIO all the same: unbound devices,
    /// and drivers that do no DMA of their own (`driver_managed_dma` in `struct pci_driver`).
    fn is_neutral(&self) -> bool {
        matches!(self.driver.as_deref(), None | Some("pcieport" | "pci-stub"))
    }
}

/// A group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Its number, of this boot.
    pub(crate) number: u32,
    /// Its devices, by name.
    pub(crate) members: Vec<Member>,
    /// The group's own node first, then those of its devices, then what all VFIO users need.
    pub(crate) nodes: Vec<Node>,
}

impl Group {
    /// The group that the PCI function `address` is in.
    pub(crate) fn of(host: &HostRoot, address: &str) -> Option<Group> {
        let link = pci::directory(address).join("iommu_group");
        let number = pci::last_part(host, &link)?.parse().ok()?;
        Some(Group::read(host, number))
    }

    /// Group `number`; without members where there is no such group.
    pub(crate) fn read(host: &HostRoot, number: u32) -> Group {
        let folder = Path::new(GROUPS).join(number.to_string()).join("devices");
        let (names, _) = host.entries(&folder, MEMBERS_LIMIT).unwrap_or_default();
        let members: Vec<Member> = names
            .iter()
            .filter_map(|name| name.to_str())
            .map(|name| member(host, &folder, name))
            .collect();
        let nodes = if members.iter().any(Member::is_vfio) {
            nodes_of(host, number, &members)
        } else {
            Vec::new()
        };
        Group {
            number,
            members,
            nodes,
        }
    }

    /// Why the group cannot be used, where it cannot: the kernel calls such a group not viable.
    pub(crate) fn obstacle(&self) -> Option<String> {
        let number = self.number;
        let foreign: Vec<String> = self
            .members
            .iter()
            .filter(|member| !member.is_vfio() && !member.is_neutral())
            .map(|member| {
                let driver = member.driver.as_deref().unwrap_or_default();
                format!("{} is bound to {driver}", member.name)
            })
            .collect();
        if !foreign.is_empty() {
            return Some(format!(
                "IOMMU group {number} is not viable: {}; bind it to vfio-pci too, or unbind it",
                foreign.join(", ")
            ));
        }
        let own = self.nodes.iter().any(|node| node.role == Role::Own);
        (!own).then(|| format!("IOMMU group {number} has no node below /dev/vfio"))
    }
}

fn member(host: &HostRoot, folder: &Path, name: &str) -> Member {
    let directory = if pci::is_address(name) {
        pci::directory(name)
    } else {
        folder.join(name)
    };
    Member {
        name: name.to_owned(),
        mediated: pci::last_part(host, &directory.join("subsystem")).as_deref() == Some("mdev"),
        driver: pci::driver(host, &directory).map(|driver| driver.name),
        directory,
    }
}

fn nodes_of(host: &HostRoot, number: u32, members: &[Member]) -> Vec<Node> {
    let class = Path::new("/sys/class/vfio");
    // Without an IOMMU (`enable_unsafe_noiommu_mode`) the node's name says so.
    let mut all: Vec<Node> = [number.to_string(), format!("noiommu-{number}")]
        .iter()
        .filter_map(|name| {
            nodes::of_sysfs(host, class.join(name), Role::Own)
                .or_else(|| nodes::at(host, Path::new("/dev/vfio").join(name), Role::Own))
        })
        .take(1)
        .collect();
    let before = all.len();
    for member in members.iter().filter(|member| member.is_vfio()) {
        let folder = member.directory.join("vfio-dev");
        let (names, _) = host.entries(&folder, MEMBERS_LIMIT).unwrap_or_default();
        all.extend(
            names
                .iter()
                .filter_map(|name| nodes::of_sysfs(host, folder.join(name), Role::Own)),
        );
    }
    let has_devices = all.len() > before;
    let control = |name: &str, path: &str| {
        nodes::of_sysfs(host, Path::new("/sys/class/misc").join(name), Role::Control)
            .or_else(|| nodes::at(host, path, Role::Control))
    };
    all.extend(control("vfio", "/dev/vfio/vfio"));
    if has_devices {
        all.extend(control("iommu", "/dev/iommu"));
    }
    all
}
