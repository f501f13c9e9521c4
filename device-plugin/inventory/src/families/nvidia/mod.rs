//! NVIDIA GPUs and their MIG instances.
//!
//! Two ways lead to the facts. The kernel driver tells some below `/proc/driver/nvidia` and sysfs;
//! NVIDIA's library (NVML) tells the rest where it loads. What only the library knows is absent
//! without it. Against a copy of a host's files the library is not asked.

mod cards;
mod files;
mod health;
mod instances;
mod nvml;
mod pairing;
mod proc;

use super::{Family, Found};
use crate::config::Config;
use crate::device::Device;
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;
use files::Files;
use nvml::{Answer, Failure, Library};
use std::collections::BTreeSet;
use std::path::PathBuf;

pub use nvml::serve_nvml_probe_if_asked;

/// The family's name.
const NAME: &str = "nvidia";

/// NVIDIA GPUs and their MIG instances.
pub(super) struct Nvidia;

impl Family for Nvidia {
    fn name(&self) -> &'static str {
        NAME
    }

    fn scan(&self, host: &HostRoot, _: &Config) -> Found {
        let files = files::read(host);
        // Under WSL the GPU is on no bus that is seen, and only the library knows it.
        // Elsewhere it is not asked without need: it makes `/dev/nvidiactl` where it runs as root.
        let driven = files.cards.iter().filter(|card| card.is_driven()).count();
        let answer = (driven > 0 || is_wsl(host))
            .then(|| Library::of(host))
            .flatten()
            .map(|library| nvml::ask(&library, driven));
        merge(host, &files, answer.as_ref())
    }
}

/// The version of NVIDIA's kernel driver that runs on `host`, as `535.154.05`, and the file of the
/// host that says so; `None` where none runs.
#[must_use]
pub fn driver_version(host: &HostRoot) -> Option<(String, PathBuf)> {
    files::driver_version(host)
}

/// The Windows subsystem's node for the GPU.
fn is_wsl(host: &HostRoot) -> bool {
    host.locate("/dev/dxg").is_ok()
}

/// One list of devices out of both ways: each GPU, its instances behind it. `answer` is absent where
/// the library was not asked.
fn merge(host: &HostRoot, files: &Files, answer: Option<&Result<Answer, Failure>>) -> Found {
    let mut gaps = Vec::new();
    if let Some(Err(failure)) = answer {
        gaps.push(Gap::new("NVML", failure.to_string()));
    }
    let pairs = pairing::pairs(files, answer, &mut gaps);
    let facts = answer.and_then(|answer| answer.as_ref().ok());
    let mut wholes: Vec<Device> = pairs
        .iter()
        .map(|pair| cards::device(host, files, pair, facts))
        .collect();
    let mut taken = BTreeSet::new();
    distinguish(&mut wholes, &mut taken, &mut gaps);
    cards::peers(&pairs, &mut wholes);
    let mut devices = Vec::new();
    for (pair, mut whole) in pairs.iter().zip(wholes) {
        let mut parts = instances::devices(host, files, pair, &whole, &mut gaps);
        distinguish(&mut parts, &mut taken, &mut gaps);
        instances::mark_whole(&mut whole, &parts);
        devices.push(whole);
        devices.append(&mut parts);
    }
    Found { devices, gaps }
}

/// Two devices of one id would be taken for one: a library that lies, or a broken board. The second
/// goes by another of its names.
fn distinguish(devices: &mut [Device], taken: &mut BTreeSet<String>, gaps: &mut Vec<Gap>) {
    for device in devices {
        if taken.insert(device.id.clone()) {
            continue;
        }
        let why = "two devices have this id: the second one goes by another name";
        gaps.push(Gap::new(device.id.clone(), why));
        // The address or the kernel's name of an instance; an index changes too easily.
        let place = device.pci.as_ref().map(|pci| pci.address.clone());
        let address = place.filter(|_| device.parent.is_none());
        let parts = [address, device.aliases.last().cloned()];
        let free = parts.into_iter().flatten().find(|id| !taken.contains(id));
        device.id = free.unwrap_or_else(|| format!("{}-{}", device.id, taken.len()));
        device.aliases.retain(|alias| *alias != device.id);
        taken.insert(device.id.clone());
    }
}

#[cfg(test)]
mod tests;
