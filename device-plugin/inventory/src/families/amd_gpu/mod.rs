//! AMD GPUs of the amdgpu driver, and the partitions of those that can be divided.
//!
//! Facts come from the driver's own files (`Documentation/gpu/amdgpu/driver-misc.rst`, `ras.rst`,
//! `xgmi.rst`) and from the topology of its compute side, KFD. In a mode with partitions the first
//! one is the PCI device itself and the others are platform devices `amdgpu_xcp_N`. The driver makes
//! those in every mode, and only the ones that KFD knows are in use.

mod kfd;

use super::class_device::{line, number};
use super::drm::{self, Unit};
use super::pci_names::PciNames;
use super::{Family, Found};
use crate::config::Config;
use crate::device::{Device, Health, Kind, Node, Peer, Role};
use crate::{nodes, pci};
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;
use dunnage_model::units::Bytes;
use std::collections::BTreeMap;
use std::path::Path;

/// AMD GPUs and their partitions.
pub(super) struct AmdGpu;

/// The name of the family.
const NAME: &str = "amd-gpu";

/// The driver.
const DRIVER: &str = "amdgpu";

/// What the platform devices of partitions are called, a number behind it.
const PARTITION: &str = "amdgpu_xcp_";

/// Firmware versions in `fw_version/` that are told, and the attribute of each.
const FIRMWARE: [(&str, &str); 8] = [
    ("mec_fw_version", "firmware.mec"),
    ("mes_fw_version", "firmware.mes"),
    ("rlc_fw_version", "firmware.rlc"),
    ("sdma_fw_version", "firmware.sdma"),
    ("smc_fw_version", "firmware.smc"),
    ("sos_fw_version", "firmware.sos"),
    ("uvd_fw_version", "firmware.uvd"),
    ("vcn_fw_version", "firmware.vcn"),
];

/// How a GPU is divided, which its partitions share.
const PARTITIONS: [(&str, &str); 3] = [
    ("current_compute_partition", "partition.compute"),
    ("current_memory_partition", "partition.memory"),
    ("available_compute_partition", "partition.available"),
];

/// Other one-line facts in the device's directory, and the attribute of each.
const FACTS: [(&str, &str); 2] = [
    ("mem_info_vram_vendor", "memory.vendor"),
    ("xgmi_device_id", "xgmi.device"),
];

impl Family for AmdGpu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn scan(&self, host: &HostRoot, _: &Config) -> Found {
        let (units, mut gaps) = drm::units(host);
        let names = PciNames::default();
        let broken = drm::without_nodes(host, &names, &units, DRIVER, NAME);
        if broken.is_empty() && !units.iter().any(is_ours) {
            return Found::default();
        }
        let (topology, more) = kfd::read(host);
        gaps.extend(more);
        let control = nodes::of_sysfs(host, "/sys/class/kfd/kfd", Role::Control);
        if control.is_none() && topology.iter().any(|node| node.simds > 0) {
            gaps.push(Gap::new(
                "/sys/class/kfd/kfd",
                "KFD knows GPUs and has no node: compute by ROCm will not work",
            ));
        }
        let mut devices = devices(host, &names, &units, &topology, control.as_ref());
        devices.extend(broken);
        Found { devices, gaps }
    }
}

/// The GPUs and the partitions in use, joined with what KFD tells, and with each other by its links.
fn devices(
    host: &HostRoot,
    names: &PciNames,
    units: &[Unit],
    topology: &[kfd::KfdNode],
    control: Option<&Node>,
) -> Vec<Device> {
    let mut found = Vec::new();
    let mut places = BTreeMap::new();
    for unit in units.iter().filter(|unit| is_ours(unit)) {
        let node = topology.iter().find(|node| is_of(node, unit));
        let made = if unit.parent.name.starts_with(PARTITION) {
            node.map(|node| partition(host, unit, node, units))
        } else {
            Some(whole(host, names, unit, node))
        };
        let Some(mut device) = made else { continue };
        if let Some(node) = node {
            places.insert(node.index, device.id.clone());
            compute(&mut device, node, control);
        }
        found.push((device, node));
    }
    found
        .into_iter()
        .map(|(mut device, node)| {
            device.peers = node.map(|node| peers(node, &places)).unwrap_or_default();
            device
        })
        .collect()
}

/// Whether the driver of the nodes is amdgpu, or they are those of a partition.
fn is_ours(unit: &Unit) -> bool {
    unit.driver == DRIVER || unit.parent.name.starts_with(PARTITION)
}

/// Whether a KFD node and a DRM device are the same GPU or partition: by the render node that KFD
/// names, or by the PCI address on kernels whose KFD names none.
fn is_of(node: &kfd::KfdNode, unit: &Unit) -> bool {
    match node.render_minor {
        Some(minor) => unit.renders.contains(&minor),
        None => unit.parent.pci.is_some() && unit.parent.pci == node.address(),
    }
}

/// The PCI device: the whole GPU, or its first partition.
fn whole(host: &HostRoot, names: &PciNames, unit: &Unit, node: Option<&kfd::KfdNode>) -> Device {
    let mut device = unit.describe(host, names, NAME);
    let directory = &unit.parent.directory;
    let revision = line(host, directory.join("revision")).and_then(|text| pci::hexadecimal(&text));
    let sold_as = device
        .pci
        .as_ref()
        .and_then(|place| names.amd_gpu(host, place.device, u8::try_from(revision?).ok()?));
    device.model = line(host, directory.join("product_name"))
        .or(sold_as)
        .or(device.model)
        .or_else(|| node.and_then(|node| node.name.clone()));
    if let Some(serial) = line(host, directory.join("unique_id")) {
        device.aliases.push(serial);
    }
    versions(host, directory, &mut device);
    facts(host, directory, &FACTS, &mut device);
    facts(host, directory, &PARTITIONS, &mut device);
    device.memory = number(host, directory.join("mem_info_vram_total")).map(Bytes);
    if let Some(total) = number(host, directory.join("mem_info_gtt_total")) {
        device.attributes.insert("memory.gtt", total.to_string());
    }
    let mode = device.attributes.get("partition.compute");
    if mode.is_some_and(|mode| mode != "SPX") {
        device.attributes.insert("partition.index", "0".into());
        // The driver's figure is the whole GPU's; KFD tells the partition's own.
        device.memory = node.and_then(|node| node.memory).or(device.memory);
    }
    device
}

/// The versions of the video BIOS and of the firmware of the parts.
fn versions(host: &HostRoot, directory: &Path, device: &mut Device) {
    device.firmware = line(host, directory.join("vbios_version"));
    facts(host, &directory.join("fw_version"), &FIRMWARE, device);
}

/// One-line files as attributes.
fn facts(host: &HostRoot, directory: &Path, files: &[(&str, &'static str)], device: &mut Device) {
    for (file, attribute) in files {
        if let Some(fact) = line(host, directory.join(file)) {
            device.attributes.insert(attribute, fact);
        }
    }
}

/// A further partition.
fn partition(host: &HostRoot, unit: &Unit, node: &kfd::KfdNode, units: &[Unit]) -> Device {
    let whole = node.address().and_then(|address| {
        units
            .iter()
            .find(|unit| unit.driver == DRIVER && unit.parent.pci.as_deref() == Some(&address))
    });
    let mut device = unit.describe(host, &PciNames::default(), NAME);
    "amd".clone_into(&mut device.vendor);
    device.kind = Kind::Gpu;
    device.memory = node.memory;
    device.model.clone_from(&node.name);
    device
        .attributes
        .insert("partition.index", node.partition().to_string());
    if let Some(whole) = whole {
        let directory = &whole.parent.directory;
        device.parent = Some(whole.parent.id().to_owned());
        device.driver = whole.parent.driver(host);
        device.numa_node = pci::numa_node(host, directory);
        device.pci = whole
            .parent
            .pci
            .as_deref()
            .and_then(|address| pci::place(host, address));
        facts(host, directory, &PARTITIONS, &mut device);
    } else {
        device.health = Health::Unknown("the GPU that it is a part of was not found".into());
    }
    device
}

/// What KFD tells of a device. `/dev/kfd` goes with it only here: the node is there as soon as the
/// driver is loaded, with or without a GPU that can compute.
fn compute(device: &mut Device, node: &kfd::KfdNode, control: Option<&Node>) {
    device.nodes.extend(control.cloned());
    let mut set = |name, value: Option<String>| {
        if let Some(value) = value {
            device.attributes.insert(name, value);
        }
    };
    set("kfd.node", Some(node.index.to_string()));
    set("kfd.gpu_id", node.gpu_id.map(|id| id.to_string()));
    set("gfx.target", node.target());
    set("xgmi.hive", node.hive.map(|hive| format!("{hive:016x}")));
    if device.memory.is_none() {
        device.memory = node.memory;
    }
}

/// The devices at the other ends of a node's links; several links to one are counted.
fn peers(node: &kfd::KfdNode, places: &BTreeMap<u32, String>) -> Vec<Peer> {
    let mut peers: Vec<Peer> = Vec::new();
    for link in &node.links {
        let Some(id) = places.get(&link.to).filter(|_| link.to != node.index) else {
            continue;
        };
        match peers
            .iter_mut()
            .find(|peer| peer.id == *id && peer.over == link.over)
        {
            Some(peer) => peer.links = peer.links.saturating_add(1),
            None => peers.push(Peer {
                id: id.clone(),
                over: link.over,
                links: 1,
            }),
        }
    }
    peers
}
