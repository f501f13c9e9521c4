//! The PCI bus as sysfs shows it (`Documentation/ABI/testing/sysfs-bus-pci`).

use crate::device::{Driver, PciLink, PciPlace};
use dunnage_host::HostRoot;
use std::path::{Path, PathBuf};

/// The most functions that are looked at. A host of today has some hundreds, with virtual functions
/// some thousands.
const FUNCTIONS_LIMIT: usize = 65_536;

/// Where sysfs lists all functions.
const DEVICES: &str = "/sys/bus/pci/devices";

/// The addresses of all PCI functions, sorted.
#[must_use]
pub fn functions(host: &HostRoot) -> Vec<String> {
    let (names, _) = host.entries(DEVICES, FUNCTIONS_LIMIT).unwrap_or_default();
    names
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .filter(|name| is_address(name))
        .collect()
}

/// The directory of a function: `/sys/bus/pci/devices/0000:65:00.0`.
#[must_use]
pub fn directory(address: &str) -> PathBuf {
    Path::new(DEVICES).join(address)
}

/// What sysfs tells of the function at `address`; `None` where it has no vendor and device id.
#[must_use]
pub fn place(host: &HostRoot, address: &str) -> Option<PciPlace> {
    let directory = directory(address);
    let hex = |name: &str| {
        host.fact(directory.join(name))
            .and_then(|text| hexadecimal(&text))
    };
    let short = |name: &str| hex(name).and_then(|value| u16::try_from(value).ok());
    Some(PciPlace {
        address: address.to_owned(),
        vendor: short("vendor")?,
        device: short("device")?,
        subsystem: short("subsystem_vendor").zip(short("subsystem_device")),
        class: hex("class").unwrap_or(0),
        path: bridges(host, &directory, address),
        link: link(host, &directory),
        iommu_group: last_part(host, &directory.join("iommu_group"))
            .and_then(|group| group.parse().ok()),
        physical_function: last_part(host, &directory.join("physfn"))
            .filter(|name| is_address(name)),
    })
}

/// The NUMA node of a sysfs device directory; `None` where it says -1 or nothing.
#[must_use]
pub fn numa_node(host: &HostRoot, directory: &Path) -> Option<u32> {
    host.fact(directory.join("numa_node"))?.parse().ok()
}

/// The driver that is bound to a sysfs device directory, with its module's version where it has one.
#[must_use]
pub fn driver(host: &HostRoot, directory: &Path) -> Option<Driver> {
    let name = last_part(host, &directory.join("driver"))?;
    let version = host.fact(Path::new("/sys/module").join(&name).join("version"));
    Some(Driver { name, version })
}

/// The PCI function that a sysfs device directory is part of (`.../0000:65:00.0/drm/card1`): the last
/// address on its real path.
#[must_use]
pub fn function_of(host: &HostRoot, directory: &Path) -> Option<String> {
    let real = host.locate(directory).ok()?.path;
    real.components().rev().find_map(|part| {
        let name = part.as_os_str().to_str()?;
        is_address(name).then(|| name.to_owned())
    })
}

/// Whether `name` is an address as sysfs writes it: `0000:65:00.0`.
#[must_use]
pub fn is_address(name: &str) -> bool {
    let hex = |text: &str, digits: std::ops::RangeInclusive<usize>| {
        digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let mut parts = name.split(':');
    let (Some(domain), Some(bus), Some(rest), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    // Hypervisors give domains of more than four digits.
    let Some((slot, function)) = rest.split_once('.') else {
        return false;
    };
    hex(domain, 4..=8) && hex(bus, 2..=2) && hex(slot, 2..=2) && hex(function, 1..=1)
}

/// `0x10de` or `10de`.
#[must_use]
pub fn hexadecimal(text: &str) -> Option<u32> {
    let text = text.trim();
    u32::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

/// The last part of what a link points to: the name of the driver, the number of the group.
#[must_use]
pub fn last_part(host: &HostRoot, link: &Path) -> Option<String> {
    let target = host.link(link).ok()?;
    Some(target.file_name()?.to_str()?.to_owned())
}

fn bridges(host: &HostRoot, directory: &Path, address: &str) -> Vec<String> {
    let Ok(located) = host.locate(directory) else {
        return Vec::new();
    };
    located
        .path
        .components()
        .filter_map(|part| part.as_os_str().to_str())
        .filter(|name| is_address(name) && *name != address)
        .map(str::to_owned)
        .collect()
}

fn link(host: &HostRoot, directory: &Path) -> Option<PciLink> {
    let fact = |name: &str| host.fact(directory.join(name));
    Some(PciLink {
        speed: fact("current_link_speed")?,
        width: fact("current_link_width")?.parse().ok()?,
        max_speed: fact("max_link_speed"),
        max_width: fact("max_link_width").and_then(|width| width.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_other_names() {
        for good in ["0000:65:00.0", "10000:01:1f.7", "abcd:ef:00.0"] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "0000:65:00",
            "0000:65:00.0:1",
            "65:00.0",
            "pci0000:00",
            "0000:6:00.0",
            "000g:65:00.0",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn hexadecimal_takes_what_sysfs_writes() {
        assert_eq!(hexadecimal("0x10de\n"), Some(0x10de));
        assert_eq!(hexadecimal("030000"), Some(0x03_0000));
        assert_eq!(hexadecimal("0x"), None);
        assert_eq!(hexadecimal("0x1ffffffff"), None);
    }
}
