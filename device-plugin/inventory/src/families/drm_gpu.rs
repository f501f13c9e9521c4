//! GPUs of every other DRM driver with a render node: nouveau, panfrost, panthor, v3d, etnaviv, msm,
//! lima, asahi, a virtio GPU with 3D, and those that are not written yet.
//!
//! A device counts by its render node and its driver, never by a list of ids. Drivers that only drive
//! a display have no render node, with the exceptions below.

use super::class_device::{self, numbered};
use super::drm::{self, Unit};
use super::pci_names::PciNames;
use super::{Family, Found};
use crate::config::Config;
use crate::device::{Device, Kind};
use crate::pci;
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;

/// GPUs of every other DRM driver with a render node.
pub(super) struct DrmGpu;

/// Drivers whose devices have a family of their own.
const OTHERS: [&str; 7] = ["amdgpu", "i915", "xe", "nvidia", "xocl", "xclmgmt", "zocl"];

/// Drivers with a render node and no processor behind it: they share memory between programs and
/// render nothing. `rockchip-drm` has one in the vendor's kernels and none in mainline.
const NO_PROCESSOR: [&str; 6] = ["vgem", "vkms", "udl", "evdi", "linlondp", "rockchip-drm"];

/// Drivers of NPUs that have a render node in place of a node of the accel class, and what to call
/// them. `RKNPU` is that of the vendor's kernels for Rockchip boards.
const NPUS: [(&str, &str); 1] = [("RKNPU", "Rockchip NPU")];

/// The bit of a virtio GPU's features that means 3D (`VIRTIO_GPU_F_VIRGL`, virtio 1.2, 5.7.3).
const VIRGL: usize = 0;

/// PCI classes of display controllers: base class 3.
const DISPLAY: u32 = 0x03;

impl Family for DrmGpu {
    fn name(&self) -> &'static str {
        "drm-gpu"
    }

    fn scan(&self, host: &HostRoot, _: &Config) -> Found {
        let (units, mut gaps) = drm::units(host);
        let names = PciNames::default();
        let mut devices = Vec::new();
        for unit in &units {
            if belongs_elsewhere(unit) {
                continue;
            }
            match no_gpu(host, unit) {
                Some(why) => gaps.push(Gap::new(what(unit), why)),
                None => devices.push(told(unit.describe(host, &names, self.name()), unit)),
            }
        }
        gaps.extend(without_driver(host));
        Found { devices, gaps }
    }
}

/// The device, told as the NPU that it is where its driver is one of [`NPUS`].
fn told(mut device: Device, unit: &Unit) -> Device {
    if let Some((_, sort)) = NPUS.iter().find(|(driver, _)| *driver == unit.driver) {
        device.kind = Kind::Npu;
        device.model.get_or_insert_with(|| (*sort).into());
        device.attributes.insert("sort", (*sort).into());
    }
    device
}

fn belongs_elsewhere(unit: &Unit) -> bool {
    OTHERS.contains(&unit.driver.as_str()) || unit.parent.name.starts_with("amdgpu_xcp_")
}

/// `card0 (bochs)`.
fn what(unit: &Unit) -> String {
    let card = unit
        .cards
        .first()
        .map_or_else(|| unit.parent.name.clone(), |card| format!("card{card}"));
    format!("{card} ({})", unit.driver)
}

/// Why a DRM device is no GPU that can be given to a container; `None` where it is one.
fn no_gpu(host: &HostRoot, unit: &Unit) -> Option<String> {
    let driver = unit.driver.as_str();
    if unit.renders.is_empty() {
        return Some("it has no render node: it only drives a display".into());
    }
    if NO_PROCESSOR.contains(&driver) {
        return Some(format!("{driver} has a render node and renders nothing"));
    }
    if driver.starts_with("virtio") && !virtio_renders(host, unit) {
        return Some("the virtual machine has no 3D: its render node renders nothing".into());
    }
    None
}

/// Whether a virtio GPU renders: `features` of its virtio device is a row of `0` and `1`, bit 0 first
/// (`drivers/virtio/virtio.c`).
fn virtio_renders(host: &HostRoot, unit: &Unit) -> bool {
    let directory = &unit.parent.directory;
    let (children, _) = class_device::members(host, directory);
    let below = children
        .iter()
        .filter(|child| numbered(child, "virtio").is_some())
        .map(|child| directory.join(child));
    std::iter::once(directory.clone())
        .chain(below)
        .filter_map(|place| host.fact(place.join("features")))
        .any(|features| features.as_bytes().get(VIRGL) == Some(&b'1'))
}

/// Display controllers of AMD and Intel without a driver. They can do nothing until one is bound; said,
/// because a GPU that is missing without a word is the harder to find.
fn without_driver(host: &HostRoot) -> Vec<Gap> {
    pci::functions(host)
        .into_iter()
        .filter(|address| {
            let directory = pci::directory(address);
            let hex = |name: &str| {
                host.fact(directory.join(name))
                    .and_then(|text| pci::hexadecimal(&text))
            };
            hex("class").is_some_and(|class| class >> 16 == DISPLAY)
                && matches!(hex("vendor"), Some(0x1002 | 0x8086))
                && host.link(directory.join("driver")).is_err()
        })
        .map(|address| {
            Gap::new(
                address,
                "it is a display controller without a driver; load amdgpu, i915 or xe to use it",
            )
        })
        .collect()
}
