//! FPGAs behind the Device Feature List drivers: Intel's cards and those of others that speak DFL.
//!
//! Two drivers show the same hardware. The kernel's own (`Documentation/fpga/dfl.rst`,
//! `Documentation/ABI/testing/sysfs-platform-dfl-port`, `-dfl-fme`, `sysfs-class-fpga-region`) has
//! `/sys/class/fpga_region/regionN/dfl-port.M` and `dfl-fme.M`; the older one of the OPAE project has
//! `/sys/class/fpga/intel-fpga-dev.N/intel-fpga-port.M` and `intel-fpga-fme.M`. A port is what can be
//! given away: one [`Device`] each. The management engine (FME) reprograms the card, so its node is
//! listed for administration and never for ordinary use.

mod identity;

use super::{Family, Found};
use crate::config::Config;
use crate::device::{Device, Health, Kind, Role};
use crate::{nodes, pci};
use dunnage_host::HostRoot;
use dunnage_model::gap::Gap;
use identity::Identity;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The most regions of a class, and the most entries of a region, that are looked at. A card has one
/// region and some tens of entries in it; a virtual function has a region of its own.
const ENTRIES_LIMIT: usize = 4096;

/// FPGAs behind the Device Feature List drivers.
pub(super) struct Dfl;

/// How one of the two drivers names things.
struct Layout {
    /// The folder of the class.
    class: &'static str,
    /// What a region's name begins with; a number follows.
    region: &'static str,
    /// The same of a port.
    port: &'static str,
    /// The same of a management engine.
    fme: &'static str,
}

/// The driver in the kernel's tree.
const IN_TREE: Layout = Layout {
    class: "/sys/class/fpga_region",
    region: "region",
    port: "dfl-port.",
    fme: "dfl-fme.",
};

/// The driver of the OPAE project.
const OUT_OF_TREE: Layout = Layout {
    class: "/sys/class/fpga",
    region: "intel-fpga-dev.",
    port: "intel-fpga-port.",
    fme: "intel-fpga-fme.",
};

impl Family for Dfl {
    fn name(&self) -> &'static str {
        "dfl"
    }

    fn scan(&self, host: &HostRoot, _: &Config) -> Found {
        let mut found = Found::default();
        for layout in [&IN_TREE, &OUT_OF_TREE] {
            for region in numbered(host, Path::new(layout.class), layout.region, &mut found) {
                scan_region(host, layout, &region, &mut found);
            }
        }
        found
    }
}

/// The entries of `folder` that are called `prefix` and a number, by the number.
fn numbered(host: &HostRoot, folder: &Path, prefix: &str, found: &mut Found) -> Vec<PathBuf> {
    let (names, more) = match host.entries(folder, ENTRIES_LIMIT) {
        Ok(listing) => listing,
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let why = format!("cannot list it: {error}; FPGAs may be missing from the list");
            found.gaps.push(Gap::new(folder.to_string_lossy(), why));
            return Vec::new();
        }
    };
    if more {
        let why = format!("more than {ENTRIES_LIMIT} entries; the others are not looked at");
        found.gaps.push(Gap::new(folder.to_string_lossy(), why));
    }
    let mut entries: Vec<(u32, PathBuf)> = names
        .iter()
        .filter_map(|name| {
            let name = name.to_str()?;
            let number = name.strip_prefix(prefix)?;
            // `+1` parses as a number and is not one of the kernel's.
            let digits = number.bytes().all(|byte| byte.is_ascii_digit());
            Some((number.parse().ok().filter(|_| digits)?, folder.join(name)))
        })
        .collect();
    entries.sort();
    entries.into_iter().map(|(_, path)| path).collect()
}

/// All ports of one region.
fn scan_region(host: &HostRoot, layout: &Layout, region: &Path, found: &mut Found) {
    let ports = numbered(host, region, layout.port, found);
    if ports.is_empty() {
        return;
    }
    // A virtual function has ports and no management engine.
    let fme = numbered(host, region, layout.fme, found).into_iter().next();
    let interface = identity::interface_id(host, region, fme.as_deref());
    for port in &ports {
        if let Some(mut device) = describe(host, region, port, fme.as_deref(), &interface) {
            if let ([_], Some(place)) = (ports.as_slice(), &device.pci) {
                device.aliases.push(place.address.clone());
            }
            found.devices.push(device);
        }
    }
}

/// One port as a device.
fn describe(
    host: &HostRoot,
    region: &Path,
    port: &Path,
    fme: Option<&Path>,
    interface: &Identity,
) -> Option<Device> {
    let kernel_name = port.file_name()?.to_str()?;
    let place = pci::function_of(host, port).and_then(|address| pci::place(host, &address));
    let number = host
        .fact(port.join("id"))
        .and_then(|id| id.parse::<u32>().ok());
    // The kernel's number of a port changes with the order of probing; its place on the card does not.
    let id = match (&place, number) {
        (Some(place), Some(number)) => format!("{}-port{number}", place.address),
        _ => kernel_name.to_owned(),
    };
    let vendor = place.as_ref().map_or(0x8086, |place| place.vendor);
    let mut device = Device::new(id, "dfl", Kind::Fpga, identity::vendor(vendor));
    if device.id != kernel_name {
        device.aliases.push(kernel_name.to_owned());
    }
    if let Some(place) = place {
        let function = pci::directory(&place.address);
        device.model = identity::model(&place).map(str::to_owned);
        device.driver = pci::driver(host, &function);
        device.numa_node = pci::numa_node(host, &function);
        device.parent = Some(
            place
                .physical_function
                .clone()
                .unwrap_or_else(|| place.address.clone()),
        );
        device.pci = Some(place);
    }
    device.driver = device.driver.or_else(|| pci::driver(host, port));
    device.nodes.extend(nodes::of_sysfs(host, port, Role::Own));
    device
        .nodes
        .extend(fme.and_then(|fme| nodes::of_sysfs(host, fme, Role::Management)));
    let afu = Identity::read(host, &port.join("afu_id"));
    device.health = health(host, port, &afu, interface);
    describe_attributes(host, &mut device, region, fme, [&afu, interface]);
    Some(device)
}

/// What only this family has.
fn describe_attributes(
    host: &HostRoot,
    device: &mut Device,
    region: &Path,
    fme: Option<&Path>,
    [afu, interface]: [&Identity; 2],
) {
    let attributes = &mut device.attributes;
    attributes.extend(afu.text().map(|id| ("afu_id", id)));
    attributes.extend(interface.text().map(|id| ("interface_id", id)));
    if let Some(name) = region.file_name().and_then(|name| name.to_str()) {
        attributes.insert("region", name.to_owned());
    }
    for name in [
        "socket_id",
        "bitstream_id",
        "bitstream_metadata",
        "ports_num",
    ] {
        let value = fme.and_then(|fme| host.fact(fme.join(name)));
        attributes.extend(value.map(|value| (name, value)));
    }
}

/// Whether a driver has the port: a link says so, and `DRIVER=` in `uevent`
/// (`Documentation/ABI/testing/sysfs-uevent`). Copies of trees often lack the link.
fn is_bound(host: &HostRoot, port: &Path) -> bool {
    host.link(port.join("driver")).is_ok()
        || host
            .fact(port.join("uevent"))
            .is_some_and(|uevent| uevent.lines().any(|line| line.starts_with("DRIVER=")))
}

/// Whether a port can be used, its error registers apart ([`crate::health::registers`]).
fn health(host: &HostRoot, port: &Path, afu: &Identity, interface: &Identity) -> Health {
    if !is_bound(host, port) {
        return Health::Unhealthy(
            "no driver is bound to the port: its node exists and opening it fails".to_owned(),
        );
    }
    // A card that has fallen off the bus reads as all ones.
    for (what, id) in [("afu_id", afu), ("interface_id", interface)] {
        if *id == Identity::AllOnes {
            return Health::Unhealthy(format!(
                "{what} reads as all ones: the card does not answer or holds no valid bitstream"
            ));
        }
    }
    match afu {
        Identity::Known(_) => Health::Healthy,
        Identity::Unreadable => Health::Unhealthy(
            "the port is disabled: it failed to come out of a reset, or is being reprogrammed"
                .to_owned(),
        ),
        Identity::Malformed => Health::Unknown("afu_id is not 32 hexadecimal digits".to_owned()),
        _ => Health::Unknown(
            "no accelerator function answers behind this port (it has no afu_id)".to_owned(),
        ),
    }
}
