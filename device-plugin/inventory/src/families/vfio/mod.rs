//! Devices that are handed to a virtual machine or a user-space driver as they are: one per IOMMU
//! group (`Documentation/driver-api/vfio.rst`), mediated devices included
//! (`Documentation/driver-api/vfio-mediated-device.rst`).
//!
//! The group is the smallest part that the hardware keeps apart from the rest, so a container gets
//! all of it or nothing: `/dev/vfio/N`, and beside it `/dev/vfio/vfio`. Kernels from 6.6 on have a
//! node for each device too (`/dev/vfio/devices/vfioX`, used with `/dev/iommu`).

mod group;

use super::{Family, Found};
use crate::config::Config;
use crate::device::{Device, Health, Kind, Shares};
use crate::pci;
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;
pub(super) use group::Group;
use std::io::ErrorKind;

/// Where the kernel lists the groups (`Documentation/ABI/testing/sysfs-kernel-iommu_groups`).
const GROUPS: &str = "/sys/kernel/iommu_groups";

/// The most groups that are looked at. A host with thousands of virtual functions has as many.
const GROUPS_LIMIT: usize = 65_536;

/// IOMMU groups that VFIO has.
pub(super) struct Vfio;

impl Family for Vfio {
    fn name(&self) -> &'static str {
        "vfio"
    }

    fn scan(&self, host: &HostRoot, _: &Config) -> Found {
        let mut found = Found::default();
        let (names, more) = match host.entries(GROUPS, GROUPS_LIMIT) {
            Ok(listing) => listing,
            // A kernel without an IOMMU that is switched on.
            Err(error) if error.kind() == ErrorKind::NotFound => return found,
            Err(error) => {
                let why = format!("cannot list it: {error}; VFIO devices may be missing");
                found.gaps.push(Gap::new(GROUPS, why));
                return found;
            }
        };
        if more {
            let why = format!("more than {GROUPS_LIMIT} groups; the others are not looked at");
            found.gaps.push(Gap::new(GROUPS, why));
        }
        let mut numbers: Vec<u32> = names
            .iter()
            .filter_map(|name| name.to_str()?.parse().ok())
            .collect();
        numbers.sort_unstable();
        found.devices = numbers
            .into_iter()
            .filter_map(|number| describe(host, &Group::read(host, number)))
            .collect();
        found
    }
}

/// A group as a device; `None` where nothing in it is VFIO's.
fn describe(host: &HostRoot, group: &Group) -> Option<Device> {
    let first = group.members.iter().find(|member| member.is_vfio())?;
    let place = pci::place(host, &first.name);
    let vendor = place
        .as_ref()
        .map_or_else(|| "other".to_owned(), |place| vendor(place.vendor));
    // Group numbers change from boot to boot, the place on the bus does not.
    let mut device = Device::new(first.name.clone(), "vfio", Kind::Other, vendor);
    device.aliases = group
        .members
        .iter()
        .filter(|member| member.is_vfio() && member.name != first.name)
        .map(|member| member.name.clone())
        .chain([format!("vfio-{}", group.number)])
        .collect();
    device.driver = pci::driver(host, &first.directory);
    device.numa_node = pci::numa_node(host, &first.directory);
    device.parent = place
        .as_ref()
        .and_then(|place| place.physical_function.clone());
    device.pci = place;
    device.nodes.clone_from(&group.nodes);
    device.shares = Shares::One;
    device.health = match group.obstacle() {
        Some(why) => Health::Unhealthy(why),
        None => Health::Healthy,
    };
    let members: Vec<&str> = group
        .members
        .iter()
        .filter(|member| member.is_vfio())
        .map(|member| member.name.as_str())
        .collect();
    device
        .attributes
        .insert("vfio.group", group.number.to_string());
    device.attributes.insert("vfio.devices", members.join(","));
    if first.mediated {
        describe_mediated(host, first, &mut device);
    }
    Some(device)
}

/// A mediated device: its type, and the device that it is a part of.
fn describe_mediated(host: &HostRoot, member: &group::Member, device: &mut Device) {
    let kind = member.directory.join("mdev_type");
    device
        .attributes
        .extend(pci::last_part(host, &kind).map(|name| ("mdev.type", name)));
    device.model = host.fact(kind.join("name"));
    device.parent = pci::function_of(host, &member.directory);
}

/// The vendor's name, or the PCI vendor id in hexadecimal.
fn vendor(id: u16) -> String {
    match id {
        0x10de => "nvidia".to_owned(),
        0x1002 | 0x1022 => "amd".to_owned(),
        0x8086 => "intel".to_owned(),
        0x10ee => "xilinx".to_owned(),
        0x15b3 => "mellanox".to_owned(),
        other => format!("{other:04x}"),
    }
}
