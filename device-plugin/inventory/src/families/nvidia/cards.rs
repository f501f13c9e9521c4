//! A whole GPU as a [`Device`].

use super::files::Files;
use super::nvml::{Answer, ComputeMode, End};
use super::pairing::{Pair, sysfs_address};
use super::{NAME, health, proc};
use crate::device::{Device, Driver, Kind, Node, Peer, Role, Shares};
use dunnage_host::HostRoot;
use dunnage_model::units::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// The device that both ways describe.
pub(super) fn device(
    host: &HostRoot,
    files: &Files,
    pair: &Pair<'_>,
    answer: Option<&Answer>,
) -> Device {
    let mut device = Device::new(identity(pair), NAME, Kind::Gpu, "nvidia");
    let (card, gpu) = (pair.card, pair.gpu);
    let information = card.and_then(|card| card.information.as_ref());
    device.aliases = aliases(pair, &device.id);
    device.model = information
        .and_then(|i| i.model.clone())
        .or_else(|| gpu.and_then(|gpu| text(gpu.name.as_ref())));
    device.driver = driver(pair, answer);
    device.firmware = information
        .and_then(|i| i.firmware.clone())
        .or_else(|| gpu.and_then(|gpu| text(gpu.firmware.as_ref())));
    device.pci = card.and_then(|card| card.pci.clone());
    device.numa_node = card.and_then(|card| card.numa_node);
    device.memory = gpu.and_then(|gpu| gpu.memory).map(Bytes);
    device.health = health::of(pair, files.speaks);
    device.shares = shares(pair);
    device.nodes = nodes(host, files, pair);
    device.attributes = attributes(files, pair, answer);
    device
}

/// The UUID, else the address, else NVML's index.
fn identity(pair: &Pair<'_>) -> String {
    let known = pair
        .card
        .and_then(|card| card.information.as_ref()?.uuid.clone());
    known
        .or_else(|| pair.gpu.and_then(|gpu| proc::uuid(gpu.uuid.as_deref()?)))
        .or_else(|| pair.address())
        .unwrap_or_else(|| format!("nvidia-index-{}", pair.index.unwrap_or(0)))
}

fn aliases(pair: &Pair<'_>, id: &str) -> Vec<String> {
    let index = pair.index.map(|index| index.to_string());
    let minor = pair.minor().map(|minor| format!("nvidia{minor}"));
    let aliases = [index, pair.address(), minor].into_iter().flatten();
    aliases.filter(|alias| alias != id).collect()
}

fn driver(pair: &Pair<'_>, answer: Option<&Answer>) -> Option<Driver> {
    let mut driver = match pair.card {
        Some(card) => card.driver.clone()?,
        None => Driver {
            name: NAME.to_owned(),
            version: None,
        },
    };
    if driver.name == NAME && driver.version.is_none() {
        let told = answer.and_then(|answer| answer.driver.as_deref());
        driver.version = told.filter(|v| proc::is_version(v)).map(str::to_owned);
    }
    Some(driver)
}

/// In exclusive mode the driver refuses a second process; a GPU in MIG mode is used by its instances,
/// and by nobody as a whole.
fn shares(pair: &Pair<'_>) -> Shares {
    match pair.gpu.and_then(|gpu| gpu.compute_mode) {
        Some(ComputeMode::Exclusive) => Shares::One,
        Some(ComputeMode::Default | ComputeMode::Prohibited) | None => Shares::Any,
    }
}

fn nodes(host: &HostRoot, files: &Files, pair: &Pair<'_>) -> Vec<Node> {
    let mut nodes = Vec::new();
    if pair.is_driven() {
        let own = pair.minor();
        nodes.extend(own.and_then(|minor| files.own_node(host, minor, Role::Own)));
    }
    if let Some(card) = pair.card {
        nodes.extend(card.drm.iter().cloned());
    }
    if pair.is_driven() {
        nodes.extend(files.control_nodes(host));
    }
    nodes
}

fn attributes(
    files: &Files,
    pair: &Pair<'_>,
    answer: Option<&Answer>,
) -> BTreeMap<&'static str, String> {
    let information = pair.card.and_then(|card| card.information.as_ref());
    let gpu = pair.gpu;
    let of_gpu = |value: Option<&String>| text(value);
    let driven = pair.is_driven();
    let mig = gpu.and_then(|gpu| gpu.mig);
    let all = [
        ("index", pair.index.map(|index| index.to_string())),
        ("minor", pair.minor().map(|minor| minor.to_string())),
        (
            "vbios",
            information
                .and_then(|i| i.video_bios.clone())
                .or_else(|| of_gpu(gpu.and_then(|g| g.video_bios.as_ref()))),
        ),
        ("brand", of_gpu(gpu.and_then(|g| g.brand.as_ref()))),
        (
            "architecture",
            of_gpu(gpu.and_then(|g| g.architecture.as_ref())),
        ),
        (
            "cuda.capability",
            of_gpu(gpu.and_then(|g| g.capability.as_ref())),
        ),
        (
            "cuda.driver",
            of_gpu(answer.and_then(|a| a.cuda.as_ref())).filter(|_| driven),
        ),
        (
            "driver.module",
            files
                .version
                .as_ref()
                .and_then(|version| version.open)
                .filter(|_| driven)
                .map(|open| if open { "open" } else { "proprietary" }.to_owned()),
        ),
        (
            "compute.mode",
            gpu.and_then(|gpu| gpu.compute_mode).map(|mode| {
                match mode {
                    ComputeMode::Default => "default",
                    ComputeMode::Exclusive => "exclusive",
                    ComputeMode::Prohibited => "prohibited",
                }
                .to_owned()
            }),
        ),
        (
            "mig.mode",
            mig.map(|on| if on { "on" } else { "off" }.to_owned()),
        ),
        (
            "memory.numa_node",
            pair.card
                .and_then(|card| card.memory_node)
                .map(|node| node.to_string()),
        ),
    ];
    all.into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// A text of the library, made fit to be shown.
pub(super) fn text(value: Option<&String>) -> Option<String> {
    value.and_then(|value| proc::known(value))
}

/// Who reaches whom over NVLink. Through switches a GPU reaches every other that has links to one of
/// them, with the links of whichever has fewer.
pub(super) fn peers(pairs: &[Pair<'_>], devices: &mut [Device]) {
    let ids: BTreeMap<String, String> = pairs
        .iter()
        .zip(devices.iter())
        .filter_map(|(pair, device)| Some((pair.address()?, device.id.clone())))
        .collect();
    let ends: Vec<_> = pairs.iter().map(ends).collect();
    for (place, (direct, switches)) in ends.iter().enumerate() {
        let mut found: BTreeMap<String, u32> = BTreeMap::new();
        for (address, links) in direct {
            if let Some(id) = ids.get(address) {
                found.insert(id.clone(), *links);
            }
        }
        let mine: BTreeSet<_> = switches.keys().collect();
        for (other, (_, theirs)) in ends.iter().enumerate() {
            let shared = other != place && theirs.keys().any(|switch| mine.contains(switch));
            if shared {
                let links = switches.values().sum::<u32>().min(theirs.values().sum());
                *found.entry(devices[other].id.clone()).or_default() += links;
            }
        }
        let own = devices[place].id.clone();
        devices[place].peers = found
            .into_iter()
            .filter(|(id, _)| *id != own)
            .map(|(id, links)| Peer {
                id,
                over: "nvlink",
                links,
            })
            .collect();
    }
}

/// How many links lead to which GPU and to which switch, by address. Drivers hide the addresses of the
/// switches of Hopper and later: all of those are one fabric.
fn ends(pair: &Pair<'_>) -> (BTreeMap<String, u32>, BTreeMap<String, u32>) {
    let mut gpus = BTreeMap::new();
    let mut switches = BTreeMap::new();
    for link in pair.gpu.map(|gpu| gpu.links.as_slice()).unwrap_or_default() {
        let address = link.address.as_deref().and_then(sysfs_address);
        match (link.end, address) {
            (End::Gpu, Some(address)) => *gpus.entry(address).or_default() += 1,
            (End::Switch, address) => {
                *switches.entry(address.unwrap_or_default()).or_default() += 1
            }
            (End::Gpu, None) | (End::Other, _) => {}
        }
    }
    (gpus, switches)
}
