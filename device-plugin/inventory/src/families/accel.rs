//! Every device of the kernel's accel class (`Documentation/accel/introduction.rst`): NPUs and the
//! like, by their driver. There is no list of ids, so that tomorrow's device is found today.

use super::class_device::{self, Group, line, numbered};
use super::pci_names::PciNames;
use super::{Family, Found};
use crate::config::Config;
use crate::device::{Device, Health, Kind, Role};
use crate::nodes;
use dunnage_host::HostRoot;
use std::path::{Path, PathBuf};

/// Every device of the kernel's accel class: NPUs and the like.
pub(super) struct Accel;

/// The class.
const CLASS: &str = "/sys/class/accel";

/// Drivers whose devices have a family of their own.
const OTHERS: [&str; 1] = ["habanalabs"];

/// What the drivers' device is, for those whose kernel name says little to people.
const SORTS: [(&str, &str); 6] = [
    ("intel_vpu", "Intel NPU"),
    ("amdxdna", "AMD NPU"),
    ("qaic", "Qualcomm Cloud AI"),
    ("rocket", "Rockchip NPU"),
    ("ethosu", "Arm Ethos-U"),
    ("rknpu", "Rockchip NPU"),
];

impl Family for Accel {
    fn name(&self) -> &'static str {
        "accel"
    }

    fn scan(&self, host: &HostRoot, _: &Config) -> Found {
        let (groups, gaps) =
            class_device::groups(host, "accel", |name| numbered(name, "accel").is_some());
        let names = PciNames::default();
        let devices = groups
            .iter()
            .flat_map(|group| of_group(host, &names, group))
            .collect();
        Found { devices, gaps }
    }
}

/// The devices of one parent: usually one, with qaic one a partition.
fn of_group(host: &HostRoot, names: &PciNames, group: &Group) -> Vec<Device> {
    let base = group.parent.describe(host, names, "accel", Kind::Npu);
    let driver = base.driver.as_ref().map(|driver| driver.name.clone());
    if driver
        .as_deref()
        .is_some_and(|driver| OTHERS.contains(&driver))
    {
        return Vec::new();
    }
    let several = group.members.len() > 1;
    group
        .members
        .iter()
        .map(|member| {
            let mut device = base.clone();
            if several {
                device.id = format!("{}-{member}", base.id);
            }
            complete(host, group, member, &mut device);
            device
        })
        .collect()
}

fn complete(host: &HostRoot, group: &Group, member: &str, device: &mut Device) {
    let directory = &group.parent.directory;
    device.aliases.push(member.to_owned());
    let node = nodes::of_sysfs(host, Path::new(CLASS).join(member), Role::Own);
    if node.is_none() && matches!(device.health, Health::Healthy) {
        device.health = Health::Unknown("sysfs gives no number for its node".into());
    }
    device.nodes.extend(node);
    let driver = device
        .driver
        .as_ref()
        .map_or("", |driver| driver.name.as_str());
    let sort = SORTS
        .iter()
        .find(|(name, _)| *name == driver)
        .map(|(_, sort)| (*sort).to_owned());
    device.model = line(host, directory.join("vbnv"))
        .or_else(|| device.model.take())
        .or_else(|| sort.clone());
    if let Some(sort) = sort {
        device.attributes.insert("sort", sort);
    }
    device.firmware = firmware(host, directory, &device.id);
    for (file, attribute) in [("device_type", "device_type"), ("sched_mode", "sched_mode")] {
        if let Some(fact) = line(host, directory.join(file)) {
            device.attributes.insert(attribute, fact);
        }
    }
}

/// `fw_version` of amdxdna beside the device, of the Intel NPU in debugfs (for root alone).
fn firmware(host: &HostRoot, directory: &Path, id: &str) -> Option<String> {
    let debug: PathBuf = Path::new("/sys/kernel/debug/accel").join(id);
    line(host, directory.join("fw_version")).or_else(|| line(host, debug.join("fw_version")))
}
